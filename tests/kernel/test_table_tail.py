"""Networks whose sums stay in registers, from the first row to the label, compute what the reference computes."""

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
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import Table
from ebpfnn.network.network import Next
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root


def net(outputs: int, seed: int, **fields: int) -> QuantizedNetwork:
    return two_layers(binary_form(200, packed=True), grouped(200, 8), outputs, seed, **fields)


def unbiased(tested: QuantizedNetwork) -> QuantizedNetwork:
    """The same without what makes one class likelier than another."""
    first, last = tested.layers
    assert isinstance(last, Table)
    return replace(tested, layers=(first, replace(last, bias=np.zeros_like(last.bias))))


def equal(tested: QuantizedNetwork, seed: int) -> None:
    with Session(tested, RunTrigger(), body=compile_here(tested)) as session:
        agree(session, samples(tested.input_shape, seed))


@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("outputs", [1, 7, 16, 33, 40, 41])
def test_bytes_of_words_select_rows(outputs: int, shift: int) -> None:
    for classes in (2, 10, 15):
        equal(net(outputs, shift + outputs, shift=shift, classes=classes), shift)


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 9, 15, 16, 30])
def test_of_equal_scores_the_first_wins(classes: int) -> None:
    """Rows of -1, 0 and 1 of few neurons: most labels are ties."""
    for seed in range(3):
        tested = unbiased(net(2, seed, classes=classes, largest=1))
        given = samples(tested.input_shape, seed)
        scores = reference.scores(tested, given)
        assert classes == 1 or (np.diff(np.sort(scores, axis=1)[:, -2:]) == 0).any()
        equal(tested, seed)


@pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_margin_decides_who_answers(classes: int, features: KernelFeatures) -> None:
    for margin in (1, 2, 5, 1000):
        second = net(24, 5, classes=classes, largest=50)
        tested = replace(net(16, 4, classes=classes, largest=2), then=Next(second, margin))
        body = compile_here(tested) if features is NEWEST else compile_network(tested, features)
        with Session(tested, RunTrigger(), body=body) as session:
            agree(session, samples(tested.input_shape, margin))
