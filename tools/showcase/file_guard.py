#!/usr/bin/env python3
"""A guard that stops programs that encrypt files: how many files are lost until then, and who else is stopped.

    tools/showcase/file_guard.py OUTPUT

Collects rows of simulators and everyday programs, as files.py does; trains and calibrates a rule of one count, a tree and a
network; and then runs sessions that are new to them, some of tools that no model has seen, in a cgroup of its own, with one
guard after another in the kernel, which stops processes of that cgroup by a signal. Prints the tables of docs/showcase.md.
OUTPUT is a directory; with --evaluate, the models that are there are used. As root, with
`pip install 'ebpfnn[train,showcase]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
from figures import markdown
from file_guard_plan import EVERY, SEEN, UNSEEN
from file_plan import BENIGN, FileSession, FileTool, plan
from file_running import SECONDS, begin, content, furnish, present, run_all, simulator
from guard_models import ebpfnn
from guard_tables import wilson
from lab import LabError, end, program
from reporting import interruptible, say

from ebpfnn.kernel import find_cgroup

SPEC = Path(__file__).with_name("process.toml")
RULE, TREE, NETWORK, NOTHING = "rule", "tree", "network", "nothing"
ARCHITECTURES: Mapping[str, tuple[str, ...]] = {
    RULE: ("--arch", "tree:1"),
    TREE: ("--arch", "tree:6", "--leaf-rows", "5"),
    NETWORK: ("--arch", "in-16-2", "--encode", "thermometer", "--bits", "1"),
}
AFTER, LASTING = 2, "1m"
FALSE_POSITIVES = {RULE: 0.5, TREE: 0.002, NETWORK: 0.0}
"""Of rows. A rule that may hit few does nothing at all, so it may hit more."""
_BEGUN = 20
"""Events of a process that encrypts until it has begun to: its first ones are those of the shell and of the loader."""
_LEARN, _CALIBRATE, _EVALUATE = 11, 12, 14  # seeds: no session is in two of them
_AT = "[at]\ncount = [8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64]\nevery = 32\n"
_CHANGED = """
[[column]]
name = "changed_a_second"
reduce = "peak"
period = "1s"
event = ["rename", "renameat", "renameat2", "unlink", "unlinkat"]
"""
_ENTER = 'echo $$ >"$0"/cgroup.procs; exec "$@"'
_POLL = 0.01


def spec(directory: Path) -> Path:
    """process.toml with earlier rows, and the count that the rule has."""
    text, path = SPEC.read_text(), directory / "process.toml"
    before, _, rest = text.partition("[at]\n")
    path.write_text(before + _AT + rest[rest.index("\n[[event]]") :] + _CHANGED)
    return path


def collect(path: Path, of: Path, sessions: Sequence[FileSession]) -> None:
    """Rows of all sessions by programs that are attached once: whose a row is, its time tells."""
    from collecting import keeping

    begun: list[int] = []

    @contextmanager
    def noting(session: FileSession) -> Iterator[None]:
        begun.append(time.monotonic_ns())
        yield

    with keeping(of, path, {}, None) as keeper, keeper.watching("", "all", None):
        run_all(sessions, noting, _tell)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    session = np.searchsorted(np.array(begun, np.uint64), arrays["time"]) - 1
    arrays["label"] = np.array([each.label for each in sessions])[session]
    arrays["group"] = np.array([f"{each.group}-{path.stem}" for each in sessions])[session]
    np.savez(path, **arrays)
    say(f"{path.name}: {len(sessions)} sessions, {len(session)} rows, {keeper.lost} lost")


def _tell(session: FileSession, said: str) -> None:
    if said:
        say(f"{session.group}: {said}")


def make(output: Path, rows: Path, calibrated: Path) -> None:
    with np.load(rows) as opened:
        arrays = {name: opened[name] for name in opened.files}
    kept = (arrays["label"] == BENIGN) | (arrays["number"] >= _BEGUN)
    begun = output / "begun.npz"
    np.savez(begun, **{name: values[kept] if len(values) == len(kept) else values for name, values in arrays.items()})
    columns = {name for name, values in arrays.items() if values.dtype == np.uint64} - {"number", "time", "changed_a_second"}
    for name, options in ARCHITECTURES.items():
        file, ignored = output / f"{name}.safetensors", ("--ignore", ",".join(columns)) if name == RULE else ()
        ebpfnn("train", "--data", begun, "--name", name, "--output", file, "--threads", "1", *options, *ignored)
        say(ebpfnn("calibrate", file, "--data", calibrated, "--false-positives", str(FALSE_POSITIVES[name])))


@contextmanager
def cgroup() -> Iterator[Path]:
    """A cgroup (version 2) of the showcase's own. It goes again, and what is in it ends."""
    made = Path(find_cgroup("")) / f"showcase-{os.getpid()}"
    made.mkdir()
    try:
        yield made
    finally:
        end_all(made)
        made.rmdir()


