"""The options of ``ebpfnn load`` for a guard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from ..errors import UsageError
from ..events.policy import MOST_AFTER, MOST_ALLOWED, Policy, entry
from ..instance.usual_allowed import of_packets, usual
from ..kernel import find_cgroup
from ..network.model import Model
from ..plugin import Plugins
from ..session.guarding import Guard, calibrated
from .collect import Duration
from .complete import actions

_NAMES = ("enforce", "seconds", "after", "lasting", "most", "allowed", "no_usual_allowed", "cgroup")
_TYPED = ParameterSource.COMMANDLINE
_Function = TypeVar("_Function", bound=Callable[..., Any])
_ALLOW = "Never observe events for which this holds, such as 'source in 10.0.0.0/8'; \"and\" joins conditions. Can be repeated."
_LASTING = "Act so long after the last of them."
_OPTIONS = (
    click.option("--action", metavar="NAME[:VALUE]", shell_complete=actions, help="What to do with events, such as drop."),
    click.option("--enforce", is_flag=True, help="Act; without it, only count what would be done (audit)."),
    click.option("--for", "seconds", type=Duration(), metavar="DURATION", help="Act no longer than this; then audit."),
    click.option(
        "--after",
        type=click.IntRange(1, MOST_AFTER),
        default=2,
        show_default=True,
        metavar="N",
        help="Act after N verdicts in a row.",
    ),
    click.option("--lasting", type=Duration(), default="60s", show_default=True, metavar="DURATION", help=_LASTING),
    click.option(
        "--most",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.5,
        show_default=True,
        metavar="SHARE",
        help="Act on at most this share of the events.",
    ),
    click.option("--allow", "allowed", multiple=True, metavar="CONDITIONS", help=_ALLOW),
    click.option("--no-usual-allowed", is_flag=True, help="Also observe loopback, and the peers of sshd's connections."),
    click.option("--cgroup", metavar="PATH", default="", help="Observe and hit only threads in this cgroup (version 2)."),
)


def guard_options(function: _Function) -> _Function:
    """Adds the options. Their values are arguments of :func:`asked`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def asked(
    model: Model,
    plugins: Plugins,
    *,
    action: str | None,
    enforce: bool,
    seconds: float | None,
    after: int,
    lasting: float,
    most: float,
    allowed: Sequence[str],
    no_usual_allowed: bool,
    cgroup: str = "",
) -> Guard | None:
    """The guard that the options ask for, None without an action.

    Raises :class:`UsageError` for options that need an action, for a model that observes no events or is not calibrated, and
    :class:`~ebpfnn.errors.ModelError` for an allow-list that cannot be read.
    """
    if action is None:
        if given := _given():
            raise UsageError(f"{given} is for guards; give --action too")
        return None
    if seconds is not None and not enforce:
        raise UsageError("--for limits how long a guard acts; give --enforce too")
    found = plugins.action(action)
    if not model.events:
        fact = f"network '{model.name}' observes no events, so there is nothing to act on"
        raise UsageError(f"{fact}; leave out the action, or train on rows that `ebpfnn collect` wrote")
    spared, margin = calibrated(model)
    entries = tuple(map(entry, (*allowed, *(() if no_usual_allowed or not of_packets(model, plugins) else usual()))))
    if len(entries) > MOST_ALLOWED:
        usually = f"{len(entries) - len(allowed)} of them for loopback and who is logged in by SSH"
        fact = f"{len(entries)} entries are allowed, {usually}"
        raise UsageError(f"{fact}; give at most {MOST_ALLOWED}: --no-usual-allowed, and --allow for whole networks")
    policy = Policy(spared, margin, after, int(lasting * 1e9), most, entries)
    return Guard(policy, found, str(find_cgroup(cgroup).resolve()) if cgroup else "")


def _given() -> str | None:
    """The first option of a guard on the command line."""
    context = click.get_current_context()
    ours = {option.name: option.opts[-1] for option in context.command.params if option.name in _NAMES}
    return next((flag for name, flag in ours.items() if name and context.get_parameter_source(name) is _TYPED), None)
