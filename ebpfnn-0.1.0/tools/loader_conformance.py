"""How much of what others build this loader loads: the kernel's own BPF self-tests, object by object, beside bpftool.

    loader_conformance.py SELFTESTS WORK

SELFTESTS is tools/testing/selftests/bpf of a kernel's source (Debian: linux-source), WORK a directory for what is built.
Every file of progs/, and every .bpf.c of the tools/bpf beside it, is compiled against the running kernel's types. Every
object is loaded by bpftool and by ebpfnn, and every program once more alone by ebpfnn: bpftool has no way to load one of
several. Nothing is attached. Needs root, clang, bpftool and libbpf's headers.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from ebpfnn.errors import Error
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec

SECONDS = 60
PINS = Path("/sys/fs/bpf")
ALONE = "EBPFNN_CONFORMANCE_ALONE"
LOADED = "loaded"
MACHINES = {"x86_64": "x86", "aarch64": "arm64"}
"""What bpf_tracing.h calls a machine."""


def compile_all(selftests: Path, work: Path) -> list[Path]:
    """The objects that could be built, in order."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "vmlinux.h", "wb") as header:
        dump = ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"]
        subprocess.run(dump, stdout=header, check=True)
    tools = selftests.parents[2]
    includes = [work, selftests, tools / "include" / "uapi", tools / "include"]
    flags = ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wno-everything", *(f"-I{i}" for i in includes)]
    flags += [f"-D__TARGET_ARCH_{MACHINES[os.uname().machine]}", "-idirafter", f"/usr/include/{os.uname().machine}-linux-gnu"]
    sources = sorted((selftests / "progs").glob("*.c")) + sorted((tools / "bpf").rglob("*.bpf.c"))

    def compile_one(source: Path) -> Path | None:
        built = work / f"{source.stem}.o"
        command = [os.environ.get("CLANG", "clang"), *flags, "-c", str(source), "-o", str(built)]
        if not built.exists():
            subprocess.run(command, capture_output=True, check=False)
        return built if built.exists() else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = list(pool.map(compile_one, sources))
    print(f"compiled {len(built) - built.count(None)} of {len(built)} sources")
    return [path for path in built if path]


def by_bpftool(path: Path) -> str:
    """``loaded``, or the last line of what bpftool said."""
    try:
        command = ["bpftool", "prog", "loadall", str(path), str(PINS / "programs")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "timed out"
    finally:
        unpin_all()
    return LOADED if ran.returncode == 0 else _reason(ran.stderr)


def _reason(said: str) -> str:
    """The last line that is not advice."""
    lines = [line for line in said.strip().splitlines() if not line.startswith(("If it used to work", "Warning: "))]
    return lines[-1] if lines else "no reason given"


def by_ebpfnn(path: Path, program: str | None = None) -> str:
    """``loaded``, or the error's line. In a process of its own, so that nothing of one object meets the next."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.Process(target=_load, args=(path, program, writer))
    worker.start()
    writer.close()
    try:
        answer = reader.recv() if reader.poll(SECONDS) else "timed out"
    except EOFError:
        answer = "the process died"
    worker.kill()
    worker.join()
    reader.close()
    unpin_all()
    return str(answer)


def _load(path: Path, program: str | None, answer: Connection) -> None:
    try:
        spec = ObjectSpec.from_file(path)
        if program is not None:
            spec.keep_programs(program)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # types that the kernel refuses: bpftool goes on without them too
            Object.load(spec).close()
        answer.send(LOADED)
    except Error as error:
        answer.send(str(error))
    except Exception as error:  # a loader that lets anything else out has a bug: count it, name it
        answer.send(f"BUG {type(error).__name__}: {error}")


def unpin_all() -> None:
    """Removes what objects pin by name. The file system is this run's own."""
    for path in PINS.iterdir():
        if path.suffix != ".debug":  # the kernel's own
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def with_own_pins() -> None:
    """Starts over in a mount namespace with an empty BPF file system, so that nothing is pinned where others see it."""
    if ALONE not in os.environ:
        mount = f'mount -t bpf bpf {PINS} && exec "$@"'
        os.environ[ALONE] = "1"
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, *sys.argv])


def programs_of(path: Path) -> list[str]:
    try:
        return list(ObjectSpec.from_file(path).programs)
    except Error:
        return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("selftests", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    with_own_pins()
    objects = compile_all(given.selftests, given.work)
    theirs = {path: by_bpftool(path) for path in objects}
    ours = {path: by_ebpfnn(path) for path in objects}
    alone = {(path, name): by_ebpfnn(path, name) for path in objects for name in programs_of(path)}
    count = sum(answer == LOADED for answer in ours.values())
    print(f"objects loaded by bpftool: {sum(answer == LOADED for answer in theirs.values())} of {len(objects)}")
    print(f"objects loaded by ebpfnn:  {count} of {len(objects)}")
    print(f"programs loaded alone by ebpfnn: {sum(answer == LOADED for answer in alone.values())} of {len(alone)}")
    print("loaded by bpftool and not by ebpfnn:")
    for path in objects:
        if theirs[path] == LOADED and ours[path] != LOADED:
            print(f"  {path.name}: {ours[path]}")
    print("loaded by ebpfnn and not by bpftool:")
    for path in objects:
        if ours[path] == LOADED and theirs[path] != LOADED:
            print(f"  {path.name}: {theirs[path]}")
    sys.exit(any(answer.startswith("BUG") for answer in (*ours.values(), *alone.values())))


if __name__ == "__main__":
    main()
