"""``--trigger``, ``--target`` and ``--option``: the event at which the kernel runs a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from ..errors import PluginError, UsageError
from ..plugin import Plugins, Trigger
from .complete import targets, triggers

PREFERRED = ("tracepoint", "run")
"""The triggers to try, in this order, if ``--trigger`` is not given."""


def trigger_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the three options to a verb, as ``trigger``, ``target`` and ``options``."""
    command = click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Trigger option. Can be repeated.")(
        command
    )
    command = click.option("--target", metavar="EVENT", shell_complete=targets, help="Event to attach to.")(command)
    which = "Trigger that runs the network. [default: tracepoint, else run]"
    return click.option("--trigger", metavar="NAME", shell_complete=triggers, help=which)(command)


def pairs(options: tuple[str, ...]) -> dict[str, str]:
    """The pairs of ``--option KEY=VALUE``. Raises :class:`UsageError` for another form, and for a duplicate key."""
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
    """The named trigger, or those to try. A target or an option belongs to one trigger, so only that one is tried.

    Raises as :meth:`Plugins.trigger`. If two plugins offer the trigger, other errors are reported too, as far as they can be
    found.
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
    """Errors that every one of ``offered`` would give, and checks that only a chosen trigger can make."""
    if target is None and all(each.needs_target for each in offered):
        yield f"also, trigger '{offered[0].name}' requires a target: give --target"
    for key in pairs(options):
        if not any(key in each.options for each in offered):
            yield f"also, none of them has an option '{key}'"
    if target is not None:
        yield f"the target '{target}' was not checked"
