"""A skip that hides what a kernel has is a failure."""

from __future__ import annotations

import pytest
from promises import broken, hold

COOKIES = "this kernel has no links for perf events and no cookies (Linux 5.15)"


@pytest.mark.parametrize(
    ("kernel", "reason", "words"),
    [
        ("5.10", COOKIES, None),
        ("5.15", COOKIES, "want of what Linux 5.15 has"),
        ("6.1", COOKIES, "want of what Linux 6.1 has"),
        ("5.10", "this kernel has kprobes", None),
        ("5.10", "this kernel has no kprobes (CONFIG_KPROBES)", "want of what Linux 5.10 has"),
        ("5.10", "kernel variable 'runqueues' is not in this kernel's BTF", None),
        ("6.1", "kernel variable 'runqueues' is not in this kernel's BTF", "want of what Linux 6.1 has"),
        ("6.1", "no such luck", "does not list: no such luck"),
    ],
)
def test_what_a_test_may_skip_for(kernel: str, reason: str, words: str | None) -> None:
    fault = broken(kernel, reason)
    assert fault is None if words is None else words in str(fault)


@pytest.mark.parametrize(("kernel", "outcome"), [(None, "skipped"), ("5.10", "skipped"), ("6.1", "failed")])
def test_a_report_is_turned(monkeypatch: pytest.MonkeyPatch, kernel: str | None, outcome: str) -> None:
    monkeypatch.delenv("EBPFNN_KERNEL", raising=False)
    if kernel:
        monkeypatch.setenv("EBPFNN_KERNEL", kernel)
    report = pytest.TestReport("a", ("a", 1, "a"), {}, "skipped", ("a.py", 1, f"Skipped: {COOKIES}"), "call")
    hold(report)
    assert report.outcome == outcome
