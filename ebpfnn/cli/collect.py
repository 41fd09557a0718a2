"""``ebpfnn collect``: rows of events to a file, to learn from."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from ..collect import Collector, Progress, collect
from ..collect.live import check_route
from ..errors import ModelError, printable
from ..events import duration
from .complete import interfaces, specs, triggers
from .group import TERMINATED
from .messages import complain
from .plugin_option import available, plugin_option
from .trigger_option import pairs

_PATH = click.Path(path_type=Path)
_MIB = 1 << 20


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A duration of a spec, such as ``30s``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return duration(value, f"'{value}'") / 1e9
        except ModelError:
            self.fail(f"'{value}' is not a duration; give one such as 30s, 5m or 500ms", param, ctx)


@click.command()
@click.argument("spec", metavar="SPEC", shell_complete=specs)
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--output", type=_PATH, metavar="FILE", help="File of rows: .npz, .parquet or .csv.")
@click.option("--append", is_flag=True, help="Add to the rows that the file has.")
@click.option("--trigger", metavar="NAME", shell_complete=triggers, help="Trigger of the spec's event. [default: the spec's]")
@click.option("--target", metavar="EVENT", shell_complete=interfaces, help="Event to attach to, such as an interface.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Trigger option. Can be repeated.")
@click.option("--where", "filters", multiple=True, metavar="CONDITION", help="Observe only such events. Can be repeated.")
@click.option("--label", default="", metavar="NAME", help="Label of the rows.")
@click.option("--group", metavar="NAME", help="Session of the rows, which training keeps together. [default: the time]")
@click.option("--for", "seconds", type=Duration(), metavar="DURATION", help="Stop after this time, such as 30s or 5m.")
@click.option("--rows", "most_rows", type=click.IntRange(min=1), metavar="N", help="Stop after N rows.")
@click.option("--pcap", "capture", type=_PATH, metavar="FILE", help="Read packets of a capture instead, attached to nothing.")
@click.option("--record", type=_PATH, metavar="FILE", help="Write every accepted event to this .npz file; make rows of these.")
@click.option(
    "--buffer",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    metavar="MIB",
    help="Ring buffer, rounded up to a power of 2.",
)
@click.option("--yes", is_flag=True, help="Attach to an interface by which this machine reaches others.")
@click.option("--quiet", is_flag=True, help="Print nothing on success.")
@plugin_option
def command(
    spec: str,
    words: tuple[str, ...],
    output: Path | None,
    options: tuple[str, ...],
    buffer: int,
    yes: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Collect rows of events to a file, to train on.

    SPEC is a TOML file, or the name of a spec that comes with ebpfnn. It says which events are observed, and what is computed
    for each key. Programs in the kernel do that; they are attached until this command ends, and change no packet.

    A condition such as --where 'uid == 1000' or --where 'source in 10.0.0.0/8' is for this collection alone, beside those of
    the spec, and comes before any state.

    It ends on Ctrl-C, with what has come, or by --for, --rows, or the end of the capture. A COMMAND behind -- is started when
    the programs are attached, and ends it too, as for perf(1). The exit status is 0, also if rows were lost because they came
    faster than they were read, which is reported.
    """
    if not output and not given["record"]:
        raise click.UsageError("no file to write to; give --output FILE", click.get_current_context())
    if words and given["capture"] is not None:
        raise click.UsageError(
            "--pcap reads a capture, and a command makes events; give one of them", click.get_current_context()
        )

    def check(collector: Collector) -> None:
        if not yes and given["capture"] is None:
            check_route(collector.sources)
        if not quiet and given["capture"] is None and given["seconds"] is None and not words and sys.stderr.isatty():
            complain("collecting until Ctrl-C")

    progress = collect(
        spec,
        output,
        plugins=available(),
        options=pairs(options),
        command=words,
        ring_bytes=_MIB << (buffer - 1).bit_length(),
        tell=_line if sys.stderr.isatty() and not quiet else lambda progress: None,
        check=check,
        **given,
    )
    if sys.stderr.isatty() and not quiet:
        click.echo("\r\x1b[K", nl=False, err=True)
    _report(progress, output, given["record"], quiet=quiet)


def _line(progress: Progress) -> None:
    """The line on a terminal, written over."""
    counts = progress.counts
    lost = f", {counts.lost:,} lost" if counts.lost else ""
    told = f"{progress.rows:,} rows, {counts.created:,} keys, {counts.observed:,} events{lost}"
    click.echo(f"\r{told}\x1b[K", nl=False, err=True)


def _report(progress: Progress, output: Path | None, record: Path | None, *, quiet: bool) -> None:
    """Prints what was collected, and what was lost or left out. Ends the verb with the status of a failure if there was one."""
    counts = progress.counts
    if output and not quiet:
        whole = f", {progress.before + progress.rows:,} in all" if progress.before else ""
        click.echo(printable(f"{output}: {progress.rows:,} rows{whole}, from {counts.observed:,} events"))
    if record and not quiet:
        click.echo(printable(f"{record}: {progress.recorded:,} events"))
    if progress.skipped:
        complain(progress.skipped)
    if counts.lost:
        what = "events" if record else "rows"
        complain(f"{counts.lost:,} {what} were lost because they came faster than they were read; give a larger --buffer")
    if counts.unstored:
        fact = f"{counts.unstored:,} events of new keys were ignored because the map of states was full"
        complain(f"{fact}; raise state.entries in the spec")
    if progress.full:
        fact, _, remedy = progress.full.partition("; ")
        context = click.get_current_context()
        context.exit(complain(f"{fact}, so collecting ended; {remedy or 'free some space'}. What had come is in the file"))
    if progress.status:
        how = f"was ended by signal {-progress.status}" if progress.status < 0 else f"ended with status {progress.status}"
        complain(f"the command {how}")
    if progress.signal == signal.SIGTERM:
        click.get_current_context().exit(TERMINATED)
