"""``--trigger``, ``--target`` and ``--option``: what makes the kernel run a network, as a user says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ..errors import UsageError
from ..plugin import Plugins, Trigger
from .complete import targets, triggers

PREFERRED = ("tracepoint", "run")
"""The triggers to try, in this order, where ``--trigger`` names none."""


def trigger_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a verb the three options, as ``trigger``, ``target`` and ``options``."""
    command = click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Trigger option. Can be repeated.")(
        command
    )
    command = click.option("--target", metavar="EVENT", shell_complete=targets, help="Event to attach to.")(command)
    which = "Trigger that runs the network. [default: tracepoint, else run]"
    return click.option("--trigger", metavar="NAME", shell_complete=triggers, help=which)(command)


def pairs(options: tuple[str, ...]) -> dict[str, str]:
    """What ``--option KEY=VALUE`` gave. Raises :class:`UsageError` for another form, and for a key that comes twice."""
    found: dict[str, str] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key or key in found:
            raise UsageError(f"--option '{option}' is not KEY=VALUE, or names its key again; give each key once")
        found[key] = value
    return found


def candidates(plugins: Plugins, name: str | None, *, bound: bool) -> list[Trigger]:
    """The trigger that is named, or those to try; a target or an option (``bound``) belongs to one, so it leaves no choice."""
    if name is not None or bound:
        return [plugins.trigger(name or PREFERRED[0])]
    return [plugins.trigger(known) for known in PREFERRED if known in plugins.offered_triggers.names]
