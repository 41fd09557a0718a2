"""Which sessions a model has learned from, as its card tells: enough to recognize them, not to list them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256

SESSIONS = "sessions"
"""The key of the card: the digests of the groups, in hexadecimal, with spaces between them."""
_DIGITS = 8


def describe(groups: Iterable[str]) -> dict[str, str]:
    """The member of a card for a model that learned from rows of ``groups``, held out and test rows included."""
    found = sorted({_digest(name) for name in groups})
    return {SESSIONS: " ".join(found)} if found else {}


def learned(card: Mapping[str, str]) -> Callable[[str], bool] | None:
    """A function that tells whether a group is one of those in ``card``. None if the card does not say."""
    known = frozenset(card.get(SESSIONS, "").split())
    return (lambda name: _digest(name) in known) if known else None


def _digest(group: str) -> str:
    """The first digits of the SHA-256. One group in some millions is taken for another of a thousand."""
    return sha256(group.encode()).hexdigest()[:_DIGITS]
