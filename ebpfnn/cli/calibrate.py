"""``ebpfnn calibrate``: chooses from which margin on the verdicts of a model count."""

from __future__ import annotations

import json
from dataclasses import fields as members
from dataclasses import replace
from math import ceil, isnan, log, log1p
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..bodies import kind_of, modelfile
from ..datasets import tables
from ..errors import ModelError, UsageError, nearest, printable
from ..evaluation.calibration import calibrate, strengths
from ..explain.levels import COLUMNS, Levels
from ..network import QuantizedNetwork
from ..network.calibration import Calibration, Point
from ..network.model import LABEL, Model
from ..training.sessions import learned
from .complete import networks
from .measured import HELP, Measured, read_measured
from .messages import complain
from .plugin_option import available, plugin_option
from .tables import print_table

_BENIGN = "benign"
_SHOWN = 8
_DIGITS = 100_000
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("model", metavar="FILE", shell_complete=networks)
@click.option("--data", metavar="DATA", required=True, help=HELP.replace("Test samples", "Samples of other sessions"))
@click.option(
    "--false-positives",
    "wanted",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.001,
    show_default=True,
    metavar="SHARE",
    help="Spare all but this share of the samples.",
)
@click.option("--spare", metavar="LABEL", help=f"The label whose samples must not be given another. [default: {_BENIGN}]")
@click.option("--label", metavar="COLUMN", help="Column of the table with the classes. [default: as in training]")
@click.option("--new-sessions", is_flag=True, help="Allow data that cannot be told from that of the training.")
@click.option("--output", type=_PATH, metavar="FILE", help="Output file. [default: FILE itself]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@plugin_option
def command(
    model: str,
    data: str,
    wanted: float,
    spare: str | None,
    label: str | None,
    new_sessions: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Choose the margin from which verdicts of the model in FILE count, and write it into the file.

    The margin of a verdict is by how much its score leads the second best. The one that is chosen is the least at which all
    but a share of the samples of one label, such as benign, are spared: not given another label with that margin or more.

    DATA must be of other sessions than those that the model has learned from, since it knows these too well. Sessions are told
    by the column `group`, which `ebpfnn collect` writes.
    """
    if isnan(wanted):
        raise UsageError("--false-positives: nan is no share; give one such as 0.001")
    plugins, path = available(), Path(modelfile.resolve(model))
    found = modelfile.load(path, plugins)
    spared = _spared(found, spare)
    if output is None and path.parent == modelfile.BUNDLED:
        raise UsageError(f"network '{found.name}' is bundled, and is not changed; give --output FILE")
    samples = read_measured(data, found, plugins, label)
    groups = _groups(found, Path(data), new_sessions)
    scores = kind_of(found, plugins).scores(found, samples.samples)
    chosen = calibrate(scores, samples.labels, found.labels, spared, wanted, groups)
    if found.input.preparation.kind == COLUMNS:
        mine = samples.samples[samples.labels == found.labels.index(spared)]
        chosen = replace(chosen, typical=Levels(found, plugins).typical(mine))
    target = output or path
    modelfile.save(_with(found, chosen), target, plugins)
    lead = strengths(scores, found.labels.index(spared))
    if silent := _never_acts(lead, samples.labels == found.labels.index(spared), chosen.margin):
        complain(silent)
    if as_json:
        click.echo(json.dumps({"file": str(target), "name": found.name, **chosen.describe()}, indent=2))
        return
    _tell(found, chosen, samples, target)
    caught = lead >= chosen.margin
    print_table(("label", "samples", "caught"), _by_label(found, samples, caught, spared))


def _spared(model: Model, wanted: str | None) -> str:
    """The label to spare. Raises :class:`UsageError` for one that the model does not have."""
    if model.result != LABEL or len(model.labels) < 2:
        raise UsageError(f"network '{model.name}' tells no labels apart; give one that does")
    if wanted is None and _BENIGN not in model.labels:
        raise UsageError(f"network '{model.name}' has no label '{_BENIGN}'; give --spare, one of {', '.join(model.labels)}")
    spared = wanted or _BENIGN
    if spared not in model.labels:
        remedy = nearest(spared, model.labels) or f"; it has {', '.join(model.labels)}"
        raise UsageError(f"--spare: network '{model.name}' has no label '{spared}'{remedy}")
    return spared


def _groups(model: Model, data: Path, new: bool) -> int:
    """The number of sessions in ``data``. Raises :class:`UsageError` for those that the model has learned from."""
    known, remedy = learned(model.card), "collect others, or give --new-sessions if you know that they are"
    place = datasets.table(data, "test")
    names = tables.group_names(place) if place else None
    if names is None:
        if not new:
            raise UsageError(f"{data}: it has no column 'group', so its sessions cannot be told; {remedy}")
        return 0
    if not known and not new:
        fact = f"network '{model.name}' does not say which sessions it has learned from"
        raise UsageError(f"{fact}; train it on collected rows again, or give --new-sessions if the data has others")
    same = sorted(name for name in names if known and known(name))
    if same:
        fact = f"{data}: network '{model.name}' has learned from {len(same)} of its {len(names)} sessions, such as '{same[0]}'"
        raise UsageError(f"{fact}; calibrate on sessions that are new to it")
    return len(names)


def _never_acts(lead: NDArray[np.int64], mine: NDArray[np.bool_], margin: int) -> str:
    """What to tell where no sample of another label counts; "" if one does."""
    surest = int(lead[~mine].max())
    if surest >= margin:
        return ""
    fact = "no sample of another label reaches the margin, so a guard would act on none"
    hit, rows = int((lead[mine] >= max(surest, 0)).sum()), int(mine.sum())
    if surest < 0 or hit == rows:
        return f"{fact}; train the model on more sessions"
    share = ceil((hit + 0.5) / rows * _DIGITS) / _DIGITS  # half a row more, so that no digit that is cut off is missing
    return f"{fact}; train the model on more sessions, or give --false-positives {share:g}, with which some count"


def _with(model: Model, chosen: Calibration) -> Model:
    if "calibration" not in {each.name for each in members(model)}:  # type: ignore[arg-type]
        raise ModelError(f"model '{model.name}': its kind, {model.kind}, carries no calibration; use a network or trees")
    changed: Any = model
    calibrated: Model = replace(changed, calibration=chosen)
    return calibrated


def _tell(model: Model, chosen: Calibration, samples: Measured, target: Path) -> None:
    margin, spared = f"{chosen.margin:,}{_in_floats(model, chosen.margin)}", printable(chosen.spared)
    click.echo(f"{printable(str(target))}: another label than '{spared}' counts from a margin of {margin} on")
    sessions = f" in {chosen.groups} sessions" if chosen.groups else ""
    click.echo(f"On {samples.name}{sessions}, of which {chosen.rows:,} are '{spared}':")
    click.echo(f"  hit: {chosen.hit:,}, {chosen.hit / chosen.rows:.3%}; below {chosen.upper:.3%} with 95 % confidence")
    if chosen.upper > chosen.wanted:
        enough = "more rows are needed to know that it is at most"
        click.echo(f"  {enough} {chosen.wanted:.3%}: with none hit, {_needed(chosen.wanted)}")
    print_table(("margin", "hit", "caught"), map(_cells, _some(chosen.curve, chosen.margin)))


def _in_floats(model: Model, margin: int) -> str:
    """``margin`` in the units of the training; empty where the networks of a cascade have different ones."""
    if len(set(model.score_scales)) > 1:
        return ""
    return f" ({margin * model.score_scale:.3g} {'logits' if isinstance(model, QuantizedNetwork) else 'in floats'})"


def _needed(wanted: float) -> str:
    return f"{log(0.05) / log1p(-wanted) + 0.5:,.0f} rows" if wanted else "no number is enough"


def _some(curve: tuple[Point, ...], margin: int) -> list[Point]:
    """Some points of the curve, with the first and the one that was chosen."""
    step = max(1, len(curve) // _SHOWN)
    return [point for place, point in enumerate(curve) if place % step == 0 or point.margin == margin]


def _cells(point: Point) -> tuple[str, str, str]:
    return f"{point.margin:,}", f"{point.hit:.3%}", f"{point.caught:.2%}"


def _by_label(model: Model, samples: Measured, caught: Any, spared: str) -> list[tuple[str, str, str]]:
    rows = []
    for index, name in enumerate(model.labels):
        mine = samples.labels == index
        if name != spared and mine.any():
            rows.append((printable(name), f"{int(mine.sum()):,}", f"{caught[mine].mean():.2%}"))
    return rows
