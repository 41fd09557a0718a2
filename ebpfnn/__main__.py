"""``python -m ebpfnn``, and where the command ``ebpfnn`` begins: an interrupt while things are imported gives no traceback."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130  # 128 + SIGINT
_THREADS = "OPENBLAS_NUM_THREADS"
"""numpy reads it when it is imported. Matrices are small, and on a busy machine its threads mostly wait for each other."""


def main() -> None:
    os.environ.setdefault(_THREADS, "1")
    try:
        from .cli import main as verbs

        verbs(prog_name="ebpfnn")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