def end_all(inside: Path) -> None:
    """Ends what is in the cgroup. The file cgroup.kill would too, but is of Linux 5.14."""

    def is_empty() -> bool:
        for pid in (inside / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return not (inside / "cgroup.procs").read_text()

    _until(is_empty)


def _until(holds: Callable[[], bool]) -> None:
    over = time.monotonic() + 10
    while not holds() and time.monotonic() < over:
        time.sleep(_POLL)


@contextmanager
def guarding(file: Path | None, inside: Path) -> Iterator[Callable[[], int]]:
    """The guard, loaded as a user does. Yields what tells how often it acted."""
    if file is None:
        yield lambda: 0
        return
    name = f"{inside.name}-{file.stem}"
    options = ("--action", "signal:STOP", "--cgroup", inside, "--after", str(AFTER), "--lasting", LASTING, "--most", "1")
    ebpfnn("load", file, "--name", name, *options, "--enforce", "--for", "10m")
    try:
        yield lambda: int(json.loads(ebpfnn("actions", name, "--json"))["outcomes"]["hit"])
    finally:
        ebpfnn("unload", name)


class Seen:
    """What became of a session: ``stopped``, and how many of ``files`` were ``lost``."""

    def __init__(self, session: FileSession, stopped: bool, lost: int) -> None:
        self.session, self.stopped, self.lost, self.files = session, stopped, lost, len(session.tree.files)


def run(session: FileSession, built: Path, inside: Path) -> Seen:
    """Runs it in the cgroup, until it ends, is stopped, or has had its time."""
    with TemporaryDirectory(prefix="showcase-") as directory, TemporaryFile() as output:
        place = Path(directory)
        furnish(place, session.tree, built)
        process = begin(session, place, output, "sh", "-c", _ENTER, str(inside))
        over, stopped = time.monotonic() + SECONDS, False
        try:
            while process.poll() is None and time.monotonic() < over and not stopped:
                time.sleep(_POLL)
                stopped = _is_stopped(inside)
        finally:
            stopped = stopped or _is_stopped(inside)
            end_all(inside)
            end(process)
        return Seen(session, stopped, lost(place / "data", session))


def _is_stopped(inside: Path) -> bool:
    """Whether a process of the cgroup was stopped by a signal."""
    states = []
    for pid in (inside / "cgroup.procs").read_text().split():
        try:
            states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue  # it has ended
    return "T" in states


def lost(data: Path, session: FileSession) -> int:
    """How many files are not what they were, or not there."""
    count = 0
    for number, (name, size) in enumerate(session.tree.files):
        path = data / name
        count += not path.is_file() or path.read_bytes() != content(path.suffix, number, size)
    return count


def evaluate(output: Path, sessions: Sequence[FileSession]) -> dict[str, list[Seen]]:
    """Each guard is loaded once, and has all sessions; without one, those that encrypt are run."""
    found: dict[str, list[Seen]] = {}
    with simulator() as built, cgroup() as inside:
        for name in (NOTHING, *ARCHITECTURES):
            file = None if name == NOTHING else output / f"{name}.safetensors"
            of = [each for each in sessions if file or each.label != BENIGN]
            with guarding(file, inside) as hits:
                found[name] = [run(session, built, inside) for session in of]
                say(f"{name}: {len(of)} sessions, {sum(each.stopped for each in found[name])} stopped, {hits()} hits")
    return found


def table(found: Mapping[str, Sequence[Seen]]) -> str:
    lines: list[list[object]] = []
    for name, seen in found.items():
        attacks = [each for each in seen if each.session.label != BENIGN]
        benign = [each for each in seen if each.session.label == BENIGN]
        losses = [each.lost for each in attacks]
        hurt = sum(each.stopped for each in benign)
        low, high = wilson(hurt, len(benign))
        many = sum(count <= 5 for count in losses)
        lines.append(
            [
                name,
                f"{sum(each.stopped for each in attacks)} of {len(attacks)}",
                f"{median(losses):g}",
                max(losses),
                f"{many} of {len(attacks)}",
                f"{median(each.files for each in attacks):g}",
                f"{hurt} of {len(benign)} ({low:.1%}-{high:.1%})" if benign else "-",
            ]
        )
    head = [
        "guard",
        "attacks stopped",
        "files lost: median",
        "most",
        "at most 5 lost",
        "files there: median",
        "benign sessions stopped",
    ]
    return markdown(head, lines)


def by_tool(found: Mapping[str, Sequence[Seen]]) -> str:
    """Of each tool: how many sessions were stopped; of those that encrypt, the most files lost."""
    guards = [name for name in found if name != NOTHING]
    lines: list[list[object]] = []
    for tool in EVERY:
        cells: list[object] = []
        for name in guards:
            mine = [each for each in found[name] if each.session.tool == tool.name]
            worst = f"; {max(each.lost for each in mine)}" if mine and tool.label != BENIGN else ""
            cells.append(f"{sum(each.stopped for each in mine)} of {len(mine)}{worst}")
        lines.append([tool.name, tool.label, "no" if tool.name in UNSEEN else "yes", *cells])
    return markdown(["tool", "is", "learned from", *(f"stopped by {name}" for name in guards)], lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--learn", type=int, default=3, help="sessions of each tool to learn from, and half as many to calibrate on"
    )
    parser.add_argument("--sessions", type=int, default=3, help="sessions of each tool to try every guard on")
    parser.add_argument("--evaluate", action="store_true", help="use the models that OUTPUT has")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with interruptible():
        try:
            if not given.evaluate:
                rows, calibrated = given.output / "learnt.npz", given.output / "calibrated.npz"
                of = spec(given.output)
                collect(rows, of, plan(_LEARN, given.learn, given.learn, _present(SEEN)))
                collect(calibrated, of, plan(_CALIBRATE, -(-given.learn // 2), -(-given.learn // 2), _present(SEEN)))
                make(given.output, rows, calibrated)
            found = evaluate(given.output, plan(_EVALUATE, given.sessions, given.sessions, _present(EVERY)))
        except LabError as error:
            raise SystemExit(f"file_guard.py: {error}") from None
        print(f"{table(found)}\n\n{by_tool(found)}")
    return 0


def _present(tools: Sequence[FileTool]) -> list[FileTool]:
    found, absent = present(tools)
    for tool in absent:
        say(f"{tool.name}: skipped, since {' or '.join(tool.programs)} is not installed")
    if program("setpriv") is None:
        raise LabError("no setpriv; apt-get install util-linux")
    return found


if __name__ == "__main__":
    sys.exit(main())
