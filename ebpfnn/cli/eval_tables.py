"""An evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click
import numpy as np
from rich.table import Table

from ..errors import printable
from ..evaluation.cascades import Stage, stages
from ..evaluation.detection import Detection
from ..evaluation.evaluate import Evaluation
from ..evaluation.table_facts import wraps
from ..network import QuantizedNetwork
from ..network.cascades import one_unit
from .tables import open_console

_WORST = 5


def print_tables(done: Evaluation) -> None:
    """Prints the accuracy of each form, the agreement, the figures of each class, and the worst mistakes."""
    console = open_console()
    click.echo(f"{printable(done.network.name)} ({done.network.architecture}) on {printable(done.source)}\n")
    console.print(_accuracy(done))
    click.echo("\n" + "\n".join([*_agreement(done), *_wraps(done)]) + "\n")
    if found := stages(done):
        console.print(_stages(found))
        click.echo()
    console.print(_classes(done))
    if done.detection:
        click.echo("\n" + "\n".join(_detection(done, done.detection)))
    if len(done.mistakes):
        labels, worst = done.network.labels, done.mistakes[:_WORST]
        told = (f"#{index} {labels[done.truth[index]]} as {labels[done.predicted[index]]}" for index in worst)
        counted = "1 mistake" if len(done.mistakes) == 1 else f"{len(done.mistakes):,} mistakes"
        click.echo(f"\n{counted}; the worst: {printable(', '.join(told))}")


def _accuracy(done: Evaluation) -> Table:
    table = _table("", "accuracy", "right")
    for column in done.columns:
        right = done.correct(column)
        table.add_row(column, *(("-", "-") if right is None else (f"{right / len(done.samples):.2%}", f"{right:,}")))
    return table


def _agreement(done: Evaluation) -> Iterator[str]:
    count = len(done.samples)
    if not isinstance(done.network, QuantizedNetwork):
        pass  # it has no float form
    elif done.floats_predicted is None:
        yield "float: no file beside the model; give one with --float FILE"
    else:
        same = int(np.count_nonzero(done.floats_predicted == done.predicted))
        yield f"float and reference give the same label for {same:,} of {count:,}"
    if done.kernel is None:
        yield "kernel: not run"
    else:
        same = count - len(done.disagreements)
        yield f"reference and kernel (trigger {done.kernel.trigger}) give the same scores for {same:,} of {count:,}"


def _wraps(done: Evaluation) -> Iterator[str]:
    """How often sums of byte lanes left their byte; of a cascade, those of the first network."""
    for each in wraps(done.network, done.samples):
        yield f"layer {each.layer}: {each.wrapped:,} of {each.sums:,} sums wrapped"


def _stages(found: list[Stage]) -> Table:
    table = _table("network", "margin", "reached", "decided", "of all", "right", "of these")
    for each in found:
        margin = "-" if each.margin is None else f"{each.margin:,}"
        shares = (f"{each.decided / found[0].reached:.2%}", f"{each.correct:,}")
        right = f"{each.correct / each.decided:.2%}" if each.decided else "-"
        table.add_row(each.architecture, margin, f"{each.reached:,}", f"{each.decided:,}", *shares, right)
    return table


def _classes(done: Evaluation) -> Table:
    table = _table("class", "samples", "precision", "recall", "F1", "most often taken for")
    table.columns[-1].justify = "left"
    for number, (row, figures) in enumerate(zip(done.confusion, done.per_class, strict=True)):
        others = np.where(np.arange(len(row)) == number, 0, row)
        most = int(others.argmax())
        taken = f"{done.network.labels[most]} ({others[most]})" if others[most] else ""
        shares = (f"{share:.2%}" if share is not None else "-" for share in (figures.precision, figures.recall, figures.f1))
        table.add_row(printable(figures.label), f"{figures.samples:,}", *shares, printable(taken))
    return table


def _detection(done: Evaluation, by: Detection) -> Iterator[str]:
    name = printable(done.network.labels[by.positive])
    auc = "no AUC: one side has no samples" if by.auc is None else f"AUC {by.auc:.5f}"
    yield f"{name} against all others: {auc} ({by.positives:,} against {by.negatives:,} samples)"
    if by.margin is None:
        return
    scale = one_unit(done.network.score_scales)
    logits = "of the network that decides" if scale is None else f"{by.margin * scale:.2f} logits"
    yield f"at no more than {by.rate:.4%} false positives: a margin of {by.margin:,} in scores ({logits})"
    told = "" if by.recall is None else f", finds {by.true_positives:,} of {by.positives:,} ({by.recall:.2%})"
    yield f"with that margin {name} is claimed wrongly for {by.false_positives:,} of {by.negatives:,}{told}"


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    return table
