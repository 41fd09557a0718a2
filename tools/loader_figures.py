#!/usr/bin/env python3
"""Prints what loading costs here: parsing an object, loading it, looking up kernel types; each against its aim.

Run as root from the top of the tree: `python3 tools/loader_figures.py [OBJECT]`. Without OBJECT a small program that reads two
fields of task_struct is built with $CLANG, else clang. Exits with 1 where an aim is missed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SOURCE = """
struct task_struct { int pid; int tgid; } __attribute__((preserve_access_index));
static struct task_struct *(*const current)(void) = (void *)158;
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
unsigned long counted;
__attribute__((section("syscall"), used)) int read_pid(void *context)
{
	struct task_struct *task = current();
	counted++;
	return task->pid == task->tgid;
}
"""
TYPES = ("task_struct", "sk_buff", "file", "inode", "sock", "net_device", "mm_struct", "cgroup", "bpf_prog", "super_block")
PRELUDE = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
"""
LOOK_UP = f"""
began = time.perf_counter()
from ebpfnn.kernel.load.btf import vmlinux
from ebpfnn.obj import Kind
imported = time.perf_counter()
found = [vmlinux().find(name, Kind.STRUCT) for name in {TYPES!r}]
ended = time.perf_counter()
assert all(found), found
print(ended - imported, ended - began, peak())
"""
LOAD = """
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec
Object.load(ObjectSpec.from_file(sys.argv[1])).close()
print(peak())
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else build(Path(directory))
        return report(path)


def build(directory: Path) -> Path:
    clang = os.environ.get("CLANG") or next(filter(None, map(shutil.which, ("clang-19", "clang-16", "clang"))))
    path = directory / "small.o"
    flags = ["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-x", "c", "-c", "-", "-o", str(path)]
    subprocess.run([clang, *flags], input=SOURCE, text=True, check=True)
    return path


def report(path: Path) -> int:
    from ebpfnn.kernel import Object
    from ebpfnn.obj import ObjectSpec

    parsing = milliseconds(lambda: ObjectSpec.from_file(path))
    loading = milliseconds(lambda: Object.load(ObjectSpec.from_file(path)).close())
    look_up, with_imports, look_up_peak = fresh(LOOK_UP)
    (load_peak,) = fresh(LOAD, str(path))
    kept = [
        figure("parsing, warm, median of 50", parsing, 5, "ms"),
        figure("loading with CO-RE, parsing included, warm, median of 50", loading, 15, "ms"),
        figure("ten types of vmlinux by name, fresh process", look_up * 1000, 150, "ms"),
        figure("... with the import of ebpfnn.kernel", with_imports * 1000, None, "ms"),
        figure("... peak memory of the process", look_up_peak, 60, "MB"),
        figure("peak memory of a process that loads with CO-RE", load_peak, 150, "MB"),
    ]
    return 0 if all(kept) else 1


def milliseconds(what: Callable[[], object]) -> float:
    what()
    spent = []
    for _ in range(50):
        began = time.perf_counter()
        what()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1000


def fresh(program: str, *arguments: str) -> list[float]:
    ran = subprocess.run([sys.executable, "-c", PRELUDE + program, *arguments], capture_output=True, text=True, check=True)
    return [float(word) for word in ran.stdout.split()]


def figure(what: str, value: float, aim: float | None, unit: str) -> bool:
    print(f"{what:<58} {value:8.1f} {unit}" + (f"  (aim: at most {aim})" if aim is not None else ""))
    return aim is None or value <= aim


if __name__ == "__main__":
    sys.exit(main())
