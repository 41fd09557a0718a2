#!/usr/bin/env python3
"""Prints what an event costs that a network observes: the table of docs/triggers.md.

Run as root from the top of the tree, with a C compiler: `python3 tools/observer_cost.py [ROUNDS]`. Every way is measured in
turn, ROUNDS (21) times, in one process: XDP by BPF_PROG_RUN of a frame, the tracepoint by a system call in a loop in C.
Nobody else's events are observed: frames are made up, and the tracepoint has a condition on this process.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "tests" / "support"), str(ROOT / "tools")]

from ebpfnn_plugins.task import do_nothing  # noqa: E402
from networks import random_network  # noqa: E402
from trigger_cost import GETPPID, LOOPS, build  # noqa: E402

from ebpfnn.events import specfile  # noqa: E402
from ebpfnn.instance.stub import load_stub  # noqa: E402
from ebpfnn.kernel import Object, Program  # noqa: E402
from ebpfnn.network import QuantizedNetwork  # noqa: E402
from ebpfnn.network.events import carried  # noqa: E402
from ebpfnn.network.layers import InputFormat  # noqa: E402
from ebpfnn.network.preparation import Preparation  # noqa: E402
from ebpfnn.obj import Function, ObjectSpec  # noqa: E402
from ebpfnn.obj.asm import R0, Assembler  # noqa: E402
from ebpfnn.plugin import Plugins, Trigger  # noqa: E402
from ebpfnn.session.compiling import compile_here  # noqa: E402
from ebpfnn.session.observed import observe  # noqa: E402
from ebpfnn.session.observing import load_observed  # noqa: E402
from ebpfnn.session.provoked import provoked  # noqa: E402

REPEAT, CALLS = 20_000, 2_000
NEVER = {"count": [(1 << 32) - 2]}
FLOW = specfile.describe(specfile.find("flow"))
TARGET = "syscalls:sys_enter_getppid"
OWN: dict[str, Any] = {
    "name": "calls",
    "key": ["tgid"],
    "event": [{"trigger": "tracepoint", "target": TARGET}],
    "column": [
        {"name": "calls", "reduce": "count"},
        {"name": "gap", "reduce": "ewma", "of": "gap", "shift": 10},
        {"name": "longest", "reduce": "max", "of": "gap"},
        {"name": "second", "reduce": "period", "period": "1s"},
    ],
}


@dataclass
class Way:
    """One thing that can be at an event. ``run`` measures it once, in ns an event."""

    name: str
    run: Callable[[], float]
    found: list[float] = field(default_factory=list)


def network(spec: Mapping[str, Any], trigger: str, plugins: Plugins) -> QuantizedNetwork:
    """N-16-2 over all results of ``spec``, with 16 bounds each."""
    bound = observe_names(spec, plugins)
    bounds = [1 << bit for bit in range(2, 34, 2)]
    columns = [{"name": name, "type": "integer", "encode": "bins", "bounds": bounds, "step": 15} for name in bound]
    form = InputFormat((len(columns),), prepared=Preparation("columns", {"columns": columns}))
    made = random_network([len(columns), 16, 2], seed=1)
    return QuantizedNetwork("cost", form, ("no", "yes"), made.layers, made.score_scale, events=carried(spec, trigger))


def observe_names(spec: Mapping[str, Any], plugins: Plugins) -> list[str]:
    """The names of its results."""
    found = list[str]()
    for column in specfile.build(spec).columns:
        reducer = plugins.reducers[column.reduce]
        options = reducer.read_options(column.options)
        count = reducer.results(options)
        numbered = reducer.numbered(options)
        found += [f"{column.name}.{number + 1}" for number in range(count)] if numbered else [column.name]
    return found


def load(
    held: ExitStack, spec: Mapping[str, Any], trigger: Trigger, target: str | None, plugins: Plugins, filters: Any = ()
) -> Object:
    """The first event's program with the network of ``spec``."""
    net = network(spec, trigger.name, plugins)
    found = observe(net, trigger, target, filters=filters, plugins=plugins)
    (loaded,) = (held.enter_context(each) for each in load_observed(found, compile_here(net)))
    return loaded


