"""Messages on standard error."""

from __future__ import annotations

import click

from ..errors import printable


def complain(message: str, status: int = 1) -> int:
    """Prints ``message`` on standard error as one line and returns ``status``."""
    click.echo(f"ebpfnn: {printable(' '.join(message.split()))}", err=True)
    return status
