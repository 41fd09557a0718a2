"""An evaluation of values as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ..errors import printable
from ..evaluation.detection import Detection
from ..evaluation.values import Errors, ValueEvaluation
from ..network.model import ANOMALY, VECTOR
from .report import shown
from .tables import print_table

_WORST = 5
_HEADS = ("mean error", "root mean square", "worst")


def print_values(done: ValueEvaluation) -> None:
    """Prints the errors of each form, the agreement, and the worst ones; of anomaly scores, how well they tell.

    Of a vector, the errors of each component too: those of the reference.
    """
    network, count = done.network, len(done.samples)
    click.echo(f"{printable(network.name)} ({network.architecture}) on {printable(done.source)}\n")
    if network.result != ANOMALY:
        print_table(("", *_HEADS), _errors(done))
        click.echo()
    if network.result == VECTOR:
        print_table(("component", *_HEADS), _components(done))
        click.echo()
    if done.kernel is None:
        click.echo("kernel: not run")
    else:
        same = count - len(done.disagreements)
        click.echo(f"reference and kernel (trigger {done.kernel.trigger}) give the same scores for {same:,} of {count:,}")
    if done.detection is not None:
        click.echo("\n" + "\n".join(_detection(done, done.detection)))
    if done.worst:
        told = (f"#{each['index']} {_numbers(each['value'])} for {_numbers(each['target'])}" for each in done.worst[:_WORST])
        names = ", ".join(f"'{printable(name)}'" for name in network.labels)
        click.echo(f"\nthe worst of {names}: {', '.join(told)}")


def _numbers(found: float | list[float]) -> str:
    return f"({', '.join(map(shown, found))})" if isinstance(found, list) else shown(found)


def _errors(done: ValueEvaluation) -> Iterator[tuple[str, ...]]:
    for column in done.columns:
        yield column, *_cells(done.errors(column))


def _components(done: ValueEvaluation) -> Iterator[tuple[str, ...]]:
    for number, name in enumerate(done.network.labels):
        yield printable(name), *_cells(done.errors("reference", number))


def _cells(found: Errors | None) -> Iterator[str]:
    yield from ("",) * 3 if found is None else map(shown, (found.mean, found.root_mean_square, found.worst))


def _detection(done: ValueEvaluation, by: Detection) -> Iterator[str]:
    auc = "no AUC: one side has no samples" if by.auc is None else f"AUC {by.auc:.5f}"
    yield f"unusual samples against all others: {auc} ({by.positives:,} against {by.negatives:,} samples)"
    if by.margin is not None:
        value = shown(by.margin * done.network.score_scale)
        yield f"at no more than {by.rate:.4%} false positives: a score of {by.margin:,} ({value})"
        told = "" if by.recall is None else f", finds {by.true_positives:,} of {by.positives:,} ({by.recall:.2%})"
        yield f"with that score {by.false_positives:,} of {by.negatives:,} others are taken for unusual{told}"
