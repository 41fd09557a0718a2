"""The names of signals that ``--action signal:NAME`` takes."""

from __future__ import annotations

import signal

import pytest

from ebpfnn.errors import UsageError
from ebpfnn.plugin import Plugins


@pytest.mark.parametrize("written", ["KILL", "SIGKILL", "kill", "sigKill"])
def test_a_name_is_taken_with_or_without_sig(written: str) -> None:
    action = Plugins.installed().action(f"signal:{written}")
    assert action.written == "signal:KILL"
    assert action.variables("tracepoint", None) == {"ebpfnn_signal": signal.SIGKILL.to_bytes(4, "little")}


@pytest.mark.parametrize(
    ("written", "fact"),
    [
        ("signal", "action 'signal' needs the name of a signal; give one of signal:STOP, signal:TERM, signal:KILL, "),
        ("signal:", "action 'signal' needs the name of a signal; give one of signal:STOP, "),
        ("signal:KLL", "action 'signal' sends no signal 'KLL'; did you mean 'KILL'?"),
        ("signal:9", "action 'signal' sends no signal '9'; give one of signal:STOP, "),
        ("signal:SEGV", "action 'signal' sends no signal 'SEGV'; give one of signal:STOP, "),
    ],
)
def test_what_is_no_signal_of_a_guard(written: str, fact: str) -> None:
    with pytest.raises(UsageError) as raised:
        Plugins.installed().action(written)
    assert str(raised.value).startswith(fact)
