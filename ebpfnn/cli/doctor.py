"""``ebpfnn doctor``: what this machine lacks, and the commands that fix it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..doctor import State, machine, ready
from .plugin_option import available, plugin_option

_MARKS = {State.OK: "ok", State.WARN: "warn", State.FAIL: "FAIL", State.UNAVAILABLE: "unavailable"}
_WIDEST = max(map(len, _MARKS.values()))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@plugin_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check this machine and suggest fixes.

    The exit status is 0 if at least one trigger works, else 1.
    """
    checks = list(machine(available()))
    working, known = ready(checks)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            click.echo(f"{_MARKS[check.state]:<{_WIDEST}}  {check.name:<{width}}  {check.fact}")
            if check.remedy:
                click.echo(f"{'':>{_WIDEST}}  {'':>{width}}  fix: {check.remedy}")
        click.echo(f"ready: {working} of {known} triggers")
    context.exit(0 if working else 1)
