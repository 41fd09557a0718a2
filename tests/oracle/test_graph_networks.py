"""Graphs: the oracle's arithmetic by numbers worked out on paper, what is drawn of each kind, and every way that graphs run."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ebpfnn import QuantizedNetwork
from ebpfnn.compiler import compile_network
from ebpfnn.compiler.features import OLDEST
from ebpfnn.network import reference
from ebpfnn.network.layers import Add, Concat, Conv2d, Dense, MaxPool, SquaredError

from . import arithmetic, corners, graphs, judge, ways
from .judge import Judge, judge_many
from .report import Tally
from .test_arithmetic import by

SEEDS = range(104, 134, 5)


def test_a_sum_by_hand() -> None:
    """0.5 * (x - 128) + 0.25 * y by steps of 0.5, a ReLU behind it: halves go up, and 255 is the end."""
    layer = Add(np.array([4, 2], np.int32), np.array([-4 * 128], np.int32), by([1], [0], 2, low=0, high=255))
    one, other = np.array([[0, 127, 128, 129, 255, 255]]), np.array([[0, 1, -1, 1, 127, -128]])
    assert arithmetic.add(layer, [one, other]).tolist() == [[-512, -2, -2, 6, 762, 252]]
    assert arithmetic.join(layer, [one, other]).tolist() == [[0, 0, 0, 2, 191, 63]]
    whole = replace(layer, requantization=by([1], [1], 2, low=-128, high=127, zero_point=-3))
    assert arithmetic.join(whole, [one, other]).tolist() == [[-128, -3, -3, -1, 127, 60]]


def test_channels_side_by_side_by_hand() -> None:
    layer = Concat(np.array([0, -10], np.int32), by([4, 2], [4, 0], 2, low=0, high=200))
    one, other = np.array([[[[1, 255]], [[7, 9]]]]), np.array([[[[9, 13]]]])
    wanted = [[[[1, 200]], [[7, 9]], [[0, 2]]]]
    for join in (arithmetic.join, reference.join):
        assert join(layer, [one, other]).tolist() == wanted
        flat = join(layer, [one, other.reshape(1, 2)])
        assert flat.tolist() == [np.ravel(wanted).tolist()]


def test_the_reference_computes_what_the_page_says() -> None:
    for seed in range(25):
        network = graphs.network(seed)
        samples = corners.judged(network.input, seed)
        assert reference.scores(network, samples).tolist() == arithmetic.scores(network, samples).tolist(), seed


def test_graphs_are_of_every_kind() -> None:
    found: Counter[str] = Counter()
    for seed in range(150):
        found.update(set(_kinds(graphs.network(seed))))
    assert {kind: found[kind] for kind in WANTED if found[kind] < 3} == {}


WANTED = (
    *("sum", "channels", "image of channels", "flat channels", "last sum", "sum with itself", "sum of a sample"),
    *("sample twice", "of fewer bits", "negative factor", "no factor", "sums at their end", "other signs", "zero point"),
    *("copied", "scaled", "edge and none", "edges of two", "edge and dense", "pool and convolution"),
    *("sum into an edge", "channels into an edge", "error", "error of a sample"),
)


def _kinds(network: QuantizedNetwork) -> list[str]:
    kinds = ["of fewer bits" if network.input.bits < 8 else "of eight bits"]
    takers: dict[int, list[int]] = {}
    for number, sources in enumerate(network.takes):
        for source in set(sources):
            takers.setdefault(source, []).append(number)
        ranges = [network.ranges[source + 1] for source in sources]
        kinds += _kinds_of_join(network.layers[number], sources, ranges, network.shapes[number + 1])
    if isinstance(network.layers[-1], Add):
        kinds.append("last sum")
    if isinstance(network.layers[-1], SquaredError):
        kinds += ["error", "error of a sample"] if -1 in network.takes[-1] else ["error"]
    if len(takers[-1]) > 1:
        kinds.append("sample twice")
    for source, by_whom in takers.items():
        kinds += _kinds_of_takers(network.layers[source] if source >= 0 else None, [network.layers[n] for n in by_whom])
    return kinds


def _kinds_of_join(layer: object, sources: tuple[int, ...], ranges: list[tuple[int, int]], shape: tuple[int, ...]) -> list[str]:
    if isinstance(layer, Add):
        bound = abs(int(layer.bias[0])) + sum(
            abs(int(f)) * max(map(abs, ends)) for f, ends in zip(layer.factors, ranges, strict=True)
        )
        facts = {
            "sum": True,
            "sum with itself": sources[0] == sources[1],
            "sum of a sample": -1 in sources,
            "negative factor": layer.factors.min() < 0,
            "no factor": not layer.factors.all(),
            "sums at their end": bound > 2**31 - 256,
            "other signs": (ranges[0][0] < 0) != (ranges[1][0] < 0),
            "zero point": layer.requantization.zero_point != 0,
        }
    elif isinstance(layer, Concat):
        kept = [layer.keeps(number, *ends) for number, ends in enumerate(ranges)]
        image = len(shape) == 3
        facts = {
            "channels": True,
            "image of channels": image,
            "flat channels": not image,
            "copied": any(kept),
            "scaled": not all(kept),
        }
    else:
        return []
    return [name for name, holds in facts.items() if holds]


def _kinds_of_takers(layer: object, takers: list[object]) -> list[str]:
    windows = [each for each in takers if isinstance(each, Conv2d | MaxPool)]
    edged = [each.window.padding for each in windows if any(each.window.padding)]
    facts = {
        "edge and none": bool(edged) and len(edged) < len(takers),
        "edges of two": len(set(edged)) > 1,
        "edge and dense": bool(edged) and any(isinstance(each, Dense) for each in takers),
        "pool and convolution": len({type(each) for each in windows}) > 1,
        "sum into an edge": isinstance(layer, Add) and bool(edged),
        "channels into an edge": isinstance(layer, Concat) and bool(edged),
    }
    return [name for name, holds in facts.items() if holds]


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.usefixtures("tracing", "logs")
def test_random_graphs_are_right_in_every_way_that_they_run() -> None:
    tally, told = Tally(), []
    judge_many(iter(SEEDS), tally, told.append)
    assert not told, "\n".join(map(str, told))
    assert tally.loads > 5 * len(SEEDS)
    assert tally.samples > 50 * tally.loads


@pytest.mark.root
@pytest.mark.usefixtures("tracing", "logs")
@pytest.mark.parametrize("features", ["newest", "oldest"])
def test_a_graph_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch, features: str) -> None:
    """The factors of sums have other signs."""
    network, wrong = next(filter(_differ, ((each, _negated(each)) for each in map(graphs.network, range(30)))))
    built = (network, OLDEST) if features == "oldest" else (network,)
    for given, differs in ((built, False), ((wrong, *built[1:]), True)):
        one = ways.Way("tested", partial(compile_network, *given))
        monkeypatch.setattr(ways, "KINDS", (lambda network, random, one=one: iter([one]),))
        monkeypatch.setattr(judge, "OTHERS", [])
        monkeypatch.setattr(judge, "_OTHERS", 0)
        tally = Tally()
        Judge(0, tally, network).judge()
        assert bool(tally.differences) == differs


def _negated(network: QuantizedNetwork) -> QuantizedNetwork:
    """With factors of other signs in its sums."""
    layers = (replace(each, factors=-each.factors) if isinstance(each, Add) else each for each in network.layers)
    return replace(network, layers=tuple(layers))


def _differ(networks: tuple[QuantizedNetwork, QuantizedNetwork]) -> bool:
    """Whether the oracle tells them apart by the samples of seed 0."""
    samples = corners.judged(networks[0].input, 0)
    one, other = (arithmetic.scores(network, samples).tolist() for network in networks)
    return one != other


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ebpfnn keeps the verifier's log of what is refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
