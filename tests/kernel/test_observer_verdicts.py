"""Observers with a network behind them: samples, scores and verdicts are those of the twin and of the reference."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import dense, network, random_network
from rigs import Rig, rig

from ebpfnn import abi
from ebpfnn.kernel.ring.ringbuf import RingBuffer
from ebpfnn.network import QuantizedNetwork, encoding, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.obj import ObjectSpec
from ebpfnn.observer import Mode
from ebpfnn.preparation.columns import Column, read
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
WORD = (1 << 64) - 1
KEPT = {"name": "kept", "reduce": "last", "of": "u64"}
EVERY_EVENT: dict[str, Any] = {"key": ["u8"], "column": [KEPT]}


def column(name: str, kind: str, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "type": "integer", "encode": kind, **parameters}


def bins(name: str, bounds: Sequence[int], **more: Any) -> dict[str, Any]:
    return column(name, "bins", bounds=list(bounds), **more)


def options_for(columns: Sequence[Column], net: QuantizedNetwork) -> dict[str, Any]:
    body = compile_here(net)
    sizes = {"classes": len(net.labels), "workspace": body.workspace}
    return {"columns": columns, "form": net.input, "body": body.spec, "mode": Mode.VERDICTS, **sizes}


def verdict(made: Rig, key: bytes) -> np.void | None:
    found = made.maps[abi.VERDICTS].lookup(key)
    return None if found is None else np.frombuffer(found, abi.VERDICT)[0]


COLUMNS: dict[str, list[dict[str, Any]]] = {
    "few bins": [bins("kept", [1, 2, 1000])],
    "one bin": [bins("kept", [5])],
    "a bin that all reach": [bins("kept", [0])],
    "negative bins": [bins("kept", [-(1 << 63), -5, 0, 1, 7])],
    "many bins": [bins("kept", sorted({3**k for k in range(41)}))],
    "bins beyond 2^63": [bins("kept", [1, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, WORD - 1, WORD])],
    "many beyond 2^63": [bins("kept", [7, *range((1 << 63) + 9, WORD, 1 << 58)])],
    "all beyond 2^63": [bins("kept", [1 << 63, WORD], step=9)],
    "none between": [bins("kept", [-5, 0, 1 << 63, WORD])],
    "255 bins": [bins("kept", range(10, 10 + 255))],
    "256 bins": [bins("kept", range(10, 10 + 256))],
    "wide": [bins("kept", [*range(-20, 600, 2), *range((1 << 63) - 100, (1 << 63) + 200)])],
    "steps": [bins("kept", [10, 20, 30], step=85)],
    "linear": [column("kept", "linear", low=0, high=1500)],
    "log2": [column("kept", "log2", low=1, high=1 << 31, fraction=3)],
    "log2 of all": [column("kept", "log2", low=1, high=1 << 62, fraction=2)],
    "thermometer": [column("kept", "thermometer", bounds=[-1, 0, 1, 2, 50, 1 << 40, (1 << 63) - 1, 1 << 63, WORD])],
}


def interesting(columns: Sequence[Column]) -> list[int]:
    """Values around every bound, and random ones."""
    bounds = {int(bound) for each in columns for bound in each.bounds}
    around = {bound + step for bound in bounds for step in (-1, 0, 1)} | {0, 1, WORD, 1 << 63}
    choose = random.Random(3)
    around |= {choose.getrandbits(choose.randint(1, 64)) for _ in range(50)}
    return sorted(value for value in around if 0 <= value <= WORD)


@pytest.mark.parametrize("name", COLUMNS)
def test_bytes(build_spec: Build, name: str) -> None:
    """A network that passes the bytes of the sample on as its scores."""
    columns = read({"columns": COLUMNS[name]})
    size = sum(each.inputs for each in columns)
    net = network([dense(np.eye(size, dtype=int), np.zeros(size, int))])
    with rig(build_spec, EVERY_EVENT, **options_for(columns, net)) as made:
        for value in interesting(columns):
            made.run({"u64": value})
            sample = np.frombuffer(b"".join(each.encoded(value) for each in columns), np.uint8)
            assert made.scores(len(net.labels)).tolist() == sample.tolist(), value


FORMS = [
    InputFormat((9,), 1, (1,), True, "big"),
    InputFormat((9,), 1, (1,), True, "little"),
    InputFormat((9,), 1, (1,)),
    InputFormat((9,), 1, (2,), True),
    InputFormat((9,), 1, (1,), True, order=(8, 3, 0, 1, 7, 2, 6, 5, 4)),
]


@pytest.mark.parametrize("form", FORMS, ids=["packed", "packed, little", "unpacked", "never reached", "in an order"])
def test_thermometers_of_one_bit(build_spec: Build, form: InputFormat) -> None:
    columns = read({"columns": COLUMNS["thermometer"]})
    net = network([dense(np.eye(9, dtype=int), np.zeros(9, int))], form)
    check_levels(build_spec, columns, net)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("order", ["big", pytest.param("little", marks=pytest.mark.slow)])
def test_packed_levels_of_bytes(build_spec: Build, bits: int, order: str, own: bool) -> None:
    """Levels of several columns in one byte, also the last one that is not full."""
    names = [f"kept{n}" for n in range(5)]
    described = [bins("kept0", [4, 9, 70], step=80), column("kept1", "linear", low=0, high=4000)]
    described += [column("kept2", "log2", low=2, high=1 << 40, fraction=2), bins("kept3", [1 << 63], step=255)]
    described += [bins("kept4", range(0, 1000, 9), step=2)]
    columns = read({"columns": described})
    count = 2**bits - 1
    thresholds = tuple(int(each) for each in np.linspace(3, 251, count))
    form = InputFormat((5,), bits, thresholds, True, order)
    if own:
        mine = tuple(tuple(sorted((each * (place + 1)) % 256 + 1 for each in thresholds)) for place in range(5))
        form = InputFormat((5,), bits, packed=True, bit_order=order, value_thresholds=mine)
    form = replace(form, order=(3, 0, 4, 2, 1))
    net = network([dense(np.eye(5, dtype=int), np.zeros(5, int))], form)
    spec = {"key": ["u8"], "column": [{**KEPT, "name": name} for name in names]}
    check_levels(build_spec, columns, net, spec)


def check_levels(
    build_spec: Build, columns: Sequence[Column], net: QuantizedNetwork, spec: dict[str, Any] = EVERY_EVENT
) -> None:
    with rig(build_spec, spec, **options_for(columns, net)) as made:
        for value in interesting(columns):
            made.run({"u64": value})
            sample = np.frombuffer(b"".join(each.encoded(value) for each in columns), np.uint8)
            assert made.scores(len(net.labels)).tolist() == encoding.levels(net.input, sample).tolist(), value


def test_scores_verdicts_and_counts(build_spec: Build) -> None:
    """A random network over several columns: label, margin, number, time, counts; the verdict holds between inferences."""
    described = [bins("a", [3, 50, 900, 70_000, 1 << 33, 1 << 50]), column("b", "linear", low=0, high=255)]
    columns = read({"columns": described})
    net = random_network((2, 9, 4), 2)
    spec: dict[str, Any] = {"key": ["u16"], "at": {"count": [1, 4], "when": ["u8 == 77"]}}
    spec["column"] = [{"name": "a", "reduce": "sum", "of": "u32"}, {"name": "b", "reduce": "max", "of": "u8"}]
    choose = random.Random(4)
    latest = dict[bytes, int]()
    labels = [0] * 4
    with rig(build_spec, spec, network=3, **options_for(columns, net)) as made:
        for now in range(1, 600):
            values = {"u16": choose.randint(0, 9), "u32": choose.getrandbits(choose.randint(1, 32))}
            values |= {"u8": choose.randint(70, 80), "time": 1000 * now}
            returned = made.run(values)
            complete = {field.name: values.get(field.name, 0) for field in made.fields}
            row, key = made.twin.observe(0, complete), values["u16"].to_bytes(8, "little")
            if row:
                encoded = b"".join(each.encoded(cell) for each, cell in zip(columns, row.results, strict=True))
                scores = reference.scores(net, np.frombuffer(encoded, np.uint8)[None])[0]
                label = int(scores.argmax())
                labels[label] += 1
                latest[key] = label + 1
                found = verdict(made, key)
                assert found is not None
                high, second = sorted(map(int, scores))[:-3:-1]
                wanted = (1000 * now, label + 1, min(high - second, (1 << 31) - 1), 3, row.number)
                assert tuple(int(found[each]) for each in ("time_ns", "label", "margin", "network", "number")) == wanted
                assert found["elapsed_ns"] == 0  # nobody watches
            assert returned == latest[key]
        counts = made.counts
        assert (counts["observed"], counts["rows"], counts["inferences"]) == (599, sum(labels), sum(labels))
        by_label = [made.maps[abi.LABELS].lookup_percpu(n.to_bytes(4, "little"), np.uint64) for n in range(5)]
        assert [int(each.sum()) for each in by_label if each is not None] == [*labels, 0]
        assert len([each for each in labels if each]) > 1


@pytest.mark.parametrize(
    ("scores", "margin"),
    [
        ([5], (1 << 31) - 1),
        ([5, 5], 0),
        ([-7, 3], 10),
        ([3, -7, 2], 1),
        ([-9, -9, -4, -5], 1),
        ([(1 << 31) - 1, 1 - (1 << 31)], (1 << 31) - 1),
        ([1 - (1 << 31), 1 - (1 << 31)], 0),
        ([1 - (1 << 31), 0, -1], 1),
        ([0] * 63 + [9], 9),
    ],
)
def test_the_margin(build_spec: Build, scores: list[int], margin: int) -> None:
    columns = read({"columns": [bins("kept", [1])]})
    net = network([dense(np.zeros((len(scores), 1), int), scores)])
    with rig(build_spec, EVERY_EVENT, **options_for(columns, net)) as made:
        assert made.run({"time": 1}) == scores.index(max(scores)) + 1
        found = verdict(made, bytes(8))
        assert found is not None
        assert (int(found["margin"]), int(found["label"])) == (margin, scores.index(max(scores)) + 1)


BROKEN = """
struct ebpfnn_result;
#include <ebpfnn/abi.h>
int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	result->label = %d;
	return *(const __u8 *)sample ? %d : 0;
}
"""


def broken(build_spec: Build, label: int, returned: int) -> dict[str, Any]:
    """A body that fails for the byte 1."""
    body = build_spec("#include <ebpfnn/vmlinux.h>\n" + BROKEN % (label, returned), "broken")
    columns = read({"columns": [bins("kept", [1])]})
    return {"columns": columns, "classes": 2, "body": body, "mode": Mode.VERDICTS}


def test_a_network_that_fails_gives_no_verdict(build_spec: Build) -> None:
    with rig(build_spec, EVERY_EVENT, **broken(build_spec, 1, -5)) as made:
        assert made.run({"u64": 1}) == 0
        assert verdict(made, bytes(8)) is None
        assert made.run({"u64": 0}) == 2
        assert made.run({"u64": 1}) == 2
        assert made.counts == {"observed": 3, "created": 1, "rows": 3, "inferences": 1, "failed": 2}


def test_a_label_that_there_is_none_of_is_a_failure(build_spec: Build) -> None:
    with rig(build_spec, EVERY_EVENT, **broken(build_spec, 2, 0)) as made:
        assert made.run({"u64": 1}) == 0
        assert made.counts == {"observed": 1, "created": 1, "rows": 1, "failed": 1}


def test_a_verdict_outlives_its_state(build_spec: Build) -> None:
    spec: dict[str, Any] = {**EVERY_EVENT, "end": ["u16 == 9"], "at": {"count": [2]}, "state": {"idle": 1000}}
    with rig(build_spec, spec, **broken(build_spec, 1, 0)) as made:
        assert [made.run({"time": now}) for now in (1, 2)] == [0, 2]
        assert made.run({"time": 3, "u16": 9}) == 2
        assert made.states() == 0
        assert made.run({"time": 4}) == 2  # a new state, before it has a verdict of its own
        assert made.run({"time": 4000}) == 2  # the state began again
        assert made.run({"time": 4000, "u8": 1}) == 0
        assert made.counts == {"observed": 6, "created": 3, "restarted": 1, "ended": 1, "rows": 1, "inferences": 1}


def test_a_watcher_is_told(build_spec: Build) -> None:
    with rig(build_spec, EVERY_EVENT, network=7, **broken(build_spec, 1, -5)) as made:
        with RingBuffer(made.maps[abi.EVENTS]) as ring:
            made.run({"u64": 0})
            assert not list(ring.consume())
            watched = made.maps[abi.WATCH].array(abi.WATCHED)
            watched["until_ns"] = WORD
            made.run({"time": 5, "u64": 0, "u8": 3})
            made.run({"time": 6, "u64": 1, "u8": 3})
            made.run({"time": 7, "u64": 1, "u8": 4})
            records = list(ring.consume())
        verdicts = [np.frombuffer(each, abi.VERDICT, 1)[0] for each in records]
        names = ("label", "network", "number", "time_ns")
        assert [tuple(int(each[name]) for name in names) for each in verdicts] == [(2, 7, 1, 5), (0, 7, 2, 6), (0, 7, 1, 7)]
        assert [each[abi.VERDICT.itemsize :] for each in records] == [key.to_bytes(8, "little") for key in (3, 3, 4)]
