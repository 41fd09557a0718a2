"""What ``--action deny`` takes, and the hooks of this kernel at which nothing can be denied."""

from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from ebpfnn_plugins import lsm

from ebpfnn.errors import UsageError
from ebpfnn.events import Field
from ebpfnn.events.fields import Place
from ebpfnn.plugin import Plugins


def field(name: str) -> Field:
    return Field(name, 0, 8, signed=False, place=Place.CONTEXT)


HOOKS = {"file_open": [field("file"), field("returned")], "task_free": [field("task")], "audit_rule_known": [field("returned")]}


@pytest.mark.parametrize(
    ("written", "number"), [("deny", "EPERM"), ("deny:", "EPERM"), ("deny:EACCES", "EACCES"), ("deny:erofs", "EROFS")]
)
def test_the_error_is_the_one_that_was_named(written: str, number: str) -> None:
    action = Plugins.installed().action(written)
    assert action.written == f"deny:{number}"
    assert action.variables("lsm", None) == {"ebpfnn_denied": struct.pack("<i", -getattr(errno, number))}


@pytest.mark.parametrize(
    ("written", "fact"),
    [
        ("deny:EACES", "action 'deny' has no error 'EACES'; did you mean 'EACCES'"),
        ("deny:13", "action 'deny' has no error '13'; give one of deny:EPERM, deny:EACCES, "),
        ("deny:EINTR", "action 'deny' has no error 'EINTR'"),
    ],
)
def test_what_is_no_error_of_it(written: str, fact: str) -> None:
    with pytest.raises(UsageError) as raised:
        Plugins.installed().action(written)
    assert str(raised.value).startswith(fact)


@pytest.mark.parametrize(("hook", "denies"), [("file_open", True), ("task_free", False), ("audit_rule_known", False)])
def test_only_a_hook_that_is_asked_for_a_permission_denies(hook: str, denies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(types: Any, function: str, *, leaving: bool) -> Any:
        assert leaving
        return HOOKS[function.removeprefix("bpf_lsm_")]

    monkeypatch.setattr(lsm, "function_fields", told)
    monkeypatch.setattr(lsm, "vmlinux", lambda: None)
    action, trigger = Plugins.installed().action("deny"), Plugins.installed().triggers["lsm"]
    assert [each.name for each in trigger.fields(hook) if each.name == "returned"] == []
    if denies:
        action.check(trigger, hook)
        return
    with pytest.raises(UsageError, match=f"security hook '{hook}' denies nothing; use another hook, or action signal"):
        action.check(trigger, hook)
