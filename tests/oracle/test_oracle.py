"""What ``make oracle`` does, for as many networks as take some 20 seconds; and that it would see a fault."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tablenets import cascade, table_network

from ebpfnn import QuantizedNetwork
from ebpfnn.compiler import Body, compile_network
from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Requantization, Table, Window
from ebpfnn.obj.asm import Assembler, Register

from . import arithmetic, corners, generate, judge, ways
from .judge import Judge, judge_many
from .report import Difference, Tally, describe

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing", "logs")]
SEEDS = (*range(24), 53, 55)
"""Of these, 11 and 55 are networks whose last layer has windows that may be blank, which a compiler once got wrong.
53 has depthwise and pointwise layers."""


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ebpfnn keeps the verifier's log of what is refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.slow
def test_random_networks_are_right_in_every_way_that_they_run() -> None:
    tally, told = Tally(), []
    judge_many(iter(SEEDS), tally, told.append)
    assert not told, "\n".join(map(str, told))
    assert tally.networks == len(SEEDS)
    assert tally.loads > 5 * len(SEEDS)
    assert tally.samples > 50 * tally.loads


def judged(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[], Body], network: QuantizedNetwork, trigger: str = ways.RUN
) -> Tally:
    """``network`` by one way."""
    monkeypatch.setattr(ways, "KINDS", (lambda network, random: iter([ways.Way("tested", build)]),))
    monkeypatch.setattr(judge, "OTHERS", [trigger])
    tally = Tally()
    Judge(0, tally, network).judge()
    return tally


def one_bias_more(network: QuantizedNetwork) -> QuantizedNetwork:
    (layer,) = network.layers
    assert isinstance(layer, Conv2d)
    return replace(network, layers=(replace(layer, bias=layer.bias + np.array([0, 1], np.int32)),))


@pytest.mark.parametrize("trigger", ways.TRIGGERS)
def test_a_score_that_is_off_by_one_is_seen(monkeypatch: pytest.MonkeyPatch, trigger: str) -> None:
    network = a_convolution()
    tally = judged(monkeypatch, partial(compile_network, one_bias_more(network)), network, trigger)
    assert seen(tally, trigger)
    assert "score 4 is -" in tally.differences[0].fact
    assert "seed 0" in str(tally.differences[0])


def seen(tally: Tally, trigger: str) -> bool:
    return any(f"trigger {trigger}" in found.way.split(", ") for found in tally.differences)


def a_convolution() -> QuantizedNetwork:
    """One channel, and a window that is often blank: two scores of every place."""
    weights, bias = np.arange(-25, 25).reshape(2, 1, 5, 5).astype(np.int8), np.array([1000, -70_000], np.int32)
    one = np.full(2, 1 << 30, np.int32)
    layer = Conv2d(weights, bias, Requantization(one, one, 30, -(2**31), 2**31 - 1), Window((5, 5), (2, 2)))
    return QuantizedNetwork("a convolution", InputFormat((7, 7)), tuple("01234567"), (layer,), density=(0.1,))


@pytest.mark.parametrize("trigger", ways.TRIGGERS)
def test_bytes_of_an_earlier_sample_are_seen(monkeypatch: pytest.MonkeyPatch, trigger: str) -> None:
    """Known scores are stored as one byte, as a compiler once did: the other three are those of the sample before."""
    stores = Assembler.store

    def store(self: Assembler, size: str, base: Register, offset: int, value: Register | int) -> None:
        narrow = size == "u32" and not isinstance(value, Register)
        stores(self, "u8" if narrow else size, base, offset, value & 0xFF if narrow else value)

    network = a_convolution()
    monkeypatch.setattr(Assembler, "store", store)
    tally = judged(monkeypatch, partial(compile_network, network), network, trigger)
    assert seen(tally, trigger)


def test_the_same_network_as_it_is_compiled_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    network = a_convolution()
    for trigger in ways.TRIGGERS:
        assert not judged(monkeypatch, partial(compile_network, network), network, trigger).differences


def a_cascade() -> QuantizedNetwork:
    """Of tables, with a margin by which a sample leads."""
    first, second = table_network(1, largest=60), table_network(2)
    leads = sorted(map(arithmetic.lead, arithmetic.scores(first, corners.judged(first.input, 0)).tolist()))
    return cascade(first, second, margin=leads[len(leads) // 2])


def with_first(network: QuantizedNetwork, **changes: object) -> QuantizedNetwork:
    return replace(network, layers=(replace(network.layers[0], **changes), *network.layers[1:]))  # type: ignore[arg-type]


def one_more(network: QuantizedNetwork) -> QuantizedNetwork:
    assert network.then
    return replace(network, then=replace(network.then, margin=network.then.margin + 1))


def another_order(network: QuantizedNetwork) -> QuantizedNetwork:
    assert network.then
    form = replace(network.input, order=())
    return replace(network, input=form, then=replace(network.then, network=replace(network.then.network, input=form)))


def without_carry(network: QuantizedNetwork) -> QuantizedNetwork:
    """What a program would compute whose bytes do not carry: each sum in a word of its own, with 7 outputs that are 0."""
    first, last = network.layers
    assert isinstance(first, Table) and isinstance(last, Table)  # noqa: PT018
    tables, bias = np.zeros((*first.tables.shape[:2], 88), np.int16), np.zeros(88, np.int32)
    tables[:, :, ::8], bias[::8] = first.tables, first.bias
    rows = np.zeros((88, *last.tables.shape[1:]), np.int16)
    rows[::8] = last.tables
    apart = replace(first, tables=tables, bias=bias)
    order = np.arange(88, dtype=np.int32).reshape(-1, 1)
    return replace(network, layers=(apart, replace(last, tables=rows, order=order)))


WRONG: dict[str, Callable[[QuantizedNetwork], QuantizedNetwork]] = {
    "margin": one_more,
    "no second network": lambda network: replace(network, then=None),
    "order": another_order,
    "carry": without_carry,
    "bias": lambda network: with_first(network, bias=network.layers[0].bias + np.int32(2)),  # type: ignore[union-attr]
    "members": lambda network: with_first(network, order=np.ascontiguousarray(network.layers[0].order[:, ::-1])),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("wrong", WRONG)
def test_tables_and_cascades_that_are_wrong_are_seen(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    network = a_cascade()
    assert not judged(monkeypatch, partial(compile_network, network), network).differences
    assert judged(monkeypatch, partial(compile_network, WRONG[wrong](network)), network).differences


def test_a_reference_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reference.scores
    monkeypatch.setattr(reference, "scores", lambda network, samples: right(network, samples) + 1)
    network = a_convolution()
    (found,) = judged(monkeypatch, partial(compile_network, network), network).differences
    assert found.way == "reference"


def test_what_the_verifier_refuses_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that says that it needs no workspace computes outside of what it has."""
    network = generate.network(12)
    tally = judged(monkeypatch, lambda: replace(compile_network(network), workspace=0), network)
    assert tally.loads == 0
    assert all("the verifier refused it" in found.fact for found in tally.differences)
    assert tally.differences


def test_what_the_compiler_refuses_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> Body:
        raise ModelError("network 'test': layer 0 needs 513 bytes of stack; use fewer")

    tally = judged(monkeypatch, refuse, generate.network(1))
    assert not tally.differences
    assert dict(tally.refused) == {"ModelError: layer N needs N bytes of stack": 1}


def test_an_exception_without_a_type_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Body:
        raise ValueError("not evenly spread")

    monkeypatch.setattr(ways, "KINDS", (lambda network, random: iter([ways.Way("tested", fail)]),))
    told: list[Difference] = []
    judge_many(iter([3, 4]), Tally(), told.append)
    assert [found.seed for found in told] == [3, 4]
    assert "ValueError: not evenly spread" in told[0].fact


def test_the_same_seed_is_the_same_network() -> None:
    one, other, another = (describe(generate.network(seed)) for seed in (5, 5, 6))
    assert one == other != another
    drawn = [Judge(5, Tally()) for _ in range(2)]
    assert np.array_equal(*(each.samples for each in drawn))
    assert len({tuple(str(way.build.args) for way in ways.ways(drawn[0].network, each.random)) for each in drawn}) == 1
