#!/usr/bin/env python3
"""Prints what an event costs a thread that did not ask for the network: with nothing, an empty program, and the thread filter,
attached as a session does and as an instance does.

Run as root from the top of the tree, with a C compiler: `python3 tools/trigger_cost.py [ROUNDS]`. Every number is the least of
ROUNDS (15) times some short loops in C, all of them in turn in one process. Exits with 1 where the filter misses its aim.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "tests")]

from ebpfnn_plugins.task import do_nothing, system_call  # noqa: E402
from networks import random_network  # noqa: E402

from ebpfnn.compiler import Body  # noqa: E402
from ebpfnn.instance.stub import load_stub  # noqa: E402
from ebpfnn.kernel import Object, run_statistics  # noqa: E402
from ebpfnn.obj import ObjectSpec  # noqa: E402
from ebpfnn.plugin import Plugins, Trigger, why_not  # noqa: E402
from ebpfnn.session.compiling import compile_here  # noqa: E402
from ebpfnn.session.loading import load  # noqa: E402

AIM = 70  # ns that the filter adds to an empty program at a system call
GETPPID, GETPGID, GETUID = {"x86_64": (110, 121, 102), "aarch64": (173, 155, 174)}[platform.machine()]
LOOPS = 30  # short ones, of which some find the machine quiet
NETWORK = random_network((784, 32, 10), seed=1)
SOURCE = """
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}
__attribute__((noinline, noclone)) int probed(int number) { __asm__ volatile(""); return number; }
double calls(long number, long count)
{
	double began = now();
	for (long call = 0; call < count; call++)
		syscall(number, 0, 0, 0);
	return (now() - began) / count;
}
double functions(long number, long count)
{
	double began = now();
	for (long call = 0; call < count; call++)
		probed(number);
	return (now() - began) / count;
}
void spin(long nanoseconds)
{
	double began = now();
	while (now() - began < nanoseconds)
		;
}
"""


@dataclass
class Row:
    """One trigger at one target, and the loops that provoke it and something else; ``aimed`` where the aim is meant for it."""

    trigger: Trigger
    target: str
    aimed: bool
    hot: Callable[[], float]
    other: Callable[[], float]
    least: dict[str, float] = field(default_factory=dict)

    def note(self, column: str, nanoseconds: float) -> None:
        self.least[column] = min(nanoseconds, self.least.get(column, nanoseconds))


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    body = compile_here(NETWORK)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as held:
        path = build(Path(directory))
        library = ctypes.CDLL(str(path))
        library.calls.restype = library.functions.restype = ctypes.c_double
        rows = list(known_rows(path, library))
        programs = [(row, ways(row, body, held)) for row in rows]
        for _ in range(rounds):
            for row, columns in programs:
                measure(row, columns)
        held.enter_context(run_statistics())
        rows.append(timer(library, body, rounds))
    return report(rows)


def build(directory: Path) -> Path:
    path = directory / "loops.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=SOURCE, text=True, check=True)
    return path


def known_rows(path: Path, library: ctypes.CDLL) -> Iterator[Row]:
    """A row for every trigger that runs here."""

    def least(loop: Callable[[ctypes.c_long, ctypes.c_long], float], number: int, times: int) -> float:
        return min(loop(ctypes.c_long(number), ctypes.c_long(times)) for _ in range(LOOPS))

    found = Plugins.installed()
    targets = {
        "tracepoint": ("syscalls:sys_enter_getppid", {}),
        "raw_tracepoint": ("sys_enter", {"nr": str(GETPPID)}),
        "kprobe": (system_call("getpgid"), {}),
        "kretprobe": (system_call("getpgid"), {}),
        "fentry": (system_call("getpgid"), {}),
        "fexit": (system_call("getpgid"), {}),
        "uprobe": (f"{path}:probed", {}),
    }
    for name, (target, options) in targets.items():
        trigger = found.trigger(name).with_options(options)
        lack = why_not(trigger)
        if lack:
            print(f"left out: {name}: {lack}", file=sys.stderr)
            continue
        number = GETPGID if target == system_call("getpgid") else GETPPID
        hot = partial(least, library.functions, 1, 100) if name == "uprobe" else partial(least, library.calls, number, 2000)
        yield Row(trigger, target, name != "uprobe", hot, partial(least, library.calls, GETUID, 2000))


def ways(row: Row, body: Body, held: ExitStack) -> dict[str, Object]:
    """By its column, what can be attached: nothing, the shell, or what an instance attaches, which calls the shell."""
    filtered = held.enter_context(load(NETWORK, row.trigger, body, row.target))
    stub = held.enter_context(load_stub(row.trigger, row.target, filtered.programs[row.trigger.program()]))
    return {"empty": held.enter_context(empty(row)), "filter": filtered, "instance": stub}


def empty(row: Row) -> Object:
    shell = ObjectSpec.from_file(row.trigger.object_path())
    shell.keep_programs(row.trigger.program())
    row.trigger.prepare(shell, row.target)
    return Object.load(do_nothing(shell.programs[row.trigger.program()]))


def measure(row: Row, columns: dict[str, Object]) -> None:
    row.note("bare", row.hot())
    row.note("other bare", row.other())
    for column, loaded in columns.items():
        with row.trigger.attach(loaded, row.target):
            row.note(column, row.hot())
            row.note(f"other {column}", row.other())


def timer(library: ctypes.CDLL, body: Body, rounds: int) -> Row:
    """A timer's program interrupts: the kernel's own statistics tell how long it runs, in a mean of some thousand runs."""
    row = Row(Plugins.installed().trigger("perf"), "cpu-clock:10000", False, lambda: 0, lambda: 0, {"bare": 0})
    with ExitStack() as held:
        columns = ways(row, body, held)
        for _ in range(rounds):
            for column, loaded in columns.items():
                program = loaded.programs[row.trigger.program()]
                before = program.info()
                with row.trigger.attach(loaded, row.target):
                    library.spin(ctypes.c_long(200_000_000))
                after = program.info()
                row.note(column, (after.run_time_ns - before.run_time_ns) / (after.run_cnt - before.run_cnt))
    return row


def report(rows: list[Row]) -> int:
    print(f"Linux {os.uname().release}, {platform.machine()}, {os.cpu_count()} CPUs; ns, least of all rounds\n")
    print("| trigger | target | bare | empty program | thread filter | filter - empty | instance | another call: bare | then |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    missed = 0
    for row in rows:
        took, found = row.least, row.least["filter"] - row.least["empty"]
        missed += row.aimed and max(found, row.least["instance"] - row.least["empty"]) > AIM
        target = row.target if row.trigger.name != "uprobe" else "BINARY:SYMBOL"
        cells = [f"`{row.trigger.name}`", f"`{target}`"]
        cells += [f"{took[name]:.0f}" if took.get(name) else "-" for name in ("bare", "empty", "filter")]
        cells += [f"{found:.0f}"]
        cells += [f"{took[name]:.0f}" if name in took else "-" for name in ("instance", "other bare", "other filter")]
        print(f"| {' | '.join(cells)} |")
    told = "missed" if missed else "held"
    print(f"\nat a system call a session or an instance adds at most {AIM} ns to an empty program: {told}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
