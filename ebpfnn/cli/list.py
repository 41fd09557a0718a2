"""``ebpfnn list``: the networks that stay in the kernel."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..errors import Error
from ..instance import About, Instance, Statistics
from .group import complain
from .tables import print_table

_HEADINGS = ("instance", "network", "trigger", "target", "since", "runs", "each", "answered", "swaps")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the networks that `ebpfnn load` left in the kernel: what, where, since when, and how often they ran.

    One is detached where its interface or cgroup has gone: unload it, and load it again.

    Runs are those of the attached program, others' events included. They are counted only while somebody has statistics on:
    `sysctl kernel.bpf_stats_enabled=1`.
    """
    found: list[tuple[Instance, About, Statistics, bool]] = []
    failures = 0
    for instance in Instance.all():
        try:
            found.append((instance, instance.about(), instance.statistics(), instance.is_attached()))
        except Error as error:
            failures += complain(f"instance '{instance.name}': {error}")
    if as_json:
        click.echo(json.dumps([_described(*each) for each in found], indent=2))
    elif not found and not failures:
        click.echo("nothing is loaded; `ebpfnn load mnist` loads a network")
    else:
        print_table(_HEADINGS, [_row(*each) for each in found])
        if any(statistics.runs is None for _, _, statistics, _ in found):
            complain("runs are not counted; sysctl kernel.bpf_stats_enabled=1 has the kernel count them, for some 20 ns a run")
    context.exit(1 if failures else 0)


def _described(instance: Instance, about: About, statistics: Statistics, attached: bool) -> dict[str, object]:
    place = {"instance": instance.name, "path": str(instance.path), "attached": attached}
    return {**place, **asdict(about), **asdict(statistics)}


def _row(instance: Instance, about: About, statistics: Statistics, attached: bool) -> tuple[str, ...]:
    held = "" if attached else " (detached)"
    held += f" (held by process {about.holder})" if about.holder else ""
    runs = "-" if statistics.runs is None else str(statistics.runs)
    each = "-" if statistics.mean_ns is None else f"{statistics.mean_ns:.0f} ns"
    target = f"{about.target or ''}{held}".strip()
    counted = (runs, each, str(statistics.answered), str(statistics.swaps))
    return (instance.name, f"{about.network} ({about.architecture})", about.trigger, target, about.loaded, *counted)
