"""``ebpfnn watch``: the inferences of an instance as they happen."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice

import click

from ..errors import printable
from ..instance import Event, VerdictWatch, Watch
from ..session import Verdict
from .complete import instances
from .messages import complain
from .only import named_or_only
from .seconds import Seconds
from .watch_tables import Tally, as_line, live

Show = Callable[[Event | Verdict | None], None]


@click.command()
@click.argument("name", metavar="[INSTANCE]", required=False, shell_complete=instances)
@click.option("--seconds", type=Seconds(min=0), metavar="S", help="Stop after S seconds.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N inferences.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def command(name: str | None, seconds: float | None, count: int | None, as_json: bool) -> None:
    """Show every inference of INSTANCE, made by any process.

    Each line has the time of day, the label, its logit (the score times the score scale), the time in the network, the source
    of the sample, and the network. The source is the slot of the calling thread, or what the trigger documents. On a terminal,
    show the latest inferences, the rate per second and a count per label.

    For a network that observes events, each line has the time of the event, the label, the margin, the time in the network, the
    key, the number of the event in its state, and the number of swaps before the network.

    The exit status is 0 after Ctrl-C, --seconds or --count. It is 1 if the instance is unloaded or detached meanwhile, or if
    another process watches it: only one process can watch an instance at a time.
    """
    instance = named_or_only(name)
    with instance.watch_verdicts() if instance.about().observes else instance.watch() as watch:
        tally = Tally(watch.about.labels)
        try:
            with _shown(instance.name, tally, as_json=as_json) as show:
                for event in islice(_events(watch, seconds, tally), count):
                    show(event)
        except KeyboardInterrupt:
            pass
        tally.lost = watch.lost
        _sum_up(instance.name, tally, as_json=as_json)


def _events(watch: Watch | VerdictWatch, seconds: float | None, tally: Tally) -> Iterator[Event | Verdict]:
    """Every event, counted, until the time is over. Events that are waiting at that moment are included."""
    deadline = None if seconds is None else time.monotonic() + seconds
    over = False
    while not over:
        left = 0.2 if deadline is None else min(0.2, max(deadline - time.monotonic(), 0))
        over = deadline is not None and deadline <= time.monotonic()
        for event in watch.read(left):
            tally.add(event)
            tally.lost = watch.lost
            yield event
        tally.lost = watch.lost
        tally.refresh()


@contextmanager
def _shown(name: str, tally: Tally, *, as_json: bool) -> Iterator[Show]:
    """A function that shows an event: as a line of JSON, a line of text, or on a terminal in a display that is refreshed."""
    if as_json:
        yield lambda event: _print(json.dumps(asdict(event)) if event else "")
    elif sys.stdout.isatty():
        with live(name, tally):
            yield lambda event: None
    else:
        yield lambda event: _print(as_line(event) if event else "")


def _print(line: str) -> None:
    click.echo(printable(line))
    sys.stdout.flush()


def _sum_up(name: str, tally: Tally, *, as_json: bool) -> None:
    """Prints a summary. In JSON only lost events are reported, since the output has all others."""
    lost = f"; {tally.lost} more were lost because they arrived faster than they were read" if tally.lost else ""
    if lost or not as_json:
        complain(f"{name}: {tally.total} inferences in {tally.seconds:.1f} s{lost}")
