"""ebpfnn on a system with faults: system calls that a seccomp filter refuses, limits, mounts that are missing or read-only."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[2]
_NONE: Mapping[str, int] = MappingProxyType({})
_CALLS = {
    "x86_64": {"bpf": 321, "flock": 73, "gettid": 186, "perf_event_open": 298, "kill": 62, "tgkill": 234},
    "aarch64": {"bpf": 280, "flock": 32, "gettid": 178, "perf_event_open": 241, "kill": 129, "tgkill": 131},
}
_LOAD_NUMBER, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD | W | ABS, BPF_JMP | JEQ | K, BPF_RET | K (linux/filter.h)
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # SECCOMP_RET_*
_SET_SECCOMP, _NO_NEW_PRIVS, _FILTER = 22, 38, 2  # PR_SET_*, SECCOMP_MODE_FILTER


def run(
    *arguments: str,
    refused: Mapping[str, int] = _NONE,
    limits: Mapping[str, int] = _NONE,
    mounts: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """``ebpfnn ARGUMENTS``, with system calls ``refused`` for an errno, and ``limits`` such as NOFILE.

    ``mounts`` are lines of a shell that runs before, in a mount namespace of its own.
    """
    told = json.dumps({"refused": dict(refused), "limits": dict(limits)})
    command = [
        *("unshare", "--mount", "--propagation", "private", "sh", "-euc", f'{mounts}\nexec "$@"', "sh"),
        *(sys.executable, __file__, told, *arguments),
    ]
    path = os.pathsep.join(str(ROOT / each) for each in ("", "plugins"))
    given = {**os.environ, **(environment or {}), "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=given, check=False)


def refuse(calls: Mapping[str, int]) -> None:
    """Has the kernel refuse system calls to this process and its children, by name each with an errno, from now on."""
    numbers = _CALLS[platform.machine()]
    program = [(_LOAD_NUMBER, 0, 0, 0)]
    for name, code in calls.items():
        program += [(_JUMP_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _ERRNO | code)]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = b"".join(struct.pack("=HBBI", *each) for each in program)
    held = ctypes.create_string_buffer(code, len(code))
    filters = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(held)))
    libc = ctypes.CDLL(None, use_errno=True)
    for given in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, filters, 0, 0)):
        if libc.prctl(*given):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    told = json.loads(sys.argv.pop(1))
    sys.path.pop(0)
    import ebpfnn.cli  # what is to fail is ebpfnn, not Python's imports

    for name, limit in told["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    refuse(told["refused"])
    ebpfnn.cli.main()


if __name__ == "__main__":
    main()
