"""The audit trail: who changed what is loaded. It is told with ``--log-format json``, and with ``-v``."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

LOGGER = "ebpfnn.trail"
_UNSET = (1 << 32) - 1  # of a process that nobody's login has started


def told(verb: str, instance: str, **fields: Any) -> None:
    """Tells that ``verb`` was done to ``instance``, and by whom. ``fields`` that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    detail = "".join(f", {name} {value}" for name, value in known.items())
    record = {"verb": verb, "instance": instance, **known, **_who()}
    logging.getLogger(LOGGER).info("instance '%s': %s%s", instance, verb, detail, extra={"fields": record})


def _who() -> dict[str, Any]:
    """This process and its user. ``login_uid`` is who logged in, as the kernel knows it, also behind sudo and su."""
    found: dict[str, Any] = {"pid": os.getpid(), "uid": os.getuid()}
    if login := _login():
        found["login_uid"] = int(login)
    if sudo := os.environ.get("SUDO_USER"):
        found["sudo_user"] = sudo
    return found


def _login() -> str:
    try:
        text = Path("/proc/self/loginuid").read_text().strip()
    except OSError:
        return ""
    return text if text.isdecimal() and int(text) != _UNSET else ""
