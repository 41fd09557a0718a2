"""Checks the whole way from events to verdicts before an instance is attached: shell, observer and network.

Made-up events run through the very code, loaded apart with maps of its own, with a clock that this process sets. Rows and
verdicts must be those of the twin (:mod:`ebpfnn.events.replay`) and of the reference.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

import numpy as np

from .. import abi
from ..bodies import AnyKind, kind_of
from ..compiler import Body
from ..errors import KernelError, NotSupported, SessionError, VerifierError
from ..events.bound import Bound, BoundEvent
from ..events.fields import Field, Place
from ..events.guarding import Case, Guarding
from ..events.replay import Replay, Result
from ..kernel import Program, RingBuffer
from ..network.model import LABEL
from ..obj import ObjectSpec, ProgramType
from ..observer import Mode
from ..plugin import Plugins
from ..preparation import Row
from ..preparation.columns import preparer
from ..session import cases
from ..session.guarding import Brakes
from ..session.observed import Observed
from ..session.observing import event_shell, link_observed, load_sharing
from ..session.provoked import Provoked, provoked
from .proof import prove_apart

_PACKETS = (ProgramType.XDP, ProgramType.SCHED_CLS, ProgramType.SCHED_ACT, ProgramType.SOCKET_FILTER, ProgramType.CGROUP_SKB)
_ENTRIES = 1024
_MOST_MARGIN, _FOREVER = (1 << 31) - 1, (1 << 63) - 1
_ON = struct.pack("<I", 1)


def rehearse(observed: Observed, body: Body, plugins: Plugins | None = None) -> str:
    """Checks ``observed``, and returns how. Nothing stays behind, and nothing is attached.

    If its events cannot be made up here, the network alone is checked. Raises :class:`SessionError` for another result than the
    twin's, and what loading raises.
    """
    shells = [event_shell(*each) for each in zip(observed.triggers, observed.targets, strict=True)]
    packets = [_kind(trigger.program(), shell) in _PACKETS for trigger, shell in zip(observed.triggers, shells, strict=True)]
    smaller = replace(observed, bound=_smaller(observed.bound))
    left_out, kind = "", kind_of(observed.network, plugins)
    with _one_cpu():
        try:
            events = list(provoked(smaller.bound, packets))
            records = _record(smaller, packets, events)
            if not any(records) and not all(packets):
                smaller, left_out = _without_threads(smaller, packets)
                records = _record(smaller, packets, events) if left_out else records
            if not any(records):
                raise NotSupported("no made-up event meets the conditions of the spec")
            return f"by {_compare(smaller, packets, body, events, records, kind)}{left_out}"
        except (NotSupported, _CannotRun) as reason:
            apart = prove_apart(observed.network, body, plugins)
            return f"{apart}, since {str(reason).partition(';')[0]}; its events were not checked"


class _CannotRun(Exception):
    """A program of threads' events that BPF_PROG_RUN cannot run."""


def _kind(program: str, shell: ObjectSpec) -> ProgramType:
    return ProgramType(shell.programs[program].type)


def _smaller(bound: Bound) -> Bound:
    """With room for the states of some keys, so that little memory is taken, and no state is dropped."""
    return replace(bound, spec=replace(bound.spec, state=replace(bound.spec.state, entries=_ENTRIES)))


def _without_threads(observed: Observed, packets: Sequence[bool]) -> tuple[Observed, str]:
    """Without conditions on fields of the thread, which is this one during a rehearsal. Returns also what to tell, or ""."""
    gone: dict[str, None] = {}
    events = list[BoundEvent]()
    for event, packet in zip(observed.bound.events, packets, strict=True):
        of_thread = [each for each in event.where if not packet and _of_thread(each.sources)]
        gone |= {str(getattr(each.sources[0], "name", "")): None for each in of_thread}
        events.append(replace(event, where=tuple(each for each in event.where if each not in of_thread)))
    told = f", without the conditions on {', '.join(gone)}, which this process does not meet" if gone else ""
    return replace(observed, bound=replace(observed.bound, events=tuple(events))), told


def _of_thread(sources: Sequence[object]) -> bool:
    return any(isinstance(each, Field) and each.place is Place.FIELDS for each in sources)


Record = tuple[int, Mapping[str, int]]
"""The index of an event, and its fields."""


