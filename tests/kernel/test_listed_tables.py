"""Layers of tables whose groups are listed compute what the reference computes: blank samples, full ones, every size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from networks import samples
from tablelayers import binary_form, grouped, two_layers

from ebpfnn.compiler import KernelFeatures, compile_network
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.plan import LISTED_TABLES
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Table
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root


def listed(inputs: int, outputs: int, *, packed: bool = True, gaps: bool = False, **fields: str) -> QuantizedNetwork:
    """With ``gaps``, a third of all groups adds the same whatever its number is, and has no rows."""
    seed = inputs + outputs
    tested = two_layers(binary_form(inputs, packed=packed, **fields), grouped(inputs, 8), outputs, seed, shift=2, blank=0)
    first, random = tested.layers[0], np.random.default_rng(seed)
    assert isinstance(first, Table)
    rows = first.tables.copy()
    if gaps:
        rows[::3] = 1
    seen = np.packbits(random.random((32, first.groups)) < 0.05, axis=1)
    return replace(tested, layers=(replace(first, tables=rows, occupied=seen), *tested.layers[1:]))


def equal(tested: QuantizedNetwork, features: KernelFeatures = NEWEST) -> None:
    body = compile_here(tested) if features is NEWEST else compile_network(tested, features)
    assert body.layers[0].shape == LISTED_TABLES
    with Session(tested, RunTrigger(), body=body) as session:
        agree(session, samples(tested.input_shape, tested.input.size))


@pytest.mark.parametrize("outputs", [49, 56, 64, 104, 128])
def test_every_size(outputs: int) -> None:
    for inputs in (300, 320, 328, 399, 784):
        equal(listed(inputs, outputs))


@pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])
def test_every_kernel(features: KernelFeatures) -> None:
    equal(listed(784, 64), features)
    equal(listed(784, 128, gaps=True), features)


@pytest.mark.parametrize("packed", [True, False])
def test_every_form_of_sample(packed: bool) -> None:
    equal(listed(500, 64, packed=packed))
    equal(listed(500, 64, packed=packed, gaps=True))
    if packed:
        equal(listed(500, 64, bit_order="little"))
