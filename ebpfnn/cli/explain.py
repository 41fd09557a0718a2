"""``ebpfnn explain``: which columns of a row spoke for what a model gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from .. import datasets
from ..bodies import modelfile
from ..datasets import tables
from ..errors import InputError, UsageError
from ..explain import Levels, explain
from ..network.model import Model
from ..plugin import Plugins
from ..session.cases import Case
from .complete import instance_or_network
from .explain_tables import tell
from .messages import complain
from .only import named_or_only
from .plugin_option import available, plugin_option
from .watch_tables import clock


@dataclass(frozen=True)
class _Asked:
    """What is to be explained: ``head`` says of which row, ``cells`` are its cells by column. ``case`` is None for data."""

    model: Model
    head: str
    cells: dict[str, Any]
    data: Path | None = None
    case: Case | None = None


@click.command()
@click.argument("name", metavar="[INSTANCE|MODEL]", required=False, shell_complete=instance_or_network)
@click.argument("which", metavar="[CASE|KEY]", required=False)
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Rows: explain one of these for MODEL.")
@click.option("--row", type=click.IntRange(1), metavar="N", help="The row of the data, counted from 1.")
@click.option("--model", metavar="FILE", help="The model of a case, if its instance does not know the file any more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    name: str | None,
    which: str | None,
    data: Path | None,
    row: int | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Show which columns spoke for the verdict of a case of the guard INSTANCE, or of a row of data for MODEL.

    CASE is the number that `ebpfnn cases` shows, 1 for the latest, which is the default. KEY is its key, or one value of it,
    such as an address: its latest case is explained.

    A column carries what the score of the label loses over the spared one if this column alone is typical: the median of the
    spared rows that `ebpfnn calibrate` has seen. Flips are the next values of the column, below and above, with another
    outcome.
    """
    plugins = available()
    asked = _of_data(name, which, data, row, model, plugins) if data else _of_instance(name, which, row, model, plugins)
    levels = Levels(asked.model, plugins)
    values = levels.values(asked.cells)
    typical, source = _typical(asked, levels, plugins)
    found = explain(asked.model, levels, values, typical, plugins)
    case = asked.case
    equal = case is None or (case.index, case.margin) == (found.index, found.margin)
    if as_json:
        told: dict[str, Any] = {"case": asdict(case)} if case else {}
        told |= {"model": asked.model.name, "equal": equal} if case else {"model": asked.model.name}
        click.echo(json.dumps({**told, "typical": source, **asdict(found)}, indent=2))
    else:
        tell(asked.model, asked.head, found, source)
    if case and not equal:
        fact = f"the kernel recorded '{case.label}' by {case.margin:,}, and the model gives '{found.label}' by {found.margin:,}"
        remedy = "give the model that decided with --model" if model else "report this"
        context.exit(complain(f"{asked.head}: {fact}; {remedy}"))


def _of_data(name: str | None, which: str | None, data: Path, row: int | None, model: str | None, plugins: Plugins) -> _Asked:
    if name is None or row is None or which is not None or model is not None:
        raise UsageError("--data explains a row for a model; give MODEL and --row N, and nothing else")
    found = modelfile.load_named(name, plugins)
    Levels(found, plugins)
    place = datasets.table(data, "test")
    if place is None:
        raise InputError(f"{data}: no table; give a .csv, .jsonl, .npz or .parquet file of rows")
    where, cells = tables.row(place, row)
    return _Asked(found, where, dict(cells.cells), place)


def _of_instance(name: str | None, which: str | None, row: int | None, model: str | None, plugins: Plugins) -> _Asked:
    if row is not None:
        raise UsageError("--row is a row of data; give --data FILE too, or the number of a case without --row")
    instance = named_or_only(name)
    place, case = _case(instance.name, instance.cases(), which)
    found = modelfile.load_named(model, plugins) if model else instance.network(case.swaps, plugins)
    head = f"{instance.name}: case {place}, {clock(case.time_ns)}: {case.shown} at its event {case.number}, {case.reason}"
    return _Asked(found, head, dict(case.columns), None, case)


def _case(name: str, cases: Sequence[Case], which: str | None) -> tuple[int, Case]:
    """The case that ``which`` means, and its number. Raises :class:`UsageError` if there is none."""
    if not cases:
        raise UsageError(f"instance '{name}' has no cases yet; `ebpfnn actions {name}` shows what it counted")
    numbered = list(enumerate(cases, 1))
    if which is None:
        return numbered[0]
    if which.isascii() and which.isdecimal():
        found = [each for each in numbered if str(each[0]) == which]
    else:
        found = [each for each in numbered if which == each[1].shown or which in map(str, each[1].key.values())]
    if found:
        return found[0]
    raise UsageError(f"instance '{name}' has no case '{which}' among its latest {len(cases):,}; see `ebpfnn cases {name}`")


def _typical(asked: _Asked, levels: Levels, plugins: Plugins) -> tuple[Sequence[int], str]:
    """The typical levels, and where they are from: the calibration, or else the data that was given."""
    model = asked.model
    calibration = model.calibration
    if calibration and levels.fits(calibration.typical):
        return calibration.typical, f"the median of {calibration.rows:,} rows of '{calibration.spared}'"
    if asked.data is None:
        fact = f"network '{model.name}' does not say which values are typical"
        raise UsageError(f"{fact}; run `ebpfnn calibrate` on its file, and swap it in")
    samples = tables.samples(asked.data, plugins.wanted(model.input).one)
    return levels.typical(samples), f"the median of all {len(samples):,} rows of {asked.data}"