def xdp_ways(held: ExitStack, plugins: Plugins) -> list[Way]:
    trigger = plugins.trigger("xdp")
    entry = trigger.observer().program()
    net = network({**FLOW, "at": NEVER}, "xdp", plugins)
    found = observe(net, trigger, "lo", plugins=plugins, any_mode=True)
    frame = next(each.data for each in provoked(found.bound, [True]) if each.data[23] == 6)
    shell = ObjectSpec.from_file(trigger.observer().object_path()).programs[entry]
    empty = held.enter_context(Object.load(passing(shell)))
    loaded = {
        "fields, then a condition that leaves it out": load(held, FLOW, trigger, "lo", plugins, ["hops == 250"]),
        "25 columns, no row": load(held, {**FLOW, "at": NEVER}, trigger, "lo", plugins),
        "25 columns, row and network at every frame": load(held, {**FLOW, "at": {}}, trigger, "lo", plugins),
    }
    stubs = {
        name: held.enter_context(load_stub(trigger.observer(), "lo", each.programs[entry])) for name, each in loaded.items()
    }
    programs = {"empty program": empty.programs[shell.name], **{name: each.programs[entry] for name, each in stubs.items()}}
    return [Way(name, timed(program, frame)) for name, program in programs.items()]


def timed(program: Program, frame: bytes) -> Callable[[], float]:
    return lambda: min(program.run(data=frame, repeat=REPEAT).duration for _ in range(3))


def passing(program: Any) -> ObjectSpec:
    """An object with one program that returns XDP_PASS."""
    emit = Assembler()
    emit.mov(R0, 2)
    emit.exit()
    code: Function = emit.function(program.name)
    return ObjectSpec("passing", "GPL", functions={program.name: code}, programs={program.name: program})


def tracepoint_ways(held: ExitStack, plugins: Plugins, library: ctypes.CDLL) -> list[Way]:
    trigger = plugins.trigger("tracepoint").observer()
    own = [f"tgid == {os.getpid()}"]

    def least() -> float:
        return min(library.calls(ctypes.c_long(GETPPID), ctypes.c_long(CALLS)) for _ in range(LOOPS))

    def attached(loaded: Object) -> Callable[[], float]:
        def run() -> float:
            with trigger.attach(loaded, TARGET):
                return least()

        return run

    given = plugins.trigger("tracepoint")
    shell = ObjectSpec.from_file(trigger.object_path()).programs[trigger.program()]
    loaded = {
        "fields, then a condition that leaves it out": load(held, OWN, given, None, plugins, ["uid == 4000000000"]),
        "4 columns, no row": load(held, {**OWN, "at": NEVER}, given, None, plugins, own),
        "4 columns, row and network at every event": load(held, {**OWN, "at": {}}, given, None, plugins, own),
    }
    stubs = {
        name: held.enter_context(load_stub(trigger, TARGET, each.programs[trigger.program()])) for name, each in loaded.items()
    }
    ways = {"empty program": held.enter_context(Object.load(do_nothing(shell))), **stubs}
    return [Way("no program", least), *(Way(name, attached(each)) for name, each in ways.items())]


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    plugins = Plugins.installed()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as held:
        library = ctypes.CDLL(str(build(Path(directory))))
        library.calls.restype = ctypes.c_double
        groups = {"xdp": xdp_ways(held, plugins), "tracepoint": tracepoint_ways(held, plugins, library)}
        for _ in range(rounds):
            for ways in groups.values():
                for way in ways:
                    way.found.append(way.run())
    print(f"Linux {os.uname().release}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.0f}; ns, of {rounds} rounds in turn\n")
    print("| trigger | at each event | minimum | median | minus empty |")
    print("|---|---|---:|---:|---:|")
    for name, ways in groups.items():
        empty = next(min(way.found) for way in ways if way.name == "empty program")
        for way in ways:
            least = min(way.found)
            print(f"| `{name}` | {way.name} | {least:.0f} | {median(way.found):.0f} | {least - empty:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
