"""The twin of a policy: which events are acted on, and what else is counted. docs/guards.md defines every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from . import keys
from .bound import Bound
from .conditions import predicate
from .lookup import TIME
from .policy import Policy, allowed_at
from .replay import Result

WINDOW_NS = 1 << 30
"""The length of a window of the cap."""
_WHOLE = 1 << 16


class Case(NamedTuple):
    """A verdict at which a key became due: the index of its event, its row, the number of its label, its margin.

    ``reason`` is what became of the event, one of :data:`ebpfnn.abi.REASONS`.
    """

    event: int
    row: Result
    label: int
    margin: int
    reason: str


@dataclass
class _Kept:
    until: int = 0
    streak: int = 0


@dataclass
class _Window:
    number: int = -1
    base: int = 0
    acted: int = 0


class Guarding:
    """Decides on events one after another, as one CPU does. ``counts`` has what was decided, by reason and label plus 1.

    ``cases`` has every case, in order; those of the kernel are the latest of them.
    ``until`` is the time (ns) until which events are acted on, and ``paused`` says that none is.
    """

    def __init__(self, policy: Policy, bound: Bound) -> None:
        events = range(len(bound.events))
        self.counts: Counter[tuple[str, int]] = Counter()
        self.cases: list[Case] = []
        self.until, self.paused = 0, False
        self._policy = policy
        self._allowed = [[predicate(entry) for entry in allowed_at(policy, bound, index)] for index in events]
        self._keys = [keys.packer(bound.spec.key, event.key) for event in bound.events]
        self._observed, self._windows = [0] * len(bound.events), [_Window() for _ in events]
        self._kept: dict[bytes, _Kept] = {}
        self._labels: dict[bytes, int] = {}

    @property
    def acted(self) -> int:
        """How many events were acted on."""
        return sum(count for (reason, _), count in self.counts.items() if reason == "acted")

    def is_allowed(self, event: int, values: Mapping[str, int]) -> bool:
        """Whether the allow-list keeps an event from being observed."""
        return any(entry(values) for entry in self._allowed[event])

    def accept(self, event: int, values: Mapping[str, int]) -> bool:
        """Counts an event that the conditions of the spec accept. Returns whether it is observed, and not allowed."""
        self._observed[event] += 1
        allowed = self.is_allowed(event, values)
        self.counts["allowed", 0] += allowed
        return not allowed

    def decide(self, event: int, values: Mapping[str, int], verdict: tuple[int, int] | None, row: Result | None = None) -> str:
        """One of :data:`ebpfnn.abi.REASONS`, "" if the event is not due.

        ``verdict`` is the number of the label and the margin of the verdict that the event gave, if it gave one, on ``row``.
        Without that there is no case.
        """
        key, time, began = self._keys[event](values), values[TIME], False
        if verdict is not None:
            self._labels[key] = verdict[0]
            began = self._judge(key, time, *verdict)
        label, kept = self._labels.get(key), self._kept.get(key)
        if label is None or label == self._policy.spared or kept is None or time >= kept.until:
            return ""
        reason = self._due(event, time)
        self.counts[reason, label + 1] += 1
        if began and verdict and row:
            self.cases.append(Case(event, row, *verdict, reason))
        return reason

    def _judge(self, key: bytes, time: int, label: int, margin: int) -> bool:
        """Returns whether the key becomes due."""
        policy, began = self._policy, False
        if label != policy.spared and margin >= policy.margin:
            kept = self._kept.setdefault(key, _Kept())
            kept.streak = min(kept.streak + 1, policy.after)
            if kept.streak == policy.after:
                began, kept.until = kept.until <= time, time + policy.lasting
        elif key in self._kept:
            self._kept[key].streak = 0
            if label == policy.spared:
                self._kept[key].until = 0
        return began

    def _due(self, event: int, time: int) -> str:
        window, observed = self._windows[event], self._observed[event]
        if window.number != time // WINDOW_NS:
            window.number, window.base, window.acted = time // WINDOW_NS, observed - 1, 0
        if window.acted * _WHOLE >= self._policy.parts * (observed - window.base):
            return "capped"
        window.acted += 1
        if self.paused:
            return "paused"
        return "acted" if time < self.until else "audited"
