"""What a person is shown of a verifier's log: the complaint, its line of source, what to do, and what CO-RE found missing."""

from __future__ import annotations

import pytest

from ebpfnn.kernel.load.verifier import poisoned, summary
from ebpfnn.obj import Unresolved
from ebpfnn.obj.core.core_patch import POISON

TRACE = """arg#0 reference type('UNKNOWN ') size cannot be determined: -22
0: R1=ctx() R10=fp0
; int first(void *context) @ test.c:4
0: (b7) r2 = 0                        ; R2_w=0
; return *value; @ test.c:9
1: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
"""


def test_the_last_line_of_source_is_quoted() -> None:
    told = "R0 invalid mem access 'map_value_or_null', at test.c:9 (`return *value;`) (6 lines omitted)"
    assert summary(TRACE) == told


def test_kernels_before_6_9_do_not_tell_its_place() -> None:
    log = TRACE.replace(" @ test.c:9", "")
    assert summary(log) == "R0 invalid mem access 'map_value_or_null', at `return *value;` (6 lines omitted)"


@pytest.mark.parametrize(
    ("complaint", "remedy"),
    [
        ("unknown func bpf_loop#181", "this kernel has no helper bpf_loop for this type; use another, or a newer kernel"),
        ("program of this type cannot use helper bpf_loop#181", "this kernel has no helper bpf_loop for this type"),
        ("invalid func unknown#181", "this kernel is older than helper 181; use another, or a newer kernel"),
    ],
)
def test_helpers_that_are_not_there(complaint: str, remedy: str) -> None:
    assert f"{complaint}: {remedy}" in summary(f"0: (85) call unknown#181\n{complaint}\nprocessed 1 insns (limit 1000000)")


def test_complaints_before_the_trace_are_none() -> None:
    assert summary("warning: x\n0: (95) exit\nR0 !read_ok\n") == "R0 !read_ok (2 lines omitted)"


LOG = f"4: (b7) r0 = 0\n5: (85) call unknown#{POISON}\ninvalid func unknown#{POISON}\nprocessed 1 insns (limit 1000000)"


def test_why_an_instruction_was_poisoned() -> None:
    assert poisoned(LOG, [Unresolved(4, "four"), Unresolved(5, "five")]) == "five"


def test_what_was_not_poisoned() -> None:
    assert poisoned(LOG, [Unresolved(4, "four")]) is None
    assert poisoned(TRACE, [Unresolved(1, "one")]) is None
