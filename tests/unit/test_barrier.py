"""Positions that another process reads at the same time."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

from ebpfnn.kernel.ring.barrier import load_acquire, store_release

FIRST, SECOND = 0x0102030405060708, 0xF1F2F3F4F5F6F7F8
AT = 1032  # not the first word
WRITER = f"""
import mmap, sys
from ebpfnn.kernel.ring.barrier import store_release
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    for _ in range(100_000):
        store_release(memory, {AT}, {FIRST})
        store_release(memory, {AT}, {SECOND})
"""


def test_another_process_sees_old_or_new_and_nothing_between(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        store_release(memory, AT, FIRST)
        seen = set()
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as writer:
            while writer.poll() is None:
                seen.update(load_acquire(memory, AT) for _ in range(1000))
        assert writer.returncode == 0
        assert seen <= {FIRST, SECOND}
        assert load_acquire(memory, AT) == SECOND


def test_one_word_is_written_and_memory_can_be_closed() -> None:
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    store_release(memory, 8, 2**64 - 1)
    assert (load_acquire(memory, 0), load_acquire(memory, 8), load_acquire(memory, 16)) == (0, 2**64 - 1, 0)
    memory.close()  # refused with BufferError while a view of it lives
    assert memory.closed
