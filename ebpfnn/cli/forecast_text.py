"""What a model takes in a kernel, as lines; and the option that names another kernel."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..compiler.features import BY_NAME
from ..errors import printable
from ..evaluation.forecast import Forecast

for_option = click.option(
    "--for",
    "kernel",
    type=click.Choice(list(BY_NAME)),
    help="Plan for a kernel with the features of this version of Linux. [default: what this kernel is found to have]",
)


def forecast_lines(found: Forecast, kernel: str | None) -> Iterator[str]:
    """Whether it loads, and on the next lines what it takes; if it does not, why, and what helps."""
    where = f"with the features of Linux {kernel}" if kernel else "here"
    if found.refusal:
        yield f"does not load {where}: {printable(found.refusal)}"
        return
    if found.loaded:
        verified = "" if found.verified is None else f"; {found.verified:,} verified instructions"
        yield f"loads {where}: loaded, run and unloaded{verified}; {found.load_ms or 0:,.0f} ms"
    else:
        why = f" ({printable(found.reason.partition(';')[0])})" if found.reason else ""
        walked = f"; some {found.verified:,} instructions to verify" if found.verified is not None else ""
        yield f"should load {where}: estimated, not loaded{why}{walked}"
    yield f"  {', '.join(_sizes(found))}"
    if found.ns is not None:
        how = "on noise, measured" if found.loaded else "by the cost model"
        yield f"  {found.ns:,.0f} ns an inference, {how}"


def _sizes(found: Forecast) -> Iterator[str]:
    if found.branches is not None:
        yield f"some {found.branches:,} branches put off"
    if found.stack is not None:
        yield f"{found.stack} bytes of stack"
    yield f"{found.workspace:,} bytes of workspace"
    yield f"{found.tables:,} of tables"
