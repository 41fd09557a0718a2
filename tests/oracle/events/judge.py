"""Holds the twin and the kernel to the arithmetic: each row, sample, label, margin and count with ``==``."""

from __future__ import annotations

import struct
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from ebpfnn_plugins import reducers

from ebpfnn.compiler import Body, compile_network
from ebpfnn.errors import Error, KernelError, ModelError
from ebpfnn.events import Field, Place
from ebpfnn.events.bind import bind
from ebpfnn.events.bound import Bound
from ebpfnn.events.replay import Replay
from ebpfnn.events.specfile import build, describe
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.preparation import columns as preparation

from . import encodings, generate, networks, refusals, sequences, worlds
from .kernel import Running, Shell, one_thread, shells
from .machine import Machine, Seen, event_name
from .shells import capture
from .tell import Difference, Tally

_HEADER = struct.Struct("=IIQ")
_COUNTS = ("observed", "created", "restarted", "ended", "unstored", "frozen", "rows", "inferences", "failed", "lost")
_VERDICT = struct.Struct("=QQIiII")
REDUCERS = {each.name: each for each in reducers.ALL}
Spec = Mapping[str, Any]
Events = Sequence[sequences.Event]


class Unlike(Exception):
    """What was not as it must be, and the number of the event at which it was."""

    def __init__(self, fact: str, at: int) -> None:
        super().__init__(fact)
        self.fact, self.at = fact, at


