"""A skip that hides what a kernel has is a failure."""

from __future__ import annotations

import pytest
from promises import broken, hold, lacks_torch

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


def wrapped(lack: Exception) -> Exception:
    error = ValueError("training: it is not installed")
    error.__cause__ = lack
    return error


def met(lack: Exception) -> Exception:
    """Another fault, that showed while ``lack`` was handled."""
    error = ValueError("a fault")
    error.__context__ = lack
    return error


NO_TORCH = ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")


@pytest.mark.parametrize(
    ("told", "raised", "excused"),
    [
        ("no", NO_TORCH, True),
        ("no", wrapped(NO_TORCH), True),
        ("no", met(NO_TORCH), False),
        ("yes", NO_TORCH, False),
        (None, NO_TORCH, False),
        ("no", ModuleNotFoundError("No module named 'torches'", name="torches"), False),
        ("no", ValueError("torch"), False),
        ("no", None, False),
    ],
)
def test_only_who_left_pytorch_out_does_without(
    monkeypatch: pytest.MonkeyPatch, told: str | None, raised: Exception | None, excused: bool
) -> None:
    monkeypatch.delenv("EBPFNN_TORCH", raising=False)
    if told:
        monkeypatch.setenv("EBPFNN_TORCH", told)
    assert lacks_torch(raised) is excused
