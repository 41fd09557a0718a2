"""The ``uprobe`` trigger: a function of a program or library."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ebpfnn.errors import KernelError, PermissionDenied, UsageError
from ebpfnn.kernel import Link, Program, attach_uprobe, lacks_probes
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger, hookimpl, nearest

from .task import TaskTrigger

_MAPS = Path("/proc/self/maps")
# What may follow the short name of a library: libc.so.6, libc-2.31.so, and not PyTorch's libc10.so.
_LIBRARY = re.compile(r"(?:[-.][.\d]+)?\.so[.\d]*")


class UprobeTrigger(TaskTrigger):
    """``BINARY:SYMBOL``. BINARY without a slash is a library that this process has loaded, or a program in $PATH."""

    name = "uprobe"
    summary = "function of a program or library, BINARY:SYMBOL"
    default_target = "libc:a64l"  # a pure function that few programs call: each call is slower for the caller
    shell = "kprobe"
    entry = "ebpfnn_kprobe"
    observing_entry = "ebpfnn_probe_events"
    type = ProgramType.KPROBE
    capabilities = ("CAP_SYS_ADMIN",)  # perf_uprobe_event_init, in Linux 6.18 and in Debian's 5.10 and 6.1

    def event(self, target: str | None) -> str:
        return self._split(target)[1]

    def link(self, program: Program, target: str | None) -> Link:
        binary, symbol = self._split(target)
        offset = int(symbol, 16) if re.fullmatch("0x[0-9a-fA-F]+", symbol) else 0
        try:
            return attach_uprobe(program, find_binary(binary), "" if offset else symbol, offset=offset)
        except KernelError as refused:
            fact, _, remedy = str(refused).partition("; ")
            if isinstance(refused, PermissionDenied):
                raise PermissionDenied(f"{fact}; run as root (sudo), or grant CAP_SYS_ADMIN", refused.errno) from None
            if remedy:
                raise
            raise KernelError(f"{fact}; give an instruction of a program or library", refused.errno) from None

    def lack(self) -> str | None:
        return lacks_probes("uprobe")

    def _split(self, target: str | None) -> tuple[str, str]:
        binary, _, symbol = (target or self.default_target).rpartition(":")
        if not binary or not symbol:
            example = f"{self.default_target} or /usr/bin/python3:0x1234"
            raise UsageError(f"target '{target}' is not BINARY:SYMBOL; give one such as {example}")
        return binary, symbol


def find_binary(name: str) -> Path:
    """The file for ``name``. Raises :class:`KernelError` (ENOENT) if it is neither loaded nor in $PATH."""
    if "/" in name:
        return Path(name)
    loaded = _loaded_files()
    for file, path in loaded.items():
        if file == name or (file.startswith(name) and _LIBRARY.fullmatch(file, len(name))):
            return path
    program = shutil.which(name)
    if program is None:
        hint = nearest(name, {file.partition(".")[0] for file in loaded}) or "; give its path"
        raise KernelError(f"'{name}' is neither a library of this process nor a program in $PATH{hint}", errno.ENOENT)
    return Path(program)


def _loaded_files() -> dict[str, Path]:
    """The files whose code this process has mapped, by name."""
    try:
        fields = [line.split(maxsplit=5) for line in _MAPS.read_text().splitlines()]
    except OSError as fault:
        fact = f"{_MAPS} cannot be read ({fault.strerror}), so libraries are not found"
        raise KernelError(f"{fact}; give a path, or mount -t proc proc /proc", fault.errno or 0) from None
    paths = [Path(found[5]) for found in fields if len(found) == 6 and "x" in found[1] and found[5].startswith("/")]
    return {path.name: path for path in paths}


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [UprobeTrigger()]
