"""Writers that are killed: what they leave, the next writer in the directory removes."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.exporters import raw
from ebpfnn.files import files, staging
from ebpfnn.plugin import skeleton

WRITES: dict[str, Callable[[Path], object]] = {
    "file": lambda target: files.replace(target, b"new" * 99),
    "directory": lambda target: files.replace_directory(target, {"a": b"1", "b": b"2"}),
    "skeleton": lambda target: skeleton._write(target, {"a": "1", "b/c": "2"}),
}
STEPS = ("open", "fsync", "fchmod", "replace", "rename", "unlink", "close")


def killed_at(step: int, write: Callable[[], object]) -> int:
    """The wait status of a process that is killed when it has made ``step`` system calls of those in STEPS."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    left = iter(range(step))
    for name in STEPS:
        setattr(os, name, _dying(getattr(os, name), left))
    write()
    os._exit(0)


def _dying(real: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)

    return call


def listed(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def hidden(directory: Path) -> list[str]:
    return [name for name in listed(directory) if name.startswith(".")]


@pytest.mark.parametrize("kind", WRITES)
def test_a_writer_killed_at_any_step_leaves_nothing_that_stays(kind: str, tmp_path: Path) -> None:
    left_over, step, status = 0, 0, signal.SIGKILL
    while status == signal.SIGKILL:
        directory = tmp_path / str(step)
        directory.mkdir()
        status = killed_at(step, partial(WRITES[kind], directory / "target"))
        left_over += len(hidden(directory))
        files.replace(directory / "other", b"")
        assert hidden(directory) == []
        step += 1
    assert status == 0
    assert left_over > 1  # else nothing was killed while it wrote


def test_exports_and_saves_killed_at_any_moment(tmp_path: Path) -> None:
    network = random_network("20-5-3", 1, (4, 5))
    program = (
        "import sys\nfrom pathlib import Path\nfrom ebpfnn.bodies import modelfile\nfrom ebpfnn.exporters import raw\n"
        "net = modelfile.load(sys.argv[1]); at = Path(sys.argv[2]); print(flush=True)\n"
        "while True:\n    raw.export(net, at / 'raw')\n    modelfile.save(net, at / 'net.safetensors')\n"
    )
    modelfile.save(network, tmp_path / "given.safetensors")
    out, chance = tmp_path / "out", random.Random(0)
    out.mkdir()
    seen = 0
    for _ in range(12):
        command = [sys.executable, "-c", program, str(tmp_path / "given.safetensors"), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"\n"
            time.sleep(chance.uniform(0.01, 0.1))
            writer.kill()
            assert writer.wait() == -signal.SIGKILL  # it had not ended by itself
        assert len(hidden(out)) <= 1  # each removed what the one before left
        seen += len(hidden(out))
    assert seen  # at least one was killed while it wrote
    raw.export(network, out / "raw")
    assert listed(out) in (["net.safetensors", "raw"], ["raw"])
    assert raw.load(out / "raw").labels == network.labels


def test_what_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with staging.stage(tmp_path) as (file, _), staging.stage(tmp_path, folder=True) as (folder, _):
        (folder / "in").write_bytes(b"")
        staging.sweep(tmp_path)
        files.replace(tmp_path / "other", b"1")
        assert file.exists()
        assert (folder / "in").exists()
    assert listed(tmp_path) == ["other"]


def test_one_that_a_sweeper_took_before_it_was_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, took = fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not took:
            took.extend(tmp_path.iterdir())
            took[0].unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    files.replace(tmp_path / "name", b"whole")
    assert took
    assert (tmp_path / "name").read_bytes() == b"whole"
    assert hidden(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_what_is_another_users_is_left_alone(tmp_path: Path) -> None:
    theirs, link, target = (tmp_path / (staging.PREFIX + name) for name in ("theirs", "link", "fifo"))
    theirs.write_bytes(b"")
    os.chown(theirs, 12345, 12345)
    link.symlink_to("/etc/hostname")
    os.mkfifo(target)
    os.chown(target, 12345, 12345)
    staging.sweep(tmp_path)
    assert len(hidden(tmp_path)) == 3


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with staging.stage(tmp_path) as (held, _):
        files.replace(tmp_path / "name", b"whole")
        assert held.exists()
    assert listed(tmp_path) == ["name"]


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_directory_exchanged_in_steps_by_a_process_that_was_killed(killed_after: int, tmp_path: Path) -> None:
    """As on NFS. Between the renames the former one is all there is: it is put back, not removed."""
    target = tmp_path / "target"
    files.replace_directory(target, {"old": b"1"})
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ebpfnn.files import files\n"
        "left, real = int(sys.argv[2]), Path.rename\n"
        "def rename(path, to):\n    global left\n    if not left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    left -= 1\n    return real(path, to)\n"
        "Path.rename = rename\nfiles._libc.renameat2 = lambda *given: -1\n"
        "files.replace_directory(Path(sys.argv[1]), {'new': b'2'})\n"
    )
    subprocess.run([sys.executable, "-c", program, str(target), str(killed_after)], check=False)
    files.replace(tmp_path / "other", b"")
    assert target.exists() == (killed_after == 2)
    files._take_back(target)
    assert listed(target) == (["old"] if killed_after == 1 else ["new"])
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("folder", [False, True])
def test_a_directory_that_is_not_there(folder: bool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staging.stage(tmp_path / "absent", folder=folder):
        pass


@pytest.mark.parametrize("special", ["fifo", "link to a fifo", "directory"])
def test_what_is_no_file_is_not_replaced(special: str, tmp_path: Path) -> None:
    target, fifo = tmp_path / "target", tmp_path / "fifo"
    os.mkfifo(fifo)
    if special == "fifo":
        target = fifo
    elif special == "directory":
        target.mkdir()
    else:
        target.symlink_to(fifo)
    before = target.lstat()
    with pytest.raises(OSError, match=r"is not a regular file|Is a directory"):
        files.replace(target, b"new")
    assert target.lstat() == before
    assert hidden(tmp_path) == []


def test_a_link_to_a_file_is_replaced_and_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    files.replace(tmp_path / "link", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink()
