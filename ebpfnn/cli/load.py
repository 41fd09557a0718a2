"""``ebpfnn load``: loads a network that stays in the kernel."""

from __future__ import annotations

import grp
import time
from typing import Any

import click

from ..bodies import modelfile
from ..errors import DetachedError, SessionError, UsageError
from ..instance import About, Instance
from ..instance.enforcing import check_deadline, enforce_for, targets_of
from ..network.events import TRIGGER
from ..session.observed import observes
from .brakes import mode
from .complete import networks
from .guard_options import asked, guard_options
from .inference import pick
from .messages import complain
from .plugin_option import available, plugin_option
from .trail import told
from .trigger_option import candidates, pairs, trigger_options

_NO_GROUP = (1 << 32) - 1  # the value for "no change" in chown(2)


@click.command()
@click.argument("model", metavar="[NAME|FILE]", default="mnist", shell_complete=networks)
@trigger_options
@click.option("--name", metavar="NAME", help="Name of the instance. [default: that of the network]")
@click.option("--where", "filters", multiple=True, metavar="CONDITION", help="Observe only such events. Can be repeated.")
@click.option("--any-mode", is_flag=True, help="Allow another trigger or mode than that of the data of the network.")
@guard_options
@click.option("--group", metavar="GROUP", help="Allow members of this group to use the instance.")
@click.option("--quiet", is_flag=True, help="Print nothing on success.")
@plugin_option
def command(
    model: str,
    trigger: str | None,
    target: str | None,
    options: tuple[str, ...],
    name: str | None,
    filters: tuple[str, ...],
    any_mode: bool,
    group: str | None,
    quiet: bool,
    **guarding: Any,
) -> None:
    """Load a network into the kernel as an instance, which stays attached to its trigger after this command exits.

    NAME is a bundled network, FILE a model file. A trigger attaches a program to an event of the kernel, its target; the
    program runs the network. Before the command exits, it runs the network on some samples and compares the scores with the
    reference, the same arithmetic in numpy.

    A network that was trained on rows of events carries their spec. It observes these events itself, from everybody: each
    gives verdicts on connections, processes or users, which `ebpfnn watch` and `ebpfnn verdicts` show. --trigger is then that
    of its data. A condition such as --where 'uid == 1000' or --where 'source in 10.0.0.0/8' comes before any state. Observing
    changes nothing: every packet passes.

    With --action, the instance is a guard. It counts what it would do (audit); with --enforce it does it. FILE must be
    calibrated (`ebpfnn calibrate`). `ebpfnn actions` shows what it does, and `ebpfnn pause` stops it at once.

    Some attachments end with the process that made them. Then the command stays in the foreground, and unloads the network
    on Ctrl-C or SIGTERM.
    """
    path = modelfile.resolve(model)
    plugins = available()
    network = modelfile.load(path, plugins)
    trigger = trigger or network.events.get(TRIGGER)
    known = candidates(plugins, trigger, target, options)
    needing = next((each for each in known if each.needs_target and target is None), None)
    if needing and not observes(network, needing):
        raise UsageError(f"trigger '{needing.name}' requires a target; give --target: {needing.takes}")
    chosen = pick(known, quiet=quiet)
    gid = -1 if group is None else _group(group)
    guard = asked(network, plugins, **guarding)
    if guarding["enforce"]:
        check_deadline([target, *targets_of(network.events)], guarding["seconds"])
    given = pairs(options)
    with Instance.load(
        network,
        chosen,
        target,
        name=name,
        options=given,
        file=path,
        group=gid,
        plugins=plugins,
        filters=filters,
        any_mode=any_mode,
        guard=guard,
    ) as instance:
        _log(instance)
        if guarding["enforce"]:
            with instance.brakes() as brakes:
                enforce_for(brakes, guarding["seconds"])
            told("enforce", instance.name, seconds=guarding["seconds"])
        if not quiet:
            _tell(instance)
        if instance.holding:
            _stay(instance)


def _log(instance: Instance) -> None:
    about = instance.about()
    place = {"trigger": about.trigger, "target": about.target, "action": about.guard.get("action")}
    told("load", instance.name, network=about.network, file=about.file or None, digest=about.digest, **place)


def _tell(instance: Instance) -> None:
    """Prints what was loaded. If it cannot be printed, nothing stays loaded."""
    about = instance.about()
    where = f"{about.trigger} {about.target or ''}".strip()
    try:
        click.echo(f"{instance.name}: {about.network} ({about.architecture}) loaded behind {where}; {instance.path}")
        click.echo(f"{instance.name}: checked {instance.proof}")
        if about.observes:
            some = f" in {about.guard['cgroup']}" if "cgroup" in about.guard else ""
            some += f" where {' and '.join(about.filters)}" if about.filters else ""
            click.echo(f"{instance.name}: observes every event{some} and {_does(instance, about)}")
    except OSError:
        instance.unload()
        raise


def _does(instance: Instance, about: About) -> str:
    if not about.guard:
        return "changes none"
    with instance.brakes() as brakes:
        return f"is a guard: {about.guard['action']}, {mode(brakes)}; see `ebpfnn actions {instance.name}`"


def _group(name: str) -> int:
    try:
        if not name.isdecimal():
            return grp.getgrnam(name).gr_gid
        if len(name) < 11 and int(name) < _NO_GROUP:
            return int(name)
        raise KeyError(name)
    except KeyError:
        raise click.BadParameter(f"group '{name}' does not exist; `getent group` lists groups", param_hint="--group") from None


def _stay(instance: Instance) -> None:
    """Waits until the user interrupts it, or another process unloads the instance."""
    try:
        complain(f"{instance.holding}; it stays loaded until this command is stopped with Ctrl-C")
        while instance.is_loaded():
            time.sleep(0.2)
            _check_attached(instance)
    except KeyboardInterrupt:
        return


def _check_attached(instance: Instance) -> None:
    """Raises :class:`DetachedError` if the attachment that this process holds is gone, so that waiting is of no use."""
    try:
        instance.check_attached()
    except DetachedError as gone:
        fact, _, _ = str(gone).rpartition("; ")
        raise DetachedError(f"{fact}; it is unloaded now, so load it again") from None
    except SessionError:
        return  # it was unloaded
