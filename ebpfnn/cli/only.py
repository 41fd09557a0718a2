"""The instance that a verb uses: the named one, or the only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import SessionError

if TYPE_CHECKING:
    from ..instance import Instance


def named_or_only(name: str | None) -> Instance:
    """The instance ``name``; for None, the only one that is loaded.

    Raises :class:`~ebpfnn.errors.SessionError` if it is not loaded, or none is, and :class:`click.UsageError` if there are
    several.
    """
    from ..instance import Instance

    if name is not None:
        return Instance.open(name)
    found = Instance.all()
    if not found:
        raise SessionError("no instance is loaded; load one with `ebpfnn load`")
    if len(found) > 1:
        raise click.UsageError(
            f"several instances are loaded: {listed(found)}; give the name of one", click.get_current_context()
        )
    return found[0]


def listed(instances: list[Instance]) -> str:
    """The names as messages show them."""
    return ", ".join(f"'{instance.name}'" for instance in instances)
