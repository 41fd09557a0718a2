"""Gives the rows of a collected file labels and groups by rules, in a file that replaces it or another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, UsageError
from . import rows
from .keys import parse
from .rooms import NoRoom
from .rows import Rows
from .rules import Rule, applied
from .writing import writing


@dataclass
class Labelled:
    """Counts of rows: all, by label, by group, and those that each rule gave something, in the order of the rules."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    by_rule: list[int] = field(default_factory=list)


def label(path: Path, rules: Sequence[Rule], output: Path | None = None) -> Labelled:
    """Applies ``rules`` to each row of ``path``: the first that holds gives the label, and the first of groups the group.

    Other rows keep what they have. Raises :class:`InputError` for files, and :class:`UsageError` for a rule over what a
    key does not have; then the file is unchanged.
    """
    if not rules:
        raise UsageError("no rules; give --rule, --group-rule or --rules")
    found = Labelled(by_rule=[0] * len(rules))
    with rows.reading(path) as (names, about, blocks), writing(output or path, names, about) as writer:
        try:
            for block in blocks:
                writer.add(_applied(block, rules, found))
            writer.finish()
        except NoRoom as full:
            raise InputError(f"{output or path}: not written ({full}); free some space, or give --output elsewhere") from None
    return found


def _applied(block: Rows, rules: Sequence[Rule], found: Labelled) -> Rows:
    indices = {id(rule): index for index, rule in enumerate(rules)}
    labels, groups = list(block.labels), list(block.groups)
    for row, key in enumerate(block.keys):
        by_label, by_group = applied(rules, parse(key))
        if by_label is not None and by_label.label is not None:
            labels[row] = by_label.label
        if by_group is not None and by_group.group is not None:
            groups[row] = by_group.group
        for index in {indices[id(rule)] for rule in (by_label, by_group) if rule is not None}:
            found.by_rule[index] += 1
    found.rows += len(block)
    found.labels.update(labels)
    found.groups.update(groups)
    return Rows(block.results, block.keys, block.numbers, block.times, labels, groups)