class Judge:
    """Judges the spec of one ``seed``, or a given one, into ``tally``. ``directory`` keeps what clang makes."""

    def __init__(
        self, seed: int, tally: Tally, directory: Path, world: worlds.World | None = None, spec: dict[str, Any] | None = None
    ) -> None:
        self.seed, self.tally, self.directory = seed, tally, directory
        self.random = Random(seed)
        self.world = world or worlds.world(self.random)
        self.spec = spec or generate.spec(self.world, self.random)
        self.events = sequences.events(self.world, self.spec, self.random)
        self.shells = shells(self.world, directory)

    def judge(self, *, kernel: bool = True) -> None:
        self.tally.specs += 1
        with one_thread() as thread:
            self.events = [self._really(event, thread) for event in self.events]
            self.hold("twin")
            if kernel:
                for way in ("records", "rows", "samples", "verdicts"):
                    self.hold(way)

    def twin(self, spec: Spec, events: Events) -> None:
        """Each row of :class:`Replay`; and that the spec is the same behind :func:`describe`."""
        bound = self.bound(spec)
        if describe(build(describe(bound.spec))) != describe(bound.spec):
            raise Unlike(f"another spec behind describe(): {describe(bound.spec)}", 0)
        machine, replay = self._machine(spec), Replay(bound)
        if list(bound.names) != machine.names:
            raise Unlike(f"results are called {bound.names}, and must be {machine.names}", 0)
        for at, event in enumerate(events):
            seen, found = machine.observe(event.index, event.values), replay.observe(event.index, event.values)
            wanted = None if seen is None or seen.row is None else (seen.key, seen.number, seen.time, seen.row)
            self.tally.events += 1
            self.tally.rows += wanted is not None
            if wanted != (found and tuple(found)):
                raise Unlike(f"event {at}: row {found and tuple(found)}, and must be {wanted}", at)

    def records(self, spec: Spec, events: Events) -> None:
        """In the kernel, all fields of each event that is observed; no state takes part."""
        bound = self.bound(spec)
        with self.running(lambda index: [compile_observer(bound, index, Mode.RECORD)]) as running:
            for at, event, seen, _ in self._through(running, spec, events):
                usable = [each.name for each in self.shells[event.index].fields if each.name not in generate.DERIVED]
                values = [event.values[name] % 2**64 for name in usable]
                whole = _HEADER.pack(event.index, 0, event.values["time"]) + struct.pack(f"={len(values)}Q", *values)
                records, wanted = list(running.records()), [] if seen is None else [whole]
                if records != wanted:
                    raise Unlike(f"event {at}: record {list(map(_told, records))}, and must be {list(map(_told, wanted))}", at)

    def rows(self, spec: Spec, events: Events) -> None:
        """In the kernel, without a network."""
        bound = self.bound(spec)
        with self.running(lambda index: [compile_observer(bound, index, Mode.ROWS)]) as running:
            for at, event, seen, _ in self._through(running, spec, events):
                records = list(running.records())
                wanted = [] if seen is None or seen.row is None else [_record(event.index, seen)]
                self.tally.rows += len(wanted)
                if records != wanted:
                    raise Unlike(f"event {at}: row {list(map(_told, records))}, and must be {list(map(_told, wanted))}", at)

    def samples(self, spec: Spec, events: Events) -> None:
        """In the kernel, before a network that keeps them."""
        random = np.random.default_rng([self.seed, 3])
        columns = self._columns(spec, events)
        form = networks.input_format(columns, random)
        body = Body(capture(form.sample_bytes, self.directory), 0)
        with self._judging(spec, _Told(columns, form, 2), body) as running:
            for at, _, seen, _ in self._through(running, spec, events):
                if seen is None or seen.row is None:
                    continue
                wanted, found = networks.given(form, columns, seen.row), running.maps["captured"].lookup(bytes(4))
                self.tally.samples += 1
                if found != wanted:
                    raise Unlike(
                        f"event {at}: sample {_hex(found)} of row {seen.row}, and must be {_hex(wanted)}; {columns}", at
                    )

    def verdicts(self, spec: Spec, events: Events) -> None:
        """In the kernel, by a random network."""
        random = np.random.default_rng([self.seed, 4])
        columns = self._columns(spec, events)
        network = networks.network(columns, self._rows(spec, events), random)
        body = compile_network(network)
        latest: dict[bytes, tuple[networks.Verdict, Seen]] = {}
        counts: list[Counter[str]] = [Counter() for _ in self.shells]
        labels = [0] * 64
        with self._judging(spec, _Told(columns, network.input, len(network.labels)), body) as running:
            own = all(kind.made_by in ("one", "other") for kind in self.world.events)
            for at, event, seen, returned in self._through(running, spec, events):
                _count(counts[event.index], seen)
                if seen is not None and seen.row is not None:
                    said = networks.verdict(network, columns, seen.row)
                    latest[seen.key] = said, seen
                    labels[said.label] += 1
                    self.tally.verdicts += 1
                self._hold_verdict(running, spec, at, seen, latest)
                wanted = latest[seen.key][0].label + 1 if seen and seen.key in latest else 0
                if own and _keeps(spec) and returned != wanted:
                    raise Unlike(f"event {at}: returned {returned}, and must return {wanted}", at)
            self._hold_counts(running, counts, labels, len(events))

    def _hold_verdict(self, running: Running, spec: Spec, at: int, seen: Seen | None, latest: dict[Any, Any]) -> None:
        if seen is None or not (_keeps(spec) or seen.row is not None):
            return
        data = running.maps["ebpfnn_verdicts"].lookup(seen.key)
        said, then = latest.get(seen.key, (None, None))
        wanted = None if said is None else (then.time, said.label + 1, said.margin, 0, then.number)
        found = None
        if data is not None:
            time, _, label, margin, network, number = _VERDICT.unpack(data)
            found = time, label, margin, network, number
        if found != wanted:
            raise Unlike(f"event {at}: verdict {found} (time, label, margin, network, number), and must be {wanted}", at)

    def _hold_counts(self, running: Running, counts: Sequence[Counter[str]], labels: Sequence[int], at: int) -> None:
        """Of each kind of event, and the inferences of each label."""
        for index, counted in enumerate(counts):
            table = running.maps["ebpfnn_counts"].lookup_percpu(struct.pack("=I", index), np.uint64)
            assert table is not None
            found = dict(zip(_COUNTS, table.sum(axis=0).tolist(), strict=True))
            counted["inferences"] = counted["rows"]
            wanted = {name: counted[name] for name in _COUNTS}
            if found != wanted:
                raise Unlike(f"counts of event {index}: {found}, and must be {wanted}", at)
        for label, count in enumerate(labels):
            each = running.maps["ebpfnn_classes"].lookup_percpu(struct.pack("=I", label), np.uint64)
            assert each is not None
            if int(each.sum()) != count:
                raise Unlike(f"{int(each.sum())} inferences of label {label}, and must be {count}", at)

    def _through(self, running: Running, spec: Spec, events: Events) -> Iterator[tuple[int, sequences.Event, Seen | None, int]]:
        """Each event that the kernel took, what must come of it, and what its program returned."""
        machine = self._machine(spec)
        for at, event in enumerate(events):
            try:
                returned = running.run(event)
            except KernelError:
                if not event.frame:
                    raise
                continue
            self.tally.events += 1
            yield at, event, machine.observe(event.index, event.values), returned

    def _judging(self, spec: Spec, told: _Told, body: Body) -> Running:
        bound = self.bound(spec)

        def observer(index: int) -> list[Any]:
            made = compile_observer(
                bound,
                index,
                Mode.VERDICTS,
                columns=told.columns,
                form=told.form,
                classes=told.classes,
                workspace=body.workspace,
            )
            return [made, body.spec]

        return self.running(observer)

    def running(self, observer: Callable[[int], Sequence[Any]]) -> Running:
        self.tally.loads += len(self.shells)
        return Running(self.world, self.shells, observer)

    def _columns(self, spec: Spec, events: Events) -> list[dict[str, Any]]:
        """Encoders, the same each time: with bounds where the results of all events are."""
        names, random = self._machine(spec).names, Random(self.seed + 1)
        thermometers, most = random.random() < 0.4, 16 if len(names) < 40 else 4
        return encodings.columns(names, self._rows(spec, events), random, thermometers=thermometers, most=most)

    def _rows(self, spec: Spec, events: Events) -> list[tuple[int, ...]]:
        machine = self._machine(spec)
        seen = [machine.observe(event.index, event.values) for event in events]
        return [each.row for each in seen if each is not None and each.row is not None]

    def _machine(self, spec: Spec) -> Machine:
        return Machine(spec, [kind.types for kind in self.world.events])

    def bound(self, spec: Spec) -> Bound:
        names = map(event_name, spec["event"])
        return bind(build(spec), {name: shell.fields for name, shell in zip(names, self.shells, strict=True)}, REDUCERS)

    def _really(self, event: sequences.Event, thread: Mapping[str, int]) -> sequences.Event:
        """Fields of a thread are those of this one, wherever no test makes them up."""
        if self.world.kind == "threads":
            text = b"".join(event.values[each].to_bytes(8, "little") for each in ("comm", "comm_rest"))
            name = text.partition(b"\0")[0].ljust(16, b"\0")
            names = {"comm": int.from_bytes(name[:8], "little"), "comm_rest": int.from_bytes(name[8:], "little")}
            return sequences.Event(event.index, {**event.values, **thread, **names})
        return sequences.Event(event.index, {**event.values, "cpu": thread["cpu"]}, event.frame) if event.frame else event

    def hold(self, way: str) -> None:
        """Judges by one way: ``twin``, ``records``, ``rows``, ``samples`` or ``verdicts``."""
        judged = getattr(self, way)
        found = self._unlike(judged, self.spec, self.events)
        if found is None:
            return
        spec, events = self._fewest(judged, self.events[: found.at + 1])
        again = self._unlike(judged, spec, events) or found
        self.tally.differences.append(Difference(self.seed, way, again.fact, spec, len(events)))

    def _unlike(self, judged: Callable[[Spec, Events], None], spec: Spec, events: Events) -> Unlike | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                judged(spec, events)
        except Unlike as unlike:
            return unlike
        except (Error, RuntimeWarning) as fault:
            return Unlike(f"{type(fault).__name__}: {' '.join(str(fault).split())[:2000]}", len(events))
        return None

    def _fewest(self, judged: Callable[[Spec, Events], None], events: Events) -> tuple[Spec, Events]:
        """Fewer columns, members and events that still are not as they must be."""
        spec: dict[str, Any] = dict(self.spec)
        for name in ("where", "end", "at", "state"):
            fewer = {member: value for member, value in spec.items() if member != name}
            spec = fewer if self._unlike(judged, fewer, events) else spec
        step = len(spec["column"]) // 2
        while step:
            for at in range(0, len(spec["column"]), step):
                kept = [*spec["column"][:at], *spec["column"][at + step :]]
                if kept and self._unlike(judged, {**spec, "column": kept}, events):
                    spec["column"] = kept
            step //= 2
        step = len(events) // 2
        while step:
            for at in reversed(range(0, len(events), step)):
                fewer_events = [*events[:at], *events[at + step :]]
                if fewer_events and self._unlike(judged, spec, fewer_events):
                    events = fewer_events
            step //= 2
        return spec, events


