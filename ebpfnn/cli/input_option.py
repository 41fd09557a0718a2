"""The files to read, and the input that reads them: IMAGE, ``--paths``, ``--input`` and ``--raw``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import click

from ..errors import Error, printable
from ..plugin.places import STDIN, listed
from .complete import inputs

_RAW = "raw-frames"


class Given(NamedTuple):
    """``uris`` are read by the input ``source``; None for the one that claims them. ``width`` is the column width of names."""

    uris: Iterable[str | Error]
    source: str | None
    width: int


def _number(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuses NaN. It passes every range check, and no margin is less than NaN."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("NaN is no margin; give a number of logits, such as 3", context, parameter)
    return value


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds options to a verb: ``source``, ``raw``, ``paths`` and ``null`` for :func:`given`, ``split`` and ``min_margin``."""
    for option in (
        click.option(
            "--min-margin",
            type=click.FloatRange(0),
            metavar="LOGITS",
            callback=_number,
            help="Answer 'none of these' where the best score leads the second by less.",
        ),
        click.option("--split", is_flag=True, help="Classify each digit in an image, in reading order."),
        click.option("-0", "--null", is_flag=True, help="With --paths: a NUL ends each path, as find -print0 writes them."),
        click.option("--paths", is_flag=True, help="Read the paths of the images from standard input, one a line."),
        click.option("--raw", is_flag=True, help="Read samples as bytes, a byte a value, without header."),
        click.option("--input", "source", metavar="NAME", shell_complete=inputs, help="Input plugin that reads the images."),
    ):
        command = option(command)
    return command


def given(context: click.Context, images: tuple[str, ...], source: str | None, *, raw: bool, paths: bool, null: bool) -> Given:
    """The meaning of options and arguments. Raises :class:`click.UsageError` if they contradict each other."""
    if raw and source not in (None, _RAW):
        raise click.UsageError(f"--raw is --input {_RAW}; leave out one", context)
    if null and not paths:
        raise click.UsageError("--null is for --paths; give both", context)
    if paths and images:
        raise click.UsageError("--paths reads from standard input what to read; leave out IMAGE", context)
    useless = "closed" if sys.stdin is None else "a terminal" if sys.stdin.isatty() else None
    if useless and (paths or not images):
        raise click.UsageError(f"no {'paths' if paths else 'IMAGE'}, and standard input is {useless}", context)
    source = _RAW if raw else source
    if paths:
        return Given(listed(sys.stdin.buffer, b"\0" if null else b"\n"), source, 0)
    uris = images or (STDIN,)
    return Given(uris, source, max(len("stdin:10" if uri == STDIN else printable(uri)) for uri in uris))
