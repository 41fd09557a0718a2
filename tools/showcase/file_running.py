"""Runs the sessions of the showcase of files, each in a directory that is made for it and goes again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from file_plan import TOOLS, FileSession, FileTool, Tree
from lab import LabError, end, program

UID = 65_133
"""The user of every program, which has no name and owns nothing else; process.toml observes it alone."""
SECONDS = 6.0
MARK = ".showcase"
_SEEN = "/mnt"
_WORDS = b"what is written here is of no use to anybody, and has as many letters as were asked for\n"
# No network, no process of others, and of the machine's files what everybody may read; daemons end with the first process. What
# the program sees as its directory lies at a path that it may pass.
_ALONE = (
    'mount --bind "$1" {seen}; cd {seen}; exec setpriv --reuid {uid} --regid {uid} --clear-groups --no-new-privs sh -uc "$2"'
)

Watching = Callable[[FileSession], AbstractContextManager[object]]


def present(tools: Sequence[FileTool] = TOOLS) -> tuple[list[FileTool], list[FileTool]]:
    """The tools whose programs this machine has, and those that are absent."""
    found = [tool for tool in tools if all(map(program, tool.programs))]
    return found, [tool for tool in tools if tool not in found]


@contextmanager
def simulator() -> Iterator[Path]:
    """The simulator, built from its source. Raises :class:`LabError` without a C compiler."""
    compiler = program("cc") or program("gcc")
    if compiler is None:
        raise LabError("no C compiler; apt-get install gcc libc6-dev")
    with TemporaryDirectory(prefix="showcase-") as directory:
        built = Path(directory) / "simulator"
        source = Path(__file__).with_name("simulator.c")
        ran = subprocess.run([compiler, "-O2", "-o", built, source], capture_output=True, text=True, check=False)
        if ran.returncode:
            raise LabError(f"{source}: {ran.stderr.strip()}")
        yield built


def run_all(sessions: Sequence[FileSession], watching: Watching, tell: Callable[[FileSession, str], object]) -> None:
    """Runs each session once. ``tell`` is called after each, with what its program said if it failed.

    A program still running after :data:`SECONDS` is ended. Raises :class:`LabError`.
    """
    with simulator() as built:
        for session in sessions:
            with TemporaryDirectory(prefix="showcase-") as directory:
                place = Path(directory)
                furnish(place, session.tree, built)
                with watching(session):
                    said = _run(session, place)
            tell(session, said)


def furnish(place: Path, tree: Tree, simulator: Path) -> None:
    """Makes the files of a session, and the mark without which the simulator does nothing."""
    data = place / "data"
    data.mkdir()
    (data / MARK).touch()
    shutil.copy(simulator, place)
    for number, (name, size) in enumerate(tree.files):
        path = data / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content(path.suffix, number, size))
    for path in (place, *place.rglob("*")):
        os.chown(path, UID, UID)


def content(suffix: str, number: int, size: int) -> bytes:
    """Text of about ``size`` bytes; a source in C is one function, and a comment."""
    text = (_WORDS * (size // len(_WORDS) + 1))[:size]
    return b"int f%d(int x) { return x + %d; }\n/* %b */\n" % (number, number, text) if suffix == ".c" else text


def begin(session: FileSession, place: Path, output: IO[bytes], *enters: str) -> subprocess.Popen[bytes]:
    """Starts the program of a session, behind the command ``enters``. End it with :func:`lab.end`."""
    script = _ALONE.format(seen=_SEEN, uid=UID)
    apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    alone = [*enters, *apart, "sh", "-euc", script, "sh", str(place), session.script]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": _SEEN, "LC_ALL": "C"}
    return subprocess.Popen(
        alone, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
    )


def _run(session: FileSession, place: Path) -> str:
    with TemporaryFile() as output:
        process = begin(session, place, output)
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return ""  # as many files as it came to
        finally:
            end(process)
        output.seek(0)
        return output.read().decode(errors="replace").strip()[-300:] if status else ""
