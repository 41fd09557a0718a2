"""Print what an instance answers, whoever asks it: python examples/watch.py INSTANCE [COUNT], as root."""

from __future__ import annotations

import sys
from itertools import islice

import ebpfnn


def main(name: str, count: int | None = None) -> None:
    """Prints ``count`` events, or for None all until the instance is unloaded."""
    with ebpfnn.Instance.open(name).watch() as watch:
        print(f"watching {name}", flush=True)
        for event in islice(watch, count):
            print(event.label, f"{event.elapsed_ns:,} ns", event.source, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
