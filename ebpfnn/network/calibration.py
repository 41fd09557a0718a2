"""The calibration that a model carries: from which margin on its verdicts count. docs/evaluation.md tells how it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from . import fields
from .layers import INT32_MAX, expect

MOST_POINTS = 64
"""The most points of a curve."""


class Point(NamedTuple):
    """What a margin gives: the shares, 0..1, of the rows of the spared label that are hit, and of the other rows that are."""

    margin: int
    hit: float
    caught: float


@dataclass(frozen=True)
class Calibration:
    """A verdict that is not ``spared`` counts if its margin is at least ``margin``, in the units of the scores.

    The margin is the least at which, of ``rows`` rows of the label ``spared``, in ``groups`` groups (0 if unknown), at most the
    share ``wanted`` is hit: given another label, with that margin or more. ``hit`` is how many were, and ``upper`` the upper
    limit of the share, with a confidence of 95 %, if rows are independent. ``curve`` has other margins, which rise. ``typical``
    has, of a model of rows, for each column how many bounds the median of these rows reaches; else it is empty.

    Raises :class:`~ebpfnn.errors.ModelError` where these do not fit.
    """

    spared: str
    margin: int
    wanted: float
    rows: int
    groups: int
    hit: int
    upper: float
    curve: tuple[Point, ...] = ()
    typical: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        expect(0 <= self.margin <= INT32_MAX, f"calibration: margin must lie in 0..{INT32_MAX}")
        expect(0 <= self.hit <= self.rows and self.rows > 0 <= self.groups, "calibration: counts of rows do not fit")
        shares = [self.wanted, self.upper, *(share for point in self.curve for share in point[1:])]
        expect(all(0 <= share <= 1 for share in shares), "calibration: shares must lie in 0..1")
        margins = [point.margin for point in self.curve]
        rising = all(low < high for low, high in pairwise(margins))
        expect(rising and len(margins) <= MOST_POINTS, f"calibration: at most {MOST_POINTS} margins, which rise")

        expect(all(count >= 0 for count in self.typical), "calibration: numbers of bounds must not be negative")

    def describe(self) -> dict[str, Any]:
        """As JSON knows it."""
        told = {name: getattr(self, name) for name in ("spared", "margin", "wanted", "rows", "groups", "hit", "upper")}
        typical = {"typical": list(self.typical)} if self.typical else {}
        return {**told, "curve": [list(point) for point in self.curve], **typical}


def describe(calibration: Calibration | None) -> dict[str, Any]:
    """The member ``calibration`` of a description, left out if there is none."""
    return {"calibration": calibration.describe()} if calibration else {}


def build(described: Mapping[str, Any]) -> Calibration | None:
    """What :func:`describe` was given, None if the member is absent. Raises :class:`~ebpfnn.errors.ModelError`."""
    if "calibration" not in described:
        return None
    found = fields.get(described, "calibration", dict)
    curve = tuple(_point(each) for each in fields.get(found, "curve", list))
    margin, rows, groups, hit = (fields.integer(found, name) for name in ("margin", "rows", "groups", "hit"))
    wanted, upper = fields.number(found, "wanted"), fields.number(found, "upper")
    listed: list[Any] = fields.get(found, "typical", list) if "typical" in found else []
    typical = tuple(fields.integer({"typical": each}, "typical") for each in listed)
    return Calibration(fields.text(found, "spared"), margin, wanted, rows, groups, hit, upper, curve, typical)


def _point(described: object) -> Point:
    whole = isinstance(described, list) and len(described) == 3
    expect(whole, "calibration: a point of the curve must be a margin and two shares")
    margin, hit, caught = described if isinstance(described, list) else (0, 0, 0)
    told = {"margin": margin, "hit": hit, "caught": caught}
    return Point(fields.integer(told, "margin"), fields.number(told, "hit"), fields.number(told, "caught"))


def check(calibration: Calibration | None, labels: tuple[str, ...]) -> None:
    """Raises :class:`~ebpfnn.errors.ModelError` if ``calibration`` is not one of a model with ``labels``."""
    if calibration:
        expect(calibration.spared in labels, f"calibration: label {calibration.spared!r} is not one of the labels")
        expect(len(labels) > 1, "calibration: there is one label, so no margin")
