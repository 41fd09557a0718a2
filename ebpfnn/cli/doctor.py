"""``ebpfnn doctor``: what this machine lacks, and the command that mends it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..doctor import State, can_infer, machine
from .group import complain
from .plugin_option import available, plugin_option

_MARKS = {State.OK: "ok  ", State.WARN: "warn", State.FAIL: "FAIL"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@plugin_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Tell what this machine lacks, and the command that mends it.

    Ends with status 0 where `ebpfnn infer` works with at least one trigger, else 1.
    """
    checks = list(machine(available()))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{_MARKS[check.state]}  {check.name:<{width}}  {check.fact}")
            if check.remedy:
                click.echo(f"{'':>4}  {'':>{width}}  mend it: {check.remedy}")
    if not can_infer(checks):
        context.exit(complain("no trigger works here; the lines above tell why"))