class _Told:
    """What an observer is told of a network."""

    def __init__(self, columns: Sequence[dict[str, Any]], form: InputFormat, classes: int) -> None:
        self.columns, self.form, self.classes = preparation.read({"columns": list(columns)}), form, classes


def _keeps(spec: Spec) -> bool:
    """Whether the map of verdicts, which is as large as that of states and LRU, keeps those of all keys."""
    return int(spec.get("state", {}).get("entries", 65_536)) >= 512


def _count(counts: Counter[str], seen: Seen | None) -> None:
    if seen is None:
        return
    counts["observed"] += 1
    counts["unstored"] += seen.number == 0 and not seen.frozen
    for name in ("created", "restarted", "ended", "frozen"):
        counts[name] += getattr(seen, name)
    counts["rows"] += seen.row is not None


def _record(index: int, seen: Seen) -> bytes:
    assert seen.row is not None
    return _HEADER.pack(index, seen.number, seen.time) + seen.key + struct.pack(f"={len(seen.row)}Q", *seen.row)


def _told(record: bytes) -> str:
    index, number, time = _HEADER.unpack_from(record)
    words = struct.unpack_from(f"={len(record) // 8 - 2}Q", record, 16)
    return f"event {index} number {number} time {time} key and results {words}"


def _hex(data: bytes | None) -> str:
    return "none" if data is None else data.hex()


