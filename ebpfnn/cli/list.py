"""``ebpfnn list``: the networks that stay in the kernel."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from .. import abi
from ..errors import Error
from ..instance import About, Foreign, Instance, Statistics
from .brakes import described, mode
from .messages import complain
from .spec_text import spec_of
from .tables import print_table

_Guarding = tuple[dict[str, Any], str]
"""Of a guard: its policy and whether it acts, for scripts, and whether it acts for people."""
_Found = tuple[Instance, About, Statistics, bool, _Guarding]
_HEADINGS = ("instance", "network", "trigger", "loaded", "answered", "runs", "ns/run")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the networks loaded by `ebpfnn load`: name, trigger, load time (UTC) and counters.

    Of a network that an ebpfnn of another ABI version loaded, only the names and times are shown; `ebpfnn unload` removes it.

    Of a guard, its action is shown, and whether it acts. A network is detached if its interface or cgroup was removed: unload
    it, and load it again.

    The runs include events of all processes. The kernel counts them only while run statistics are enabled: `sysctl
    kernel.bpf_stats_enabled=1`.
    """
    found: list[_Found] = []
    others: list[tuple[Instance, Foreign]] = []
    failures = 0
    for instance in Instance.all():
        try:
            other = instance.foreign()
            if other is not None:
                others.append((instance, other))
                continue
            about = instance.about()
            found.append((instance, about, instance.statistics(), instance.is_attached(), _guarding(instance, about)))
        except Error as error:
            failures += complain(f"instance '{instance.name}': {error}")
    if as_json:
        click.echo(json.dumps([*(_described(*each) for each in found), *(_told(*each) for each in others)], indent=2))
    elif not found and not others and not failures:
        click.echo("no networks are loaded; load one with `ebpfnn load`")
    elif found or others:
        print_table(_HEADINGS, [*(_row(*each) for each in found), *(_foreign_row(*each) for each in others)])
        if any(statistics.runs is None for _, _, statistics, _, _ in found):
            complain("runs are not counted; enable with: sysctl kernel.bpf_stats_enabled=1 (adds about 20 ns per run)")
    context.exit(1 if failures else 0)


def _guarding(instance: Instance, about: About) -> _Guarding:
    if not about.guard:
        return {}, ""
    with instance.brakes() as brakes:
        return described(about.guard, brakes), mode(brakes)


def _described(
    instance: Instance, about: About, statistics: Statistics, attached: bool, guarding: _Guarding
) -> dict[str, object]:
    place = {"instance": instance.name, "path": str(instance.path), "attached": attached}
    return {**place, **asdict(about), "guard": guarding[0], **asdict(statistics)}


def _told(instance: Instance, other: Foreign) -> dict[str, object]:
    return {"instance": instance.name, "path": str(instance.path), **asdict(other)}


def _foreign_row(instance: Instance, other: Foreign) -> tuple[str, ...]:
    mark = f"(ABI version {other.abi}; this ebpfnn has {abi.VERSION})"
    trigger = " ".join(filter(None, (other.trigger, other.target, mark)))
    return (instance.name, other.network, trigger, _time(other.loaded), "-", "-", "-")


def _time(loaded: str) -> str:
    return loaded[5:16].replace("T", " ")


def _row(instance: Instance, about: About, statistics: Statistics, attached: bool, guarding: _Guarding) -> tuple[str, ...]:
    held = "" if attached else "(detached)"
    held += f" (held by process {about.holder})" if about.holder else ""
    runs = "-" if statistics.runs is None else str(statistics.runs)
    each = "-" if statistics.mean_ns is None else f"{statistics.mean_ns:.0f}"
    observed = f"({spec_of(about.events)})" if about.observes else ""
    guard = f"(guard: {about.guard['action']}, {guarding[1]})" if about.guard else ""
    trigger = " ".join(filter(None, (about.trigger, about.target, observed, guard, held)))
    counted = (str(statistics.answered), runs, each)
    return (instance.name, about.network, trigger, _time(about.loaded), *counted)
