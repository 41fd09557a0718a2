"""``python -m ebpfnn``, and where the command ``ebpfnn`` begins: an interrupt while things are imported gives no traceback."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # 128 + SIGINT


def main() -> None:
    try:
        from .cli import main as verbs

        verbs(prog_name="ebpfnn")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