class Bench(AbstractContextManager["Bench"]):
    """The programs of every event in one mode, loaded apart, and their clock."""

    def __init__(self, observed: Observed, packets: Sequence[bool], mode: Mode, body: Body | None = None) -> None:
        self._packets = packets
        with ExitStack() as held:
            specs = [_linked(observed, index, packet, body, mode) for index, packet in enumerate(packets)]
            try:
                loaded = [held.enter_context(each) for each in load_sharing(observed, specs, body is not None)]
            except VerifierError as refused:
                if all(packets):
                    raise
                raise _CannotRun(f"its events cannot be made up here ({str(refused).partition(';')[0]})") from refused
            self.maps = loaded[0].maps
            self._programs: list[Program] = [
                each.programs[trigger.program()] for each, trigger in zip(loaded, observed.triggers, strict=True)
            ]
            self._clock = memoryview(self.maps[abi.CLOCK].mmap()).cast("Q")
            held.callback(self._clock.release)
            ring = self.maps.get(abi.ROWS)
            self._ring = held.enter_context(RingBuffer(ring)) if ring else None
            self._held = held.pop_all()

    def run(self, event: Provoked) -> list[bytes]:
        """Runs the program of ``event``, and returns the records that it wrote."""
        self._clock[0] = event.time
        program = self._programs[event.event]
        try:
            program.run(data=event.data) if self._packets[event.event] else program.run(context=event.data)
        except KernelError as refused:
            raise _CannotRun(f"its program cannot be run here ({str(refused).partition(';')[0]})") from refused
        return list(self._ring.consume()) if self._ring else []

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._held.close()


def _linked(observed: Observed, index: int, packet: bool, body: Body | None, mode: Mode) -> ObjectSpec:
    """As :func:`link_observed`, with the clock of the replay. Programs of threads become raw tracepoints, which can be run."""
    trigger, target = observed.triggers[index], observed.targets[index]
    shell = event_shell(trigger, target)
    shell.set_variable(abi.REPLAYING, _ON)
    if not packet:
        name = trigger.program()
        raw = replace(shell.programs[name], type=ProgramType.RAW_TRACEPOINT, expected_attach_type=0, attach_to="")
        shell.programs[name] = raw
    return link_observed(observed, index, shell, body, mode)


def _record(observed: Observed, packets: Sequence[bool], events: Sequence[Provoked]) -> list[Record | None]:
    """The fields of each event, as the extractor gives them. None where the conditions of the spec are not met."""
    with Bench(observed, packets, Mode.RECORD) as bench:
        return [fields_of_record(observed.bound, bench.run(event)) for event in events]


def fields_of_record(bound: Bound, records: Sequence[bytes]) -> Record | None:
    """What the first of ``records`` of an observer in mode RECORD tells. None if there is none."""
    if not records:
        return None
    head = np.frombuffer(records[0], abi.RECORD, 1)[0]
    index = int(head["event"])
    words = np.frombuffer(records[0], np.uint64, offset=abi.RECORD.itemsize).tolist()
    each = zip(bound.events[index].fields.values(), words, strict=True)
    return index, {field.name: word - (1 << 64) if field.signed and word >> 63 else word for field, word in each}


def _compare(
    observed: Observed,
    packets: Sequence[bool],
    body: Body,
    events: Sequence[Provoked],
    records: Sequence[Record | None],
    kind: AnyKind,
) -> str:
    expected = _twin(observed, records)
    rows = [each for each in expected if each is not None]
    if not rows:
        raise NotSupported("the made-up events give no row")
    with Bench(observed, packets, Mode.ROWS) as bench:
        for number, (event, row) in enumerate(zip(events, expected, strict=True)):
            found = [_row(observed.bound, each) for each in bench.run(event)]
            _check(observed, found == ([row] if row else []), f"the row at event {number}")
    guarding = Guarding(observed.guard.policy, observed.bound) if observed.guard else None
    with Bench(observed, packets, Mode.VERDICTS, body) as bench:
        acted = _compare_verdicts(observed, bench, events, records, kind, guarding)
    accepted = sum(each is not None for each in records)
    return f"{len(events)} made-up events: {accepted} observed, {len(rows)} rows and verdicts{acted} as the twin computes them"


def _twin(observed: Observed, records: Sequence[Record | None]) -> list[Result | None]:
    """The rows that the twin computes, one for each event or none."""
    twin = Replay(observed.bound)
    return [None if each is None else twin.observe(*each) for each in records]


