"""Finds the end of a TIFF. Its parts may lie anywhere (TIFF 6.0, section 2), so it ends where the last of them ends."""

from __future__ import annotations

from typing import Literal

from .starts import check, check_end
from .window import Broken, Window

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES = (1, 2, 6, 7)
"""Types whose values may contain any data, such as a thumbnail."""
_LONG = 4096
"""Values over this size, in bytes, are not searched."""
_PLACES = {273: 279, 324: 325, 288: 289, 513: 514}
"""Tags with offsets, and tags with the sizes of the data there: strips, tiles, free space, a JPEG."""
_DIRECTORIES = (330, 34665, 34853, 40965)
"""Tags with the offsets of directories: SubIFDs, EXIF, GPS, interoperability."""
_TOLD = frozenset((*_DIRECTORIES, *_PLACES, *_PLACES.values()))
_MOST, _MOST_VALUES = 4096, 1 << 17
"""Limits: directories (one per page and one or two of EXIF), and values of a tag with offsets."""


def tiff(window: Window) -> int:
    """The end of the last directory, tag value, strip or tile."""
    order: Literal["little", "big"] = "little" if window.get(0, 1) == b"I" else "big"
    end, seen, pages, others = 8, {0}, [_number(window, order, 4, 4)], list[int]()
    declared = 0
    while pages or others:
        is_page, at = bool(pages), (pages or others).pop()
        if at in seen:
            continue
        seen.add(at)
        if len(seen) > _MOST:
            raise Broken(f"over {_MOST} pages")
        behind, numbers = _directory(window, order, at)
        if is_page and not numbers.keys() & _PLACES.keys():
            raise Broken(f"without pixels in its directory at byte {at}")
        declared += _declared(numbers)
        if declared > window.limit:
            raise Broken("with strips that declare more bytes than an image may have")
        end = max(end, behind, *_strips(window, numbers))
        (pages if is_page else others).extend(numbers[0])
        others += [each for tag in _DIRECTORIES for each in numbers.get(tag, ())]
    window.require(end)
    return end


def _directory(window: Window, order: Literal["little", "big"], at: int) -> tuple[int, dict[int, list[int]]]:
    """The end of a directory and its values, and the values of the tags that give offsets. Key 0 is the next directory."""
    numbers: dict[int, list[int]] = {}
    count, before, referred = _number(window, order, at, 2), 0, 0
    end = at + 6 + 12 * count
    check(window, at, end)
    check_end(window, end)
    if not count:
        raise Broken(f"cut short before byte {at}")
    for entry in range(at + 2, end - 4, 12):
        tag, kind, values = (_number(window, order, entry + skip, size) for skip, size in ((0, 2), (2, 2), (4, 4)))
        if tag < before or kind not in _SIZES:
            raise Broken(f"cut short before byte {entry}")
        before, size = tag, values * _SIZES[kind]
        referred += size
        if referred > window.limit:
            raise Broken("with tags that declare more bytes than an image may have")
        place = entry + 8 if size <= 4 else _number(window, order, entry + 8, 4)
        check(window, place + size if kind in _BYTES or size > _LONG else place, place + size)
        check_end(window, place + size)
        end = max(end, place + size)
        if tag in _TOLD and values > _MOST_VALUES:
            numbers[tag] = []  # the decoder does not take so many values either
        elif tag in _TOLD:
            each = _SIZES[kind]
            numbers[tag] = [_number(window, order, place + number * each, each) for number in range(values)]
    numbers[0] = [_number(window, order, at + 2 + 12 * count, 4)]
    return end, numbers


def _declared(numbers: dict[int, list[int]]) -> int:
    """Bytes of all strips and tiles, and of the tables that list them. All are counted, even if they overlap."""
    return sum(sum(numbers.get(sizes, ())) for sizes in _PLACES.values()) + 4 * sum(map(len, numbers.values()))


def _strips(window: Window, numbers: dict[int, list[int]]) -> list[int]:
    """The end of the strips and tiles. No other image begins inside one."""
    ends = [0]
    for offsets, sizes in _PLACES.items():
        for start, size in zip(numbers.get(offsets, ()), numbers.get(sizes, ()), strict=False):
            if window.get(start, 2) == b"\xff\xd8":
                window.inner.add(start)
            check(window, start + 1, start + size)
            ends.append(start + size)
    return ends


def _number(window: Window, order: Literal["little", "big"], at: int, size: int) -> int:
    return int.from_bytes(window.get(at, size), order)
