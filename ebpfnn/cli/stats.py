"""``ebpfnn stats``: the rates of an instance per second."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from .complete import instances
from .messages import complain
from .only import named_or_only
from .seconds import Seconds
from .tables import print_table


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--seconds", type=Seconds(0.01, 86400), default=1.0, show_default=True, help="Seconds to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str | None, seconds: float, as_json: bool) -> None:
    """Show runs per second, time per run and inferences per second of INSTANCE.

    The runs include events of all processes. Counting enables the kernel's run statistics, which need CAP_SYS_ADMIN and add
    about 20 ns to every run of every BPF program.

    Of a network that observes events, also what its observers count per second, and its verdicts by label.
    """
    instance = named_or_only(name)
    rates = instance.stats(seconds)
    if as_json:
        click.echo(json.dumps({"instance": instance.name, **asdict(rates)}, indent=2))
        return
    runs = "-" if rates.runs is None else f"{rates.runs:.1f}"
    each = "-" if rates.mean_ns is None else f"{rates.mean_ns:.0f} ns"
    headings = ("instance", "seconds", "runs/s", "time/run", "answered/s")
    print_table(headings, [(instance.name, f"{rates.seconds:.1f}", runs, each, f"{rates.answered:.1f}")])
    if rates.counts:
        click.echo()
        print_table(("counted", "per second"), ((name, f"{each:.1f}") for name, each in rates.counts.items()))
        click.echo()
        print_table(("label", "verdicts/s"), ((label, f"{each:.1f}") for label, each in rates.classes.items()))
    if rates.uncounted:
        complain(f"runs are not counted: {rates.uncounted}")
