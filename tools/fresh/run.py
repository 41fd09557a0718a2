#!/usr/bin/env python3
"""Runs a command in a clone of this checkout on a fresh Debian: ``tools/fresh/run.py bookworm 'make demo && make test'``.

Fresh is a root file system with git, make and ca-certificates alone; the kernel and the network are this machine's. Exit
status: the command's.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path

from base import base, cache
from mirror import sources_here
from root import HOME, new_root
from settings import apt_settings, settings_here

CHECKOUT = Path(__file__).resolve().parents[2]
_TERMINATED = 128 + signal.SIGTERM


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs a shell command in a clone of this checkout on a fresh Debian.")
    parser.add_argument("suite", help="of Debian: bookworm (12), trixie (13)")
    parser.add_argument("command", help="for bash, in the clone")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminate)
    sources, settings = sources_here(given.suite), settings_here()
    apt = apt_settings(subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout)
    started = time.monotonic()
    with new_root(base(given.suite, sources, apt)) as root:
        root.furnish(settings, sources, apt)
        root.clone(CHECKOUT)
        wheels = cache() / "pip"
        wheels.mkdir(exist_ok=True)
        root.shown.append((wheels, HOME / ".cache/pip", True))
        print(f"fresh: {given.suite}, made in {time.monotonic() - started:.0f} s", flush=True)
        status = root.run(given.command, settings.variables)
    print(f"fresh: {given.suite}, {time.monotonic() - started:.0f} s in all, exit status {status}", flush=True)
    return status


def _terminate(*_: object) -> None:
    """Ends as after an error, once, so that nothing of the root stays behind."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
