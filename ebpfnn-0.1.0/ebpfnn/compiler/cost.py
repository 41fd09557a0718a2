"""What a shape costs, in instructions: the model by which one is chosen.

The processors measured retire some 3.8 of these instructions a cycle whatever they are, except that a multiplication takes the
one multiplier for a cycle. A mispredicted branch, one at the end of every list, costs as much as 60 instructions. Rows of a
table that does not fit the second-level cache cost some 20 instructions each on top.
"""

from __future__ import annotations

from .lanes import Lanes

PRODUCT, ADDITION = 4.0, 2.0
"""A word's load, multiply and add; and its load and add."""
_ENTRY, _GATHERED, _GATHERING_ENTRY = 8.0, 5.0, 9.0
"""An entry of a list in a tile, and where value and weights are looked up before, which costs the third."""
_MISPREDICTED = 60.0
_SCAN = 2.7  # an input, of finding those that are not zero
_CACHE, _MISS = 1 << 20, 20.0
_SURPRISES = 0.06  # branches around a row that are mispredicted: most groups are nearly always blank, or nearly never
_CLUSTER = 0.3  # zeros lie together: eight inputs are all zero as often as a third as many independent ones


def straight(inputs: float, words: int, tiles: int, segments: int, lanes: Lanes) -> float:
    """Every input, tile by tile."""
    return inputs * tiles * (1.5 + PRODUCT * words) + flush(words, tiles, segments, lanes)


def listed(
    inputs: int, words: int, tiles: int, segments: int, lanes: Lanes, density: float, *, gathered: bool = False
) -> float:
    """The inputs that are not zero, once they are found."""
    each = tiles * ((_GATHERED if gathered else _ENTRY) + PRODUCT * words) + (_GATHERING_ENTRY if gathered else 0)
    return inputs * (_SCAN + density * each) + _MISPREDICTED * tiles * segments + flush(words, tiles, segments, lanes)


def copy(pieces: int) -> float:
    """A load and a store each."""
    return 2.0 * pieces


def rows(groups: int, words: int, tiles: int, segments: int, lanes: Lanes, added: float, table_bytes: int) -> float:
    """A row for each of so many bytes of inputs, of which a share is ``added`` and a branch goes round the others."""
    each = 6 + ADDITION * words + (_MISS if table_bytes > _CACHE else 0)
    asked = 2 + _SURPRISES * _MISPREDICTED if added < 1 else 0
    return groups * tiles * (asked + added * each) + flush(words, tiles, segments, lanes)


def filled(density: float, values: int) -> float:
    """The share of runs of so many values that are not all zero."""
    return 1.0 - float((1 - density) ** max(1.0, _CLUSTER * values))


def flush(words: int, tiles: int, segments: int, lanes: Lanes) -> float:
    """Reading every lane off at the end of every segment."""
    return 6.0 * words * lanes.count * tiles * segments
