"""Dense layers over inputs of one bit that list their bytes compute what the reference computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from networks import random_network, samples

from ebpfnn.compiler import KernelFeatures, compile_network, plan_network
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.plan import DensePlan
from ebpfnn.compiler.sample import SampleForm
from ebpfnn.network import QuantizedNetwork
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root


def net(architecture: str, size: int, *, packed: bool = True) -> QuantizedNetwork:
    """One value in eight is not 0."""
    found = random_network(f"{size}-{architecture}", size, (size,), bits=1, packed=packed)
    return replace(found, density=(0.12,) + (1.0,) * (len(found.layers) - 1))


def lists(tested: QuantizedNetwork, features: KernelFeatures = NEWEST) -> bool:
    first = plan_network(tested, features).layers[0]
    return isinstance(first, DensePlan) and first.rows is not None and first.rows.listed


def equal(tested: QuantizedNetwork, features: KernelFeatures = NEWEST) -> None:
    assert lists(tested, features)
    body = compile_here(tested) if features is NEWEST else compile_network(tested, features)
    with Session(tested, RunTrigger(), body=body) as session:
        agree(session, samples(tested.input_shape, tested.input.size))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("outputs", [28, 32, 64, 90])
def test_every_size(outputs: int, packed: bool) -> None:
    for size in (500, 512, 779, 784):
        equal(net(f"{outputs}-10", size, packed=packed))


@pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])
def test_every_kernel(features: KernelFeatures) -> None:
    for packed in (True, False):
        equal(net("32-10", 784, packed=packed), features)
        equal(net("64-10", 784, packed=packed), features)


def test_bytes_that_are_listed_are_in_memory() -> None:
    assert plan_network(net("32-10", 784, packed=False)).sample is SampleForm.GATHERED_BITS
    assert plan_network(net("32-10", 784)).sample is SampleForm.PACKED


def test_few_words_dense_samples_and_long_ones_have_branches_or_none() -> None:
    assert not lists(net("16-10", 784))
    assert not lists(replace(net("32-10", 784), density=(0.9, 1.0)))
    assert not lists(net("32-10", 8 * 249))
