"""Shell completion of verbs, networks, instances, triggers, specs, inputs and network interfaces."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

_OF_INTERFACES = ("xdp", "tc", "socket_filter")


def verbs(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The verbs, and after a verb its subcommands."""
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
    from ..bodies import modelfile

    return [*_those(modelfile.bundled(), begun), CompletionItem(begun, type="file")]


def instances(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The loaded instances. Empty if they cannot be read."""
    from ..errors import Error
    from ..instance import Store

    try:
        return _those(Store().names(), begun)
    except (Error, OSError):
        return []


def instance_or_network(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The arguments of ``swap``: first an instance or a network, then a network. A name that is both is offered once."""
    known = [] if context.params.get("words") else instances(context, parameter, begun)
    found = networks(context, parameter, begun)
    return [*known, *(each for each in found if each.type != "plain" or each.value not in {one.value for one in known})]


def triggers(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The triggers of the installed plugins. Files of ``--plugin`` are not executed for completion."""
    from ..plugin import Plugins

    return _those(Plugins.installed().offered_triggers.names, begun)


def actions(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The actions of the installed plugins."""
    from ..plugin import Plugins

    return _those(Plugins.installed().offered_actions.names, begun)


def specs(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The specs that come with ebpfnn, and files."""
    from ..events import shipped

    return [*_those(shipped(), begun), CompletionItem(begun, type="file")]


def inputs(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The inputs of the installed plugins."""
    from ..plugin import Plugins

    return _those(Plugins.installed().offered_inputs.names, begun)


def interfaces(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The network interfaces of this machine."""
    import socket

    return _those([name for _, name in socket.if_nameindex()], begun)


def targets(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The network interfaces of this machine, if the trigger takes one."""
    import socket

    if context.params.get("trigger") not in _OF_INTERFACES:
        return []
    return _those([name for _, name in socket.if_nameindex()], begun)


def _those(known: list[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in known if name.startswith(begun)]
