"""What the shell completes: verbs, networks, instances, triggers, inputs and network interfaces."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

_OF_INTERFACES = ("xdp", "tc", "socket_filter")


def verbs(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The verbs, and behind a verb those below it."""
    above = context.find_root()
    for word in context.params.get("words") or ():
        group = above.command
        found = group.get_command(above, word) if isinstance(group, click.Group) else None
        if found is None:
            return []
        above = click.Context(found, info_name=word, parent=above)
    return _those(above.command.list_commands(above), begun) if isinstance(above.command, click.Group) else []


def networks(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The bundled networks, and files."""
    from ..network import modelfile

    return [*_those(modelfile.bundled(), begun), CompletionItem(begun, type="file")]


def instances(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The instances that are loaded; none where they cannot be read."""
    from ..errors import Error
    from ..instance import Store

    try:
        return _those(Store().names(), begun)
    except (Error, OSError):
        return []


def instance_or_network(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """What ``swap`` takes: an instance or a network first, then a network. What is both is offered once."""
    known = [] if context.params.get("words") else instances(context, parameter, begun)
    found = networks(context, parameter, begun)
    return [*known, *(each for each in found if each.type != "plain" or each.value not in {one.value for one in known})]


def triggers(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The triggers of the installed plugins: none of ``--plugin`` is executed to complete a word."""
    from ..plugin import Plugins

    return _those(Plugins.installed().offered_triggers.names, begun)


def inputs(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The inputs of the installed plugins."""
    from ..plugin import Plugins

    return _those(Plugins.installed().offered_inputs.names, begun)


def targets(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """This machine's network interfaces, where the trigger takes one."""
    import socket

    if context.params.get("trigger") not in _OF_INTERFACES:
        return []
    return _those([name for _, name in socket.if_nameindex()], begun)


def _those(known: list[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in known if name.startswith(begun)]
