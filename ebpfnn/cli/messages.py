"""Messages on standard error, as text or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import click

from ..errors import printable

_format = "text"


def use(log_format: str) -> None:
    """From now on messages are ``text`` or ``json``."""
    global _format  # the process has one standard error
    _format = log_format


def is_json() -> bool:
    """Whether messages are JSON objects."""
    return _format == "json"


def complain(message: str, status: int = 1, *, level: str = "warning") -> int:
    """Prints ``message`` on standard error as one line and returns ``status``."""
    if is_json():
        context = click.get_current_context(silent=True)
        verb = context and (context.info_name if context.parent else context.invoked_subcommand)
        tell_json(level, "ebpfnn", " ".join(message.split()), {"verb": verb} if verb else {})
    else:
        click.echo(f"ebpfnn: {printable(' '.join(message.split()))}", err=True)
    return status


def tell_json(level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line of ASCII: time (UTC), level, logger, message, and ``fields``."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    click.echo(json.dumps({"time": now, "level": level, "logger": logger, "message": message, **fields}), err=True)
