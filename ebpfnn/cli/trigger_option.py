"""``--trigger``, ``--target`` and ``--option``: what makes the kernel run a network, as a user says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from ..errors import PluginError, UsageError
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
        if not equals or not key:
            raise UsageError(f"--option '{option}': not of the form KEY=VALUE; give one such as --option {key or 'KEY'}=VALUE")
        if key in found:
            raise UsageError(f"--option '{option}': '{key}' was given as '{found[key]}' already; give each key once")
        found[key] = value
    return found


def candidates(plugins: Plugins, name: str | None, target: str | None, options: tuple[str, ...]) -> list[Trigger]:
    """The trigger that is named, or those to try; a target or an option belongs to one, so it leaves no choice.

    Raises as :meth:`Plugins.trigger`. Where two plugins offer the trigger, what else is wrong is told too, as far as it shows.
    """
    if name is None and target is None and not options:
        return [plugins.trigger(known) for known in PREFERRED if known in plugins.offered_triggers.names]
    name = name or PREFERRED[0]
    try:
        return [plugins.trigger(name)]
    except UsageError:
        raise
    except PluginError as clash:
        wrong = _wrong_anyway(
            [offer.item for offer in plugins.offered_triggers.offers if offer.item.name == name], target, options
        )
        raise PluginError("; ".join([str(clash), *wrong])) from clash


def _wrong_anyway(offered: list[Trigger], target: str | None, options: tuple[str, ...]) -> Iterator[str]:
    """What would be wrong whichever of ``offered`` were taken, and what only one that is taken can check."""
    if target is None and all(each.needs_target for each in offered):
        yield f"also, trigger '{offered[0].name}' requires a target: give --target"
    for key in pairs(options):
        if not any(key in each.options for each in offered):
            yield f"also, none of them has an option '{key}'"
    if target is not None:
        yield f"the target '{target}' was not checked"
