"""In what order a shell writes a result: whoever sees the sequence move, on another CPU, reads all of it."""

from __future__ import annotations

import re

import pytest

from ebpfnn import abi
from ebpfnn.built import object_path
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.disasm import disassemble

SHELLS = ["cgroup_skb", "fentry", "kprobe", "perf", "raw_tracepoint", "run", "socket_filter", "tc", "tracepoint", "xdp"]
MOVES = re.compile(
    r"\(79\) (r\d) = \*\(u64 \*\)\((r\d) \+0\)\n\(..\) if \1 s[<>] .*\n"
    r"(?:\(18\) r\d = 0x4000000000000000|\(07\) \1 \+= 1)\n"
)
"""Whether the sequence says that this is a check, and then it moves; the second register is the result."""


RUNS = {abi.INFER, "ebpfnn_run_sample"}


def functions(shell: str) -> list[str]:
    """Those that run the network and move a sequence, as text."""
    spec = ObjectSpec.from_file(object_path(shell))
    running = [each for each in spec.functions.values() if RUNS & {relocation.symbol for relocation in each.relocations}]
    texts = ["".join(f"{line}\n" for _, line in disassemble(function.code)) for function in running]
    return [text for text in texts if MOVES.search(text)]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_sequence_moves_last(shell: str) -> None:
    found = functions(shell)
    assert found
    for text in found:
        (moved,) = MOVES.finditer(text)
        stores = [
            (int(store[1]), store.start() < moved.start())
            for store in re.finditer(rf"\*\(u\d+ \*\)\({moved[2]} \+(\d+)\) = ", text)
        ]
        assert set(stores) == {(abi.offset("elapsed_ns"), True), (abi.offset("status"), True), (abi.offset("sequence"), False)}
