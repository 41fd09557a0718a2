"""What each layer is given: the values of earlier layers, by their numbers, or the sample (equation 23)."""

from __future__ import annotations

from collections.abc import Sequence

from .requantization import expect

SAMPLE = -1
"""The number of the sample among the sources of a layer."""
Sources = tuple[tuple[int, ...], ...]
"""For each layer the numbers of the layers whose values it is given."""


def chain(count: int) -> Sources:
    """The sources of ``count`` layers of which each is given what the one before it gives."""
    return tuple((number - 1,) for number in range(count))


def takers(sources: Sources) -> dict[int, tuple[int, ...]]:
    """The layers that take each value, by its number, in their order."""
    found: dict[int, tuple[int, ...]] = dict.fromkeys(range(SAMPLE, len(sources)), ())
    for number, taken in enumerate(sources):
        for source in dict.fromkeys(taken):
            found[source] += (number,)
    return found


def check(sources: Sources, counts: Sequence[tuple[int, int]]) -> None:
    """Raises :class:`ModelError` where a layer has other sources than it takes, or gives what no layer takes.

    ``counts`` has for each layer how many values it takes, at least and at most.
    """
    expect(len(sources) == len(counts), f"sources of {len(sources)} layers, but there are {len(counts)}")
    for number, ((least, most), taken) in enumerate(zip(counts, sources, strict=True)):
        wanted = str(least) if least == most else f"{least} to {most}"
        expect(least <= len(taken) <= most, f"layer {number} takes {wanted} values, but {len(taken)} sources are given")
        known = all(SAMPLE <= source < number for source in taken)
        expect(known, f"layer {number} has the sources {list(taken)}; they are earlier layers, or {SAMPLE}, the sample")
    found = takers(sources)
    unused = [number for number in range(len(counts) - 1) if not found[number]]
    expect(not unused, f"layer {unused[0] if unused else 0} gives values that no layer takes; leave it out")
