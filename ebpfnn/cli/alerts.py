"""``ebpfnn alerts``: the events that a guard acted on, as its action tells of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import islice
from typing import Any

import click

from ..instance import Alert, AlertWatch
from .complete import instances
from .messages import complain
from .only import named_or_only
from .seconds import Seconds


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--seconds", type=Seconds(min=0), metavar="S", help="Stop after S seconds.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
def command(name: str | None, seconds: float | None, count: int | None) -> None:
    """Print the events that INSTANCE, a guard with --action event, acts on: one JSON object per line.

    Each has the time (UTC), the event of the spec with its trigger and target, label, margin and key of the verdict, the fields
    of the event, and how many events were suppressed so far, because they were more than the rate of the action, or lost,
    because nobody had read so many others. Events that nobody has read come first.

    The exit status is 0 after Ctrl-C, --seconds or --count. It is 1 if the instance is unloaded or detached meanwhile, or if
    another process reads its alerts: only one process can at a time.
    """
    instance = named_or_only(name)
    with instance.alerts() as watch:
        try:
            for alert in islice(_alerts(watch, seconds), count):
                click.echo(json.dumps(_described(alert, watch)))
                sys.stdout.flush()
        except KeyboardInterrupt:
            pass
        told = watch.counts()
    if told.suppressed or told.lost:
        complain(
            f"{instance.name}: {told.told} alerts since it was loaded; {told.suppressed} more suppressed, {told.lost} lost"
        )


def _alerts(watch: AlertWatch, seconds: float | None) -> Iterator[Alert]:
    """Every alert until the time is over. Those that are waiting at that moment are included."""
    deadline = None if seconds is None else time.monotonic() + seconds
    over = False
    while not over:
        left = 0.2 if deadline is None else min(0.2, max(deadline - time.monotonic(), 0))
        over = deadline is not None and deadline <= time.monotonic()
        yield from watch.read(left)


def _described(alert: Alert, watch: AlertWatch) -> dict[str, Any]:
    told = watch.counts()
    seconds = (time.time_ns() - time.monotonic_ns() + alert.time_ns) / 1e9
    when = datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
    return {"time": when, **asdict(alert), "suppressed": told.suppressed, "lost": told.lost}