def _compare_verdicts(
    observed: Observed,
    bench: Bench,
    events: Sequence[Provoked],
    records: Sequence[Record | None],
    kind: AnyKind,
    guarding: Guarding | None,
) -> str:
    """Checks every verdict, and with ``guarding`` every action. Returns what was checked of actions."""
    if guarding:
        guarding.until = _FOREVER
        Brakes(bench.maps).enforce(_FOREVER)
    seen = [each if each and not (guarding and guarding.is_allowed(*each)) else None for each in records]
    expected = _twin(observed, seen)
    verdicts = _verdicts(observed, [each for each in expected if each is not None], kind)
    for number, (event, record, row) in enumerate(zip(events, records, expected, strict=True)):
        bench.run(event)
        verdict = next(verdicts) if row is not None else None
        if row is not None:
            _check(observed, _verdict(bench, row) == verdict, f"the verdict at event {number}")
        if guarding and record and guarding.accept(*record):
            guarding.decide(*record, (verdict[2] - 1, verdict[3]) if verdict else None, row)
    if guarding is None:
        return ""
    _check(observed, _decided(bench, observed) == +guarding.counts, "the count of actions")
    held = cases.read(bench.maps, observed.bound.key_bytes, len(observed.bound.names))
    _check(observed, sorted(map(_case, held)) == sorted(_latest(guarding, cases.kept(bench.maps))), "a case")
    return f" and {guarding.acted:,} actions"


def _latest(guarding: Guarding, kept: int) -> Iterator[Case]:
    """The cases of the twin that the kernel still has: so many of each event."""
    for event in {case.event for case in guarding.cases}:
        yield from [case for case in guarding.cases if case.event == event][-kept:]


def _case(held: cases.Held) -> Case:
    row = Result(held.key, held.number, held.time, held.results)
    return Case(held.event, row, held.label - 1, held.margin, held.reason)


def _decided(bench: Bench, observed: Observed) -> Counter[tuple[str, int]]:
    """What a guard decided, by reason and label plus 1."""
    counts = Brakes(bench.maps).counts(observed.network.labels)
    every = {(reason, label): number for label, each in enumerate(counts.values()) for reason, number in each.items()}
    return +Counter(every)


def _row(bound: Bound, record: bytes) -> Result:
    head = np.frombuffer(record, abi.RECORD, 1)[0]
    at = abi.RECORD.itemsize
    results = np.frombuffer(record, np.uint64, len(bound.names), at + bound.key_bytes).tolist()
    return Result(record[at : at + bound.key_bytes], int(head["number"]), int(head["time_ns"]), tuple(results))


Verdict = tuple[int, int, int, int]
"""Time, number, label and margin, as the map has them."""


def _verdicts(observed: Observed, rows: Sequence[Result], kind: AnyKind) -> Iterator[Verdict]:
    """What the reference says of ``rows``."""
    sample, names, shape = preparer(observed.columns), observed.bound.names, observed.network.input_shape
    if not rows:
        return
    samples = np.stack([sample(Row(dict(zip(names, each.results, strict=True)))) for each in rows])
    for row, scores in zip(rows, kind.scores(observed.network, samples.reshape(-1, *shape)), strict=True):
        margin = int(scores[0]) if observed.network.result != LABEL else _margin(scores.tolist())
        yield row.time, row.number, int(np.argmax(scores)) + 1, margin


def _margin(scores: list[int]) -> int:
    ordered = sorted(scores, reverse=True)
    return min(ordered[0] - ordered[1], _MOST_MARGIN) if len(ordered) > 1 else _MOST_MARGIN


def _verdict(bench: Bench, row: Result) -> Verdict | None:
    data = bench.maps[abi.VERDICTS].lookup(row.key)
    if data is None:
        return None
    found = np.frombuffer(data, abi.VERDICT, 1)[0]
    return int(found["time_ns"]), int(found["number"]), int(found["label"]), int(found["margin"])


def _check(observed: Observed, equal: bool, what: str) -> None:
    if not equal:
        fact = f"network '{observed.network.name}' behind trigger '{observed.triggers[0].name}'"
        raise SessionError(f"{fact}: {what} of the rehearsal differs from the twin's; report this")


@contextmanager
def _one_cpu() -> Iterator[None]:
    """This thread stays on one CPU, so that the field ``cpu`` is the same in every run."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        yield
    finally:
        os.sched_setaffinity(0, allowed)
