"""The table *Reducers* of docs/events.md, one function a row: from all values and times of a column to its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any

from .meaning import nanoseconds

Options = Mapping[str, Any]
Reduce = Callable[[Sequence[int], Sequence[int], Options], list[int]]
_WORD = 1 << 64
_FACTOR = 0x9E3779B97F4A7C15


def reduce(column: Mapping[str, Any], values: Sequence[int], times: Sequence[int]) -> list[int]:
    """The results of ``column``, each below 2^64, of values and times of the events that counted, the oldest first."""
    found = REDUCERS[column["reduce"]](values, times, column)
    return [each % _WORD for each in found]


def names(column: Mapping[str, Any]) -> list[str]:
    """What the results of ``column`` are called."""
    count = len(reduce(column, [], []))
    several = column["reduce"] in ("first", "recent", "ngram")
    return [f"{column['name']}.{place}" for place in range(1, count + 1)] if several else [column["name"]]


def top_bits(x: int, bits: int) -> int:
    """*h*(*x*)"""
    return x * _FACTOR % _WORD // 2 ** (64 - bits)


def _first(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    n = options.get("n", 1)
    return [v[i] if i < len(v) else 0 for i in range(n)]


def _recent(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    return _first(v[::-1], t, options)


def _mean(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    return [sum(v) // len(v) if v else 0]


def _deviation(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    so_far = accumulate(v)
    return _mean([abs(x - total // i) for i, (x, total) in enumerate(zip(v, so_far, strict=True), 1)], t, options)


def _ewma(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    weight = 2 ** options.get("power", 3)
    average = v[0] * weight if v else 0
    for x in v[1:]:
        average = average - average // weight + x
    return [average // weight]


def sums_of_periods(v: Sequence[int], t: Sequence[int], options: Options) -> list[list[int]]:
    """Of each run of events in one period, the sums so far."""
    period = nanoseconds(options["period"])
    runs = groupby(zip(v, t, strict=True), key=lambda event: event[1] // period)
    return [list(accumulate(x for x, _ in run)) for _, run in runs]


def _period(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    return [sums_of_periods(v, t, options)[-1][-1] if v else 0]


def _peak(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    return [max((max(run) for run in sums_of_periods(v, t, options)), default=0)]


def _distinct(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    return [len({top_bits(x, (options.get("bits", 256) - 1).bit_length()) for x in v})]


def _ngram(v: Sequence[int], t: Sequence[int], options: Options) -> list[int]:
    n, buckets = options.get("n", 2), options.get("buckets", 16)
    found = [0] * buckets
    for end in range(n, len(v) + 1):
        joined = sum((x % 65536) << 16 * place for place, x in enumerate(reversed(v[end - n : end])))
        found[top_bits(joined, (buckets - 1).bit_length())] += 1
    return found


REDUCERS: dict[str, Reduce] = {
    "count": lambda v, t, options: [len(v)],
    "sum": lambda v, t, options: [sum(v)],
    "last": lambda v, t, options: [v[-1] if v else 0],
    "first": _first,
    "recent": _recent,
    "min": lambda v, t, options: [min(v, default=0)],
    "max": lambda v, t, options: [max(v, default=0)],
    "mean": _mean,
    "deviation": _deviation,
    "ewma": _ewma,
    "period": _period,
    "peak": _peak,
    "distinct": _distinct,
    "ngram": _ngram,
}
