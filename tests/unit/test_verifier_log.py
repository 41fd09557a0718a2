"""What a person is shown of a verifier's log."""

from __future__ import annotations

from ebpfnn.kernel.load.verifier import summary

LOG = """func#0 @0
0: R1=ctx() R10=fp0
; int f(void *context) @ test.c:4
0: (b7) r2 = 0                        ; R2_w=0
1: (63) *(u32 *)(r10 -4) = r2
mark_precise: frame0: last_idx 1 first_idx 0 subseq_idx -1
last_idx 1 first_idx 0
regs=4 stack=0 before 0: (b7) r2 = 0
from 3 to 5: R0=map_value_or_null(id=1,map=m,ks=4,vs=8)
5: R0=map_value_or_null(id=1)
5: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
"""


def test_the_complaint_is_kept_and_the_trace_counted() -> None:
    assert summary(LOG) == "R0 invalid mem access 'map_value_or_null', at test.c:4 (`int f(void *context)`) (11 lines omitted)"


def test_at_most_two_lines() -> None:
    assert summary("one\ntwo\nthree\nprocessed 1 insns (limit 1000000)") == "two / three (2 lines omitted)"


def test_nothing_is_omitted_where_nothing_is() -> None:
    assert summary("Invalid func linkage\n") == "Invalid func linkage"


def test_a_log_of_noise_alone_still_says_something() -> None:
    assert summary("0: (95) exit\nprocessed 1 insns (limit 1000000)") == "0: (95) exit / processed 1 insns (limit 1000000)"


def test_no_log() -> None:
    assert summary("") == summary("\n \n") == "the verifier gave no reason"
