"""The output of ``ebpfnn cascade``: what each margin would give, and what the chosen one gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..network import QuantizedNetwork
from .tables import print_table

if TYPE_CHECKING:
    from ..evaluation.cascades import Measured, Outcome


def print_choice(choice: Sequence[Outcome], margin: int, scale: float, count: int) -> None:
    """``choice`` on ``count`` samples held out; ``scale`` is the logit of a score of 1 of the first network."""
    click.echo(f"On {count:,} samples held out:\n")
    heads = ("goes on", "margin", "in logits", "accuracy", "gained", "lost", "")
    print_table(heads, [_choice(each, margin, scale, choice) for each in choice])


def print_result(made: QuantizedNetwork, names: tuple[str, str], measured: Measured, count: int) -> None:
    """The accuracy of the networks ``names`` and of the cascade on ``count`` test samples."""
    each = zip((names[0], made.name, names[1]), (measured.first, measured.cascade, measured.second), strict=True)
    click.echo(f"\nOn {count:,} test samples:\n")
    print_table(("network", "accuracy", "goes on"), [(name, f"{it.accuracy:.2%}", f"{it.goes_on:.2%}") for name, it in each])


def _choice(each: Outcome, margin: int, scale: float, choice: Sequence[Outcome]) -> tuple[str, ...]:
    note = {0: "first alone", choice[-1].margin: "second alone"}.get(each.margin, "")
    note = ", ".join(filter(None, (note, "chosen" if each.margin == margin else "")))
    logits = f"{each.margin * scale:.3g}"
    return f"{each.goes_on:.2%}", f"{each.margin:,}", logits, f"{each.accuracy:.2%}", str(each.gained), str(each.lost), note
