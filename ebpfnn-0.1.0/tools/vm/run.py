#!/usr/bin/env python3
"""Runs a command under another kernel: ``tools/vm/run.py 5.10 'uname -r'``.

The guest sees this machine's files under the same paths; what it writes is gone with it. Exit status: the command's; 124 if
the time was out, 125 if the guest did not come up.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path

from kernel import SUITES, kernel_directory
from machine import Machine

# What of this environment the command keeps.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "CI", "PYTHONPATH", "VIRTUAL_ENV", "CLANG", "EBPFNN_DATA")


_TERMINATED = 128 + signal.SIGTERM


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs a shell command in a virtual machine with another kernel.")
    parser.add_argument("kernel", choices=SUITES, help="the version; fetched from Debian when it is asked for first")
    parser.add_argument("command", help="for bash, in the directory at hand")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--memory", default="3G")
    parser.add_argument("--timeout", type=float, default=1800, metavar="SECONDS")
    parser.add_argument("--console", type=Path, metavar="FILE", help="keeps the kernel's messages")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # so that nothing of the machine stays behind
    machine = Machine(kernel_directory(given.kernel), given.memory, given.cpus, given.timeout, given.console)
    return machine.run(script(given.kernel, given.command))


def script(kernel: str, command: str) -> str:
    """The command in this directory and environment; ``EBPFNN_KERNEL`` tells tests which kernel they were promised."""
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"EBPFNN_KERNEL": kernel}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*exports, f"cd {shlex.quote(str(Path.cwd()))}", command, ""])


if __name__ == "__main__":
    sys.exit(main())
