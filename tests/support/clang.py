"""BPF objects from C that stands in a test, built as the Makefile builds those of bpf/."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = ("-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror", f"-I{ROOT / 'bpf' / 'include'}")
PROLOGUE = """#include <ebpfnn/vmlinux.h>
char LICENSE[] SEC("license") = "GPL";
"""


def find_clang() -> str | None:
    """$CLANG, which the Makefile sets, else the newest of Debian's, else whatever is called so."""
    newest = sorted(Path("/usr/bin").glob("clang-[0-9]*"), key=lambda path: int(path.name.split("-")[1]))
    names = (os.environ.get("CLANG"), *map(str, newest[-1:]), "clang")
    return next((found for found in map(shutil.which, filter(None, names)) if found), None)


def compile_bpf(clang: str, source: str, directory: Path, *flags: str) -> bytes:
    """The object made of ``PROLOGUE`` and ``source``; ``directory`` remembers it."""
    text = PROLOGUE + source
    path = directory / f"{hashlib.sha256(repr((clang, text, flags)).encode()).hexdigest()}.o"
    if not path.exists():
        path.with_suffix(".c").write_text(text)  # a file, since clang copies its lines into the object
        command = [clang, *FLAGS, *flags, "-c", str(path.with_suffix(".c")), "-o", str(path)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
    return path.read_bytes()
