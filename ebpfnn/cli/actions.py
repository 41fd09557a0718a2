"""``ebpfnn actions``: what a guard does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from .brakes import described, mode
from .complete import instances
from .only import named_or_only
from .tables import print_table


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str | None, as_json: bool) -> None:
    """Show what a guard does: its action, whether it acts, and on how many events.

    Events are counted by label. Acted: the action was taken. Audited, paused, capped: it would have been, but for the audit,
    the pause, or the cap on the share of events. Allowed: the allow-list keeps these events from being observed.

    Of events of threads it also says what became of those that were acted on. Hit: the action was done. Failed: the kernel
    refused it. Exempt: the thread is one that is never hit. Outside: it was not in the cgroup.
    """
    instance = named_or_only(name)
    about = instance.about()
    with instance.brakes() as brakes:
        counts, outcomes = brakes.counts(about.labels), brakes.outcomes()
        now, told = mode(brakes), described(about.guard, brakes)
    if as_json:
        became = {"outcomes": outcomes} if outcomes else {}
        click.echo(json.dumps({"name": instance.name, **told, "counts": counts, **became}, indent=2))
        return
    click.echo(f"{instance.name}: {about.guard['action']}, {now}")
    click.echo(_policy(about.guard))
    if "cgroup" in about.guard:
        each = ", ".join(f"{count:,} {name}" for name, count in outcomes.items())
        click.echo(f"only in {about.guard['cgroup']}; of the threads that were acted on: {each}")
    shown = {label or "-": each for label, each in counts.items() if any(each.values())}
    if shown:
        print_table(("label", *next(iter(shown.values()))), ((label, *_cells(each)) for label, each in shown.items()))


def _policy(guard: Mapping[str, Any]) -> str:
    row = f"after {guard['after']} verdicts in a row that are not '{guard['spared']}', by {guard['margin']:,} or more"
    brakes = f"at most {guard['most']:.0%} of the events; {len(guard['allowed'])} entries are allowed"
    return f"{row}, for {guard['lasting'] / 1e9:g} s; {brakes}"


def _cells(counts: Mapping[str, int]) -> list[str]:
    return [f"{count:,}" for count in counts.values()]
