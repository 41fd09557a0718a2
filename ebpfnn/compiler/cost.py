"""The cost model: estimates the cost of each shape in instructions, so that the cheapest can be chosen.

The processors measured retire some 3.8 of these instructions per cycle, whatever they are, except that a multiplication
occupies the single multiplier for a cycle. A mispredicted branch costs as much as 60 instructions; there is one at the end of
every list. If a table of rows does not fit the second-level cache, each row costs some 20 instructions more.
"""

from __future__ import annotations

from .lanes import Lanes

PER_NANOSECOND = 14.0
"""Instructions of this model that the processors measured execute in a nanosecond, at 3.6 GHz."""
PRODUCT, ADDITION = 4.0, 2.0
"""Cost of one word: load, multiply and add; and load and add."""
_ENTRY, _GATHERED, _GATHERING_ENTRY = 8.0, 5.0, 9.0
"""Cost per list entry and tile; the same if value and weights were looked up before; and the cost of that lookup."""
_MISPREDICTED = 60.0
_LISTED_VALUE = 8.0  # per value of a window, each of which is written
_SCAN = 2.7  # per input, to find the non-zero ones
_LISTING, _LISTED_ROW = 18.0, 11.0  # per eight bytes that are looked at, and per row besides its words
_CACHE, _MISS = 1 << 20, 20.0
_SURPRISES = 0.12  # share of mispredicted branches that skip a row: many groups are nearly always or nearly never blank
_CLUSTER = 0.3  # zeros are clustered: n neighbors are all zero as often as 0.3 n independent inputs


def straight(inputs: float, words: int, tiles: int, segments: int, lanes: Lanes) -> float:
    """All inputs are multiplied, tile by tile."""
    return inputs * tiles * (1.5 + PRODUCT * words) + flush(words, tiles, segments, lanes)


def listed(
    inputs: int, words: int, tiles: int, segments: int, lanes: Lanes, density: float, *, gathered: bool = False
) -> float:
    """The non-zero inputs are listed, then multiplied."""
    each = tiles * ((_GATHERED if gathered else _ENTRY) + PRODUCT * words) + (_GATHERING_ENTRY if gathered else 0)
    return inputs * (_SCAN + density * each) + _MISPREDICTED * tiles * segments + flush(words, tiles, segments, lanes)


def listed_windows(inputs: int, words: int, tiles: int, segments: int, lanes: Lanes, density: float) -> float:
    """The non-zero values of a window are listed, then multiplied."""
    each = tiles * (_GATHERED + PRODUCT * words)
    listing = _LISTED_VALUE * inputs + _MISPREDICTED * tiles * segments
    return inputs * density * each + listing + flush(words, tiles, segments, lanes)


def copy(pieces: int) -> float:
    """Copying costs a load and a store per piece."""
    return 2.0 * pieces


def rows(groups: int, words: int, tiles: int, segments: int, lanes: Lanes, added: float, table_bytes: int) -> float:
    """One row is added per byte of inputs; ``added`` is the share of added rows. Below 1, branches skip the others."""
    each = 6 + ADDITION * words + (_MISS if table_bytes > _CACHE else 0)
    asked = 2 + _SURPRISES * _MISPREDICTED if added < 1 else 0
    return groups * tiles * (asked + added * each) + flush(words, tiles, segments, lanes)


def filled(density: float, values: int) -> float:
    """The share of runs of ``values`` inputs that are not all zero."""
    return 1.0 - float((1 - density) ** max(1.0, _CLUSTER * values))


def flush(words: int, tiles: int, segments: int, lanes: Lanes) -> float:
    """Every lane is extracted at the end of every segment."""
    return 6.0 * words * lanes.count * tiles * segments


def asked(share: float, added: float) -> float:
    """A branch that skips rows of a cost ``added``, except on a ``share`` of all samples."""
    surprises = 2 * share * (1 - share)
    return 2 + share * added + surprises * _MISPREDICTED


def table_row(words: int) -> float:
    """One row, with its number."""
    return 3 + ADDITION * words


def listed_rows(inputs: int, share: float, words: int, tiles: int, table_bytes: int = 0) -> float:
    """The rows of a ``share`` of ``inputs`` bytes, which are listed first."""
    each = _LISTED_ROW + ADDITION * words + (_MISS if table_bytes > _CACHE else 0)
    return inputs / 8 * _LISTING + tiles * (_MISPREDICTED + share * inputs * each)


def table_sums(groups: int, words: int, tiles: int, outputs: int, each: float) -> float:
    """All rows without a branch, and ``each`` for an output."""
    return groups * tiles * table_row(words) + each * outputs
