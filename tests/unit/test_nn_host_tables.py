"""Tables, orders of packing and cascades in nn.h, by the host's compiler, match the reference bit for bit."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from host import HostNetwork, build
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import samples
from tablekinds import CASCADES, KINDS
from tablenets import cascade, table_network

from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.encoding import encode

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module", params=["-O2", "-O0"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("host"), request.param, "-fsanitize=undefined", "-fno-sanitize-recover=undefined")


def assert_equal(library: ctypes.CDLL, net: QuantizedNetwork, seed: int = 0) -> None:
    host, inputs = HostNetwork(library, net), samples(net.input_shape, seed)
    expected = zip(reference.labels(net, inputs).tolist(), reference.scores(net, inputs).tolist(), strict=True)
    assert [host.infer(sample) for sample in encode(net.input, inputs)] == list(expected)


@pytest.mark.parametrize("net", KINDS.values(), ids=KINDS)
def test_every_kind_of_table(library: ctypes.CDLL, net: QuantizedNetwork) -> None:
    for seed in range(3):
        assert_equal(library, net, seed)


@pytest.mark.parametrize("net", CASCADES.values(), ids=CASCADES)
def test_cascades(library: ctypes.CDLL, net: QuantizedNetwork) -> None:
    for seed in range(3):
        assert_equal(library, net, seed)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 40), st.integers(2, 64), st.integers(0, 7), st.sampled_from([3, 20, 300, 32767]))
def test_random_tables(library: ctypes.CDLL, seed: int, hidden: int, classes: int, shift: int, largest: int) -> None:
    first, second = (table_network(seed % 1000 + n, widths=(hidden, classes), shift=shift, largest=largest) for n in (0, 1))
    assert_equal(library, cascade(first, second, margin=seed % 50 + 1), seed)


def test_sums_wrap_and_leads_reach_the_margin() -> None:
    """Or the tests above would not see it."""
    first = KINDS["sums that wrap far"]
    hidden, inputs = first.layers[0], samples(first.input_shape, 0)
    sums = reference.accumulate(hidden, (inputs > 99).astype(np.int64))  # type: ignore[arg-type]
    assert (np.abs(sums) > 256).mean() > 0.5
    for name in ("of tables", "of four", "of other levels", "of a convolution behind tables", "of dense networks"):
        net = CASCADES[name]
        assert net.then
        leads = reference.margins(reference.scores(replace(net, then=None), samples(net.input_shape, 0)))
        assert {-1, 0, 1} == set(np.sign(leads - net.then.margin).tolist()), name
