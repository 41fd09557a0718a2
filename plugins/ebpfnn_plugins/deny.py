"""The ``deny`` action: what a thread is about to do fails with an error."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.errors import UsageError
from ebpfnn.plugin import Action, Trigger, hookimpl, nearest, object_path

from .lsm import LsmTrigger, hook_fields

ERRORS = ("EPERM", "EACCES", "ENOENT", "EBUSY", "EIO", "EROFS", "ENOSPC", "ECONNREFUSED")
_EACH = ", ".join(f"deny:{name}" for name in ERRORS)
_NO_PERMISSIONS = ("audit_rule_known", "inode_xattr_skipcap", "xfrm_state_pol_flow_match")
"""Hooks that answer yes or no, which no error fits (``bool_lsm_hooks``, Linux 6.12)."""


class Deny(Action):
    name = "deny"
    summary = f"deny what the thread is about to do, deny or deny:ERROR ({', '.join(ERRORS)})"
    triggers = ("lsm",)
    value = ERRORS[0]

    def taking(self, value: str) -> Action:
        name = value.upper()
        if name and name not in ERRORS:
            raise UsageError(f"action 'deny' has no error '{value}'{nearest(name, ERRORS) or f'; give one of {_EACH}'}")
        taken = Deny()
        taken.value = name or ERRORS[0]
        return taken

    def check(self, trigger: Trigger, target: str | None) -> None:
        hook = target or LsmTrigger.default_target
        if hook in _NO_PERMISSIONS or not any(field.name == "returned" for field in hook_fields(hook)):
            raise UsageError(f"security hook '{hook}' denies nothing; use another hook, or action signal")

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("deny")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del trigger, target
        return {"ebpfnn_denied": struct.pack("<i", -getattr(errno, self.value))}


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Deny()]
