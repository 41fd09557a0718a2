"""``ebpfnn load``: a network that stays in the kernel."""

from __future__ import annotations

import grp
import time

import click

from .. import modelfile
from ..errors import DetachedError, PluginError, SessionError
from ..instance import Instance
from .group import complain
from .inference import pick
from .plugin_option import available, plugin_option
from .trigger_option import candidates, pairs, trigger_options

_NO_GROUP = (1 << 32) - 1  # what chown(2) takes for no change


@click.command()
@click.argument("model", metavar="NAME|FILE")
@trigger_options
@click.option("--name", metavar="NAME", help="What the instance is called. [default: as the network]")
@click.option("--group", metavar="GROUP", help="Let the members of this group use it too.")
@click.option("--quiet", is_flag=True, help="Say nothing where all goes well.")
@plugin_option
def command(
    model: str,
    trigger: str | None,
    target: str | None,
    options: tuple[str, ...],
    name: str | None,
    group: str | None,
    quiet: bool,
) -> None:
    """Load a network into the kernel, where it stays behind its trigger when this command has ended.

    At the end some samples are inferred and compared with the reference. Where this kernel cannot keep the attachment, the
    command stays, until Ctrl-C or SIGTERM, and then leaves nothing.
    """
    path = modelfile.resolve(model)
    network = modelfile.load(path)
    plugins = available()
    known = candidates(plugins, trigger, bound=target is not None or bool(options))
    chosen = known[0] if len(known) == 1 else pick(known, quiet=quiet)
    if chosen.needs_target and target is None:
        raise PluginError(f"trigger '{chosen.name}' is attached nowhere without a target; give --target: {chosen.summary}")
    gid = -1 if group is None else _group(group)
    given = pairs(options)
    with Instance.load(network, chosen, target, name=name, options=given, file=path, group=gid) as instance:
        if not quiet:
            about = instance.about()
            where = f"{about.trigger} {about.target or ''}".strip()
            click.echo(f"{instance.name}: {about.network} ({about.architecture}) loaded behind {where}; {instance.path}")
            click.echo(f"{instance.name}: proved {instance.proof}")
        if instance.holding:
            _stay(instance)


def _group(name: str) -> int:
    try:
        if not name.isdecimal():
            return grp.getgrnam(name).gr_gid
        if len(name) < 11 and int(name) < _NO_GROUP:
            return int(name)
        raise KeyError(name)
    except KeyError:
        raise click.BadParameter(f"group '{name}' is not known; see getent group", param_hint="--group") from None


def _stay(instance: Instance) -> None:
    """Waits until the user ends it, or somebody unloads the instance."""
    try:
        complain(f"{instance.holding}; it stays loaded while this command runs, which Ctrl-C ends")
        while instance.is_loaded():
            time.sleep(0.2)
            _check_attached(instance)
    except KeyboardInterrupt:
        return


def _check_attached(instance: Instance) -> None:
    """Raises :class:`DetachedError` where the attachment has gone that this process holds: there is nothing to stay for."""
    try:
        instance.check_attached()
    except DetachedError as gone:
        fact, _, _ = str(gone).rpartition("; ")
        raise DetachedError(f"{fact}; it is unloaded now, so load it again") from None
    except SessionError:
        return  # it was unloaded
