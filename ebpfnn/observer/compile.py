"""Compiles a spec for one of its events: writes ``ebpfnn_observe`` from front to back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..abi import COUNTS as COUNTS_MAP
from ..abi import INFER, MAX_SCORES, SCRATCH, STATES
from ..errors import ModelError
from ..events.bound import Bound, BoundCondition, Derived, Source
from ..events.fields import OBSERVER, Field, Place
from ..events.policy import Policy, allowed_at
from ..network.inputformat import InputFormat
from ..obj import Function, ObjectSpec
from ..obj.asm import R0, R1, R2, Register
from ..preparation.columns import Column
from .cases import EACH
from .cells import Cell, cells_of
from .columns import emit_results, emit_steps
from .conditions import emit_conditions
from .keys import emit_key
from .layout import INFERRED, KEY, LABEL, NUMBER, lay_out
from .maps import BOUNDS, maps_of, maps_of_policy, table
from .mode import Mode
from .policy import emit_allowed, emit_decision
from .rows import can_choose, emit_choice, emit_record, emit_row
from .samples import SampleWriter
from .state import emit_event, emit_state, unlock
from .types import Types
from .verdicts import emit_inference
from .writer import CONTEXT, COUNTS, FIELDS, MEMORY, STATE, Writer

RING_BYTES = 1 << 20
"""The size of the ring buffer of records and rows if nothing else is asked for."""


def compile_observer(
    bound: Bound,
    event_index: int,
    mode: Mode,
    *,
    columns: Sequence[Column] = (),
    form: InputFormat | None = None,
    classes: int = 0,
    workspace: int = 0,
    network: int = 0,
    policy: Policy | None = None,
    cases: int = EACH,
    valued: bool = False,
    ring_bytes: int = RING_BYTES,
) -> ObjectSpec:
    """The object that defines ``ebpfnn_observe`` for event number ``event_index`` of a spec.

    In mode VERDICTS it calls ``ebpfnn_infer``, whose input is ``form``, made of a row by ``columns``. It has ``classes`` scores
    and needs ``workspace`` bytes behind its result. ``network`` is the number of swaps before it. If results are ``valued``,
    the margin of a verdict is the score. With a ``policy``, what it returns says whether to act on the event
    (:data:`ebpfnn.abi.ACT`), and the latest ``cases`` of each event are kept on each CPU, a power of two. In the other modes
    records and rows go to a ring buffer of ``ring_bytes``, a power of two of at least a page. ``link`` a shell with the object,
    and that with a body. Programs of several events share all maps but ``ebpfnn_scratch`` and the shell's (:mod:`ebpfnn.abi`).

    Raises :class:`ModelError` for columns that do not fit the spec or ``form``, and for more memory than a CPU has.
    """
    cells: tuple[Cell, ...] = ()
    if mode is Mode.VERDICTS:
        cells = cells_of(bound, columns, form)
        if not cells or not 1 <= classes <= MAX_SCORES:
            fact = f"spec '{bound.spec.name}': {len(cells)} inputs and {classes} classes"
            raise ModelError(f"{fact}; give the network's columns, and 1 to {MAX_SCORES} classes")
    sample_bytes = form.sample_bytes if form is not None and cells else len(cells)
    if policy and (mode is not Mode.VERDICTS or policy.spared >= classes):
        fact = f"spec '{bound.spec.name}': a policy spares label {policy.spared} of {classes}"
        raise ModelError(f"{fact}; name one of the network's")
    event = bound.events[event_index]
    recorded = len(event.fields) if mode is Mode.RECORD else 0
    context = tuple(_context(bound, event_index, mode))
    write = Writer(bound, event_index, lay_out(bound, context, recorded, sample_bytes, workspace))
    made = _Compilation(write, mode, cells, form, classes, network, valued=valued, policy=policy, cases=cases)
    return made.compile(ring_bytes)


class _Compilation:
    """Writes the parts one after another. No jump leads over the sample, which may be longer than a jump can be."""

    def __init__(
        self,
        write: Writer,
        mode: Mode,
        cells: Sequence[Cell],
        form: InputFormat | None,
        classes: int,
        network: int,
        *,
        valued: bool,
        policy: Policy | None,
        cases: int,
    ) -> None:
        self.write, self.mode, self.cells, self.form = write, mode, cells, form
        self.classes, self.network, self.valued, self.policy, self.cases = classes, network, valued, policy, cases
        self.samples = SampleWriter(write)
        self.verdicts = mode is Mode.VERDICTS

    def compile(self, ring_bytes: int) -> ObjectSpec:
        write, types = self.write, Types()
        self._begin()
        if self.mode is Mode.RECORD:
            emit_record(write)
            write.finish(0)
        else:
            self._observe()
        if self.verdicts:
            types.declare_network()
        maps = maps_of(write.bound, self.mode, write.memory, types, ring_bytes=ring_bytes)
        if self.policy:
            maps |= maps_of_policy(write.bound, write.memory, self.cases)
        if self.samples.table:
            maps[BOUNDS] = table(bytes(self.samples.table))
        function = self._function(types)
        externs = frozenset({INFER} if self.verdicts else ())
        return ObjectSpec("observer", "GPL", types.btf(), {OBSERVER: function}, maps=maps, externs=externs)

    def _begin(self) -> None:
        """The memory, the conditions, and the count."""
        write = self.write
        ignored, accepted = write.fresh("ignored"), write.fresh("accepted")
        write.note("the memory of this CPU")
        write.mov(FIELDS, R1)
        write.mov(CONTEXT, R2)
        write.lookup_index(SCRATCH)
        write.jump_if(R0, "==", 0, ignored)
        write.mov(MEMORY, R0)
        for field, place in write.memory.context.items():
            _copy(write, field, place)
        if write.event.where:
            write.note("the conditions")
        emit_conditions(write, write.event.where, ignored)
        write.note("an event that is observed")
        write.lookup_index(COUNTS_MAP, write.index)
        write.jump_if(R0, "!=", 0, accepted)
        write.label(ignored)
        write.finish(0)
        write.label(accepted)
        write.mov(COUNTS, R0)
        write.count("observed")
        if self.policy:
            emit_allowed(write, allowed_at(self.policy, write.bound, write.index))

    def _observe(self) -> None:
        write, row = self.write, self.write.fresh("row")
        write.note("the key")
        emit_key(write)
        emit_state(write, verdicts=self.verdicts)
        emit_event(write, set(_derived(write.bound, write.index)), verdicts=self.verdicts)
        emit_steps(write)
        emit_choice(write, row)
        if not write.bound.spec.at.always:
            unlock(write)
            self._end()
        if can_choose(write):  # the verifier refuses code that nothing reaches
            write.label(row)
            self._row()
            self._end(verdict=True)

    def _row(self) -> None:
        write = self.write
        write.load(R1, "u32", STATE, NUMBER)
        write.head(R1)
        write.load_time(R1)
        write.store("u64", STATE, INFERRED, R1)
        emit_results(write)
        unlock(write)
        write.count("rows")
        if self.verdicts:
            self.samples.emit(self.cells, self.form)
            emit_inference(write, self.classes, self.network, valued=self.valued)
        else:
            emit_row(write)

    def _end(self, *, verdict: bool = False) -> None:
        """Ends the state if the event does, and returns the latest verdict, which may be one of this event."""
        write = self.write
        if self.policy:
            emit_decision(write, self.policy, self.cases if verdict else 0)
        if write.event.end:
            goes_on = write.fresh("on")
            write.note("the end of a state")
            emit_conditions(write, write.event.end, goes_on)
            if self.verdicts:
                write.load(FIELDS, "u32", STATE, LABEL)  # before the memory can become another state
            write.delete(STATES, KEY)
            write.count("ended")
            self._finish(FIELDS)
            write.label(goes_on)
        if self.verdicts:
            write.load(R0, "u32", STATE, LABEL)
        self._finish(R0)

    def _finish(self, label: Register) -> None:
        """Returns ``label``, and whether to act, if there is a network."""
        if self.policy:
            self.write.load(R1, "u64", MEMORY, self.write.memory.act)
            self.write.alu(label, "|=", R1)
        self.write.finish(label if self.verdicts else 0)

    def _function(self, types: Types) -> Function:
        first = dict(reversed(self.write.notes))  # of several at one index the first
        lines = tuple(types.line(index, number, first[index]) for number, index in enumerate(sorted(first), 1))
        return self.write.function(OBSERVER, types.function, lines)


def _copy(write: Writer, field: Field, place: int) -> None:
    """Through the memory, so that what may be an address becomes a number for the verifier."""
    write.load_field(R1, field, CONTEXT, field.offset)
    write.store("u64", MEMORY, place, R1)


def _context(bound: Bound, index: int, mode: Mode) -> Iterator[Field]:
    """The fields that the event's part of the spec takes from the program's context, each once."""
    event = bound.events[index]
    seen = set[Field]()
    wanted: Iterator[Source] = iter(event.fields.values()) if mode is Mode.RECORD else _sources(bound, index)
    for source in (*_of_conditions(event.where), *event.key, *wanted):
        if isinstance(source, Field) and source.place is Place.CONTEXT and source not in seen:
            seen.add(source)
            yield source


def _derived(bound: Bound, index: int) -> Iterator[Derived]:
    return (source for source in _sources(bound, index) if isinstance(source, Derived))


def _sources(bound: Bound, index: int) -> Iterator[Source]:
    """What columns, ``at`` and ``end`` read."""
    event = bound.events[index]
    yield from _of_conditions(event.when)
    yield from _of_conditions(event.end)
    for column in bound.columns:
        use = column.uses.get(index)
        if use is not None:
            yield from _of_conditions(use.when)
            if use.source is not None:
                yield use.source


def _of_conditions(conditions: Sequence[BoundCondition]) -> Iterator[Source]:
    return (source for condition in conditions for source in condition.sources)
