"""A policy: when events of a key are acted on. docs/guards.md defines it; :mod:`ebpfnn.observer.policy` compiles it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ModelError
from . import conditions, lookup
from .bound import Bound, BoundCondition, Source
from .fields import Place
from .lookup import Offered
from .spec import Condition

MOST_AFTER = 1 << 16
MOST_ALLOWED = 64
"""The most entries of an allow-list."""
LONGEST = 1 << 62
"""The longest duration, in nanoseconds."""
_WHOLE = 1 << 16
_INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class Policy:
    """Events of a key are acted on after ``after`` verdicts in a row that count, for ``lasting`` ns after each of them.

    A verdict counts if its label is not number ``spared`` and its margin at least ``margin``, in the units of the scores. A
    verdict of the label ``spared`` ends it. ``most`` is the greatest share, above 0 and up to 1, of the events acted on.
    ``allowed`` lists conditions; an event for which all of one entry hold is never observed.

    Raises :class:`ModelError` for numbers out of range.
    """

    spared: int
    margin: int
    after: int = 2
    lasting: int = 60_000_000_000
    most: float = 0.5
    allowed: tuple[tuple[Condition, ...], ...] = ()

    def __post_init__(self) -> None:
        _expect(self.spared >= 0, "no label is spared; name one")
        _expect(0 <= self.margin <= _INT32_MAX, f"margin {self.margin} is not in 0..{_INT32_MAX}; calibrate the model")
        _expect(1 <= self.after <= MOST_AFTER, f"{self.after} verdicts in a row; give 1 to {MOST_AFTER}")
        _expect(1 <= self.lasting <= LONGEST, f"a verdict lasts {self.lasting} ns; give 1 to 2^62")
        _expect(0 < self.most <= 1, f"a share of {self.most:g} of the events; give more than 0, and at most 1")
        _expect(len(self.allowed) <= MOST_ALLOWED, f"{len(self.allowed)} entries are allowed; give at most {MOST_ALLOWED}")
        _expect(all(self.allowed), "an entry of the allow-list has no condition, and so holds for every event; leave it out")

    @property
    def parts(self) -> int:
        """``most`` in parts of 65,536, at least 1."""
        return max(1, int(self.most * _WHOLE))


def entry(text: str) -> tuple[Condition, ...]:
    """An entry of an allow-list: conditions joined by "and". Raises :class:`ModelError` for what is none."""
    longest = conditions.LONGEST_LIST
    _expect(len(text) <= longest, f"an entry of the allow-list has {len(text)} characters; give at most {longest}")
    return tuple(map(conditions.parse, conditions.apart(text)))


def allowed_at(policy: Policy, bound: Bound, index: int) -> tuple[tuple[BoundCondition, ...], ...]:
    """The allow-list, with the fields of event number ``index``.

    Raises :class:`ModelError` for a field that the event does not have, and for one that the shell does not extract: an
    allow-list comes before anything else is read.
    """
    event = bound.events[index]
    offered = Offered(event.name, list(event.fields.values()))
    found = tuple(lookup.before(each, offered, [offered]) for each in policy.allowed)
    for source in _sources(found):
        if getattr(source, "place", None) is not Place.FIELDS:
            fact = f"field '{conditions.source_name(source)}' is not one that the shell of event '{event.name}' extracts"
            raise ModelError(f"allow-list: {fact}; use another field")
    return found


def _sources(entries: Sequence[Sequence[BoundCondition]]) -> list[Source]:
    return [source for conditions_ in entries for condition in conditions_ for source in condition.sources]


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ModelError(f"policy: {message}")
