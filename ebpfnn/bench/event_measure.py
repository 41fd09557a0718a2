"""One run over all ways to handle an event: each takes its turn in every round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from ..compiler import Body
from ..errors import NotSupported
from ..plugin import Plugins
from ..session.compiling import compile_here
from . import event_programs as programs
from .event_case import AT_EACH, AT_FIRST, Case
from .event_check import Verdicts, run_all, sequence
from .event_frames import candidates
from .event_guards import GUARDS, guards
from .event_kernel import ProgramRunner, check_frame, load_program, ways
from .event_programs import FLOW
from .event_rows import EMPTY, VETH, EventRow, EventRunner
from .event_user import RingRunner, User, check_ring, library
from .event_veth import THERE, Network, VethRunner
from .measure import lines

_USER = (("cached", True, "the verdict is kept"), ("infer", False, "an inference at each event"))
_COLD = 6
"""Single runs of a row in a cold round."""


class EventBench(ExitStack):
    """Everything that is measured of ``case``.

    ``only`` names rows, beside which the empty programs are run. Without it, all are run that this machine has. ``absent`` says
    which there are none of, and why. With ``by_hand`` there are also those in C, of the spec `flow-24`. ``plugins`` are those
    of :func:`ebpfnn.bodies.kind_of`. Raises as :meth:`Object.load` does, and :class:`NotSupported` for a spec that accepts no
    packet of those that are measured.
    """

    def __init__(self, case: Case, only: Sequence[str] = (), *, by_hand: bool = False, plugins: Plugins | None = None) -> None:
        super().__init__()
        self.case, self._only, self._by_hand, self._plugins = case, only, by_hand, plugins
        self.rows: list[EventRow] = []
        self.absent: dict[str, str] = {}
        self.names: list[str] = []
        self._runners: list[tuple[EventRow, EventRunner]] = []
        with ExitStack() as held:
            self._load(compile_here(case.network, plugins=plugins), held)
            self.push(held.pop_all())

    def _load(self, body: Body, held: ExitStack) -> None:
        frame = check_frame(self.case, body, candidates())
        entries = self.case.spec.state.entries
        for way in ways(self.case, body, by_hand=self._by_hand):
            if self._wants(way.name):
                self._add(ProgramRunner(way, frame, entries, held))
        with self._unless_lacking("guard-*"):
            self._load_guards(body, frame, held)
        if not self._by_hand:
            self.absent["c-*, ring-*, veth-*"] = f"they are for the spec '{FLOW}' and a network of random weights"
            return
        self._load_ring(frame, held)
        with self._unless_lacking(f"{VETH}-*"):
            self._load_veth(body, frame, held)
        self._compare(body)

    def _load_guards(self, body: Body, frame: bytes, held: ExitStack) -> None:
        wanted = [name for name in GUARDS if self._wants(name)]
        for way in guards(self.case, body, frame, self._plugins or Plugins.installed()) if wanted else ():
            if way.name in wanted:
                self._add(ProgramRunner(way, frame, self.case.spec.state.entries, held))

    def _load_ring(self, frame: bytes, held: ExitStack) -> None:
        for name, at_first, what in [each for each in _USER if self._wants(f"ring-{each[0]}")]:
            told = f"a ring buffer, and C in user space: {what}"
            with self._unless_lacking("ring-*"):
                self._add(RingRunner(f"ring-{name}", told, self.case, frame, held, at_first=at_first))

    def _load_veth(self, body: Body, frame: bytes, held: ExitStack) -> None:
        names = [VETH, *(f"{VETH}-{name}" for name, *_ in _USER), *(f"{VETH}-socket-{name}" for name, *_ in _USER)]
        wanted = [name for name in names if self._wants(name)]
        if not wanted:
            return
        library()  # all of these are sent from C
        network = Network(held)
        sender = network.packet_socket(THERE, 0, held)
        nothing = load_program(programs.empty(self.case), held)
        self._add(VethRunner(VETH, "a veth: a program that passes the packet", network, sender, frame, nothing, None))
        for name, at_first, what in _USER:
            if f"{VETH}-{name}" in wanted:
                told = f"a veth: shell and observer: {what}"
                program = load_program(programs.observing(self.case, AT_FIRST if at_first else AT_EACH, body), held)
                self._add(VethRunner(f"{VETH}-{name}", told, network, sender, frame, program, None))
            if f"{VETH}-socket-{name}" in wanted:
                told = f"a veth: a packet socket, and C in user space: {what}"
                user = User(self.case, held, at_first=at_first)
                self._add(VethRunner(f"{VETH}-socket-{name}", told, network, sender, frame, nothing, user))

    @contextmanager
    def _unless_lacking(self, names: str) -> Iterator[None]:
        """Rows called ``names`` that this machine lacks something for, such as a C compiler, are left out, and it is said."""
        try:
            yield
        except NotSupported as lack:
            self.absent[names] = str(lack)

    def _wants(self, name: str) -> bool:
        self.names.append(name)
        return not self._only or name in self._only or name == EMPTY

    def _compare(self, body: Body) -> None:
        """Holds the C against the compiled spec, as far as there are rows in C."""
        packets = sequence()
        ways: dict[str, Callable[[], Verdicts]] = {
            "c-alone-": lambda: run_all(programs.alone(AT_EACH, body, replaying=True), packets),
            "c-": lambda: run_all(programs.behind_shell(self.case, AT_EACH, body, replaying=True), packets),
            "ring-": lambda: check_ring(self.case, packets),
        }
        ways[f"{VETH}-socket-"] = ways["ring-"]
        kinds = {row.name: next((each for each in ways if row.name.startswith(each)), "") for row in self.rows}
        if not any(kinds.values()):
            return
        expected = run_all(programs.observing(self.case, AT_EACH, body, replaying=True), packets)
        exact = {kind: ways[kind]() == expected for kind in set(kinds.values()) if kind}
        for row in self.rows:
            row.exact = exact.get(kinds[row.name], row.exact)

    def _add(self, runner: EventRunner) -> None:
        row = EventRow(runner.name, runner.base, "warm", runner.told, runner.exact)
        self.rows.append(row)
        self._runners.append((row, runner))

    def warm(self, rounds: Iterable[object]) -> None:
        for _ in rounds:
            for row, runner in self._runners:
                row.rounds.append(runner.warm())

    def cold(self, rounds: Iterable[object]) -> None:
        """Before each single run, a walk through a buffer empties the caches; these are rows apart."""
        walked = lines()
        cold = [(replace(row, cache="cold", rounds=[]), runner) for row, runner in self._runners if runner.cold() is not None]
        self.rows += [row for row, _ in cold]
        for _ in rounds:
            for row, runner in cold:
                found = []
                for _ in range(_COLD):
                    walked["first"] += 1
                    found.append(runner.cold() or 0.0)
                row.rounds.append(sum(found) / len(found))