def fields_of_types(types: Mapping[str, str]) -> list[Field]:
    """As a C compiler lays them out."""
    found, at = list[Field](), 0
    for name, type_ in types.items():
        size = int(type_[1:]) // 8
        at = -(-at // size) * size
        found.append(Field(name, at, size, type_[0] == "s", place=Place.FIELDS))
        at += size
    return found


def judge_refusals(tally: Tally, report: Callable[[Difference], None]) -> None:
    """Each spec beyond a limit must raise :class:`ModelError` with one line."""
    known = len(tally.differences)
    for what, spec, types in refusals.cases():
        try:
            bind(build(spec), {name: fields_of_types(each) for name, each in types.items()}, REDUCERS)
        except ModelError as refusal:
            tally.refused += 1
            if "\n" in str(refusal):
                tally.differences.append(Difference(0, "refusal", f"{what}: more than a line: {refusal}", spec))
        except Exception:
            tally.differences.append(Difference(0, "refusal", f"{what}: {traceback.format_exc()}", spec))
        else:
            tally.differences.append(Difference(0, "refusal", f"{what}: taken, and must be refused", spec))
    for difference in tally.differences[known:]:
        report(difference)


def judge_many(
    seeds: Iterator[int], tally: Tally, directory: Path, report: Callable[[Difference], None], *, kernel: bool = True
) -> None:
    """Judges one spec a seed; tells ``report`` of the first difference of each. An exception without a type is one too."""
    for seed in seeds:
        known = len(tally.differences)
        try:
            Judge(seed, tally, directory).judge(kernel=kernel)
        except Exception:
            tally.differences.append(Difference(seed, "on the way", traceback.format_exc(), {}))
        for difference in tally.differences[known : known + 1]:
            report(difference)


__all__ = ["Judge", "Shell", "judge_many", "judge_refusals"]
