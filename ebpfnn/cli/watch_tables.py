"""The output of ``ebpfnn watch``: one line per inference, or the latest ones and a histogram."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import KernelError, printable
from ..instance import Event
from ..session import Verdict
from .report import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

_LAST, _BAR, _FAILED = 10, 40, "(failed)"
_RATE_SECONDS = 2.0
COLUMNS = ("time", "label", "logit", "in the network", "source", "network")
OF_VERDICTS = ("time", "label", "margin", "in the network", "key", "number", "swaps")


class Tally:
    """Counts so far: ``total`` inferences, ``lost`` ones, how often each label came, and the ``last`` few events."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self.total, self.lost = 0, 0
        self.counts: Counter[str] = Counter()
        self.last: deque[Event | Verdict] = deque(maxlen=_LAST)
        self.refresh: Callable[[], None] = lambda: None
        self._begun = time.monotonic()
        self._marks = deque([(self._begun, 0)])

    def add(self, event: Event | Verdict) -> None:
        self.total += 1
        failed = event.index < 0 if isinstance(event, Verdict) else event.status
        self.counts[_FAILED if failed else event.label] += 1
        self.last.append(event)

    @property
    def seconds(self) -> float:
        """The time since the start, in seconds."""
        return time.monotonic() - self._begun

    def rate(self) -> float:
        """Inferences per second, over about the last two seconds."""
        now = time.monotonic()
        self._marks.append((now, self.total))
        while len(self._marks) > 2 and self._marks[1][0] < now - _RATE_SECONDS:
            self._marks.popleft()
        then, total = self._marks[0]
        return (self.total - total) / (now - then) if now > then else 0.0


def as_line(event: Event | Verdict) -> str:
    """One inference, in the order of :data:`COLUMNS`, or one verdict, in that of :data:`OF_VERDICTS`."""
    return "  ".join(_cells(event))


def clock(time_ns: int) -> str:
    """The time of day at a time of CLOCK_MONOTONIC, with milliseconds."""
    seconds = (time.time_ns() - time.monotonic_ns() + time_ns) / 1e9
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{int(seconds % 1 * 1000):03}"


def _cells(event: Event | Verdict) -> tuple[str, ...]:
    if isinstance(event, Verdict):
        return verdict_cells(event, repeated=True)
    when = clock(event.time_ns)
    source = f"source {event.source}"  # repeated in each line: a pipe has no headings
    if event.status:
        return when, f"failed: {KernelError.describe(-event.status)}", "-", "-", source, event.network
    return when, event.label, _score(event), f"{event.elapsed_ns / 1000:.2f} µs", source, event.network


def _score(event: Event) -> str:
    """Its logit, or its value. The unit of a cascade's score is not told: an integer stands for itself."""
    if event.value is not None:
        return shown(event.value)
    return f"score {event.score:,}" if event.score_scale is None else f"{event.score * event.score_scale:.2f}"


def verdict_cells(verdict: Verdict, *, repeated: bool = False) -> tuple[str, ...]:
    """The cells of :data:`OF_VERDICTS`. ``repeated`` is for lines, which have no headings."""
    names = ("number ", "swaps ") if repeated else ("", "")
    label = verdict.label or "failed"
    elapsed = "-" if verdict.elapsed_ns is None else f"{verdict.elapsed_ns / 1000:.2f} µs"
    numbers = (f"{name}{number}" for name, number in zip(names, (verdict.number, verdict.swaps), strict=True))
    margin = f"{verdict.margin:,}" if verdict.value is None else shown(verdict.value)
    return clock(verdict.time_ns), label, margin, elapsed, verdict.shown, *numbers


@contextmanager
def live(name: str, tally: Tally) -> Iterator[None]:
    """Shows ``tally`` on the terminal, and refreshes it several times per second."""
    from rich.live import Live

    with Live(_page(name, tally), auto_refresh=False) as shown:
        drawn = 0.0

        def refresh() -> None:
            nonlocal drawn
            if time.monotonic() - drawn > 0.1:
                drawn = time.monotonic()
                shown.update(_page(name, tally), refresh=True)

        tally.refresh = refresh
        yield
        shown.update(_page(name, tally), refresh=True)


def _page(name: str, tally: Tally) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lost = f", {tally.lost} lost" if tally.lost else ""
    head = f"{name}: {tally.total} inferences, {tally.rate():.1f} per second{lost}; press Ctrl-C to stop"
    return Group(Text(printable(head)), _histogram(tally), _last(tally))


def _histogram(tally: Tally) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("label", "count", ""):
        table.add_column(heading)
    most = max(tally.counts.values(), default=1)
    names = [*tally.labels, *(label for label in tally.counts if label not in tally.labels)]
    for label in names[:24]:
        count = tally.counts[label]
        table.add_row(Text(printable(label)), str(count), "█" * round(count / most * _BAR))
    return table


def _last(tally: Tally) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    heads = OF_VERDICTS if tally.last and isinstance(tally.last[0], Verdict) else COLUMNS
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for event in reversed(tally.last):
        table.add_row(*(Text(printable(cell)) for cell in _cells(event)))
    return table
