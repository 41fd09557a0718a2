"""The fields of a tracepoint, from tracefs (Documentation/trace/events.rst, "Event formats"; Linux 6.18)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import ObjectError
from .fields import Field, Place

_LINE = re.compile(r"\tfield:(.+);\toffset:(\d{1,5});\tsize:(\d{1,5});\tsigned:([01]);", re.ASCII)
_DECLARED = re.compile(r"(.*\W)(\w+)((?:\[[^\]]*\])*)", re.ASCII)
_SIZES = (1, 2, 4, 8)
_HIDDEN = 8  # bytes: the kernel keeps a pointer there, which programs may not read (tp_prog_is_valid_access, Linux 4.7)
_MOST_FIELDS, _MOST_BYTES = 256, 1 << 16


def format_fields(text: str, event: str) -> tuple[Field, ...]:
    """The fields in ``text``, the file ``format`` of ``event``, in order, without the common ones.

    ``event`` is for error messages. Members that are not integers, such as arrays and strings, are included as refused fields.
    Raises :class:`~ebpfnn.errors.ObjectError` for a text of another form.
    """
    lines = [line for line in text.splitlines() if line.startswith("\tfield:")]
    if not lines or len(lines) > _MOST_FIELDS or len(text) > 16 * _MOST_BYTES:
        fact = f"tracepoint '{event}': its format lists {len(lines)} fields, of 1 to {_MOST_FIELDS}"
        raise ObjectError(f"{fact}; use another event")
    return tuple(_fields(lines, event))


def _fields(lines: list[str], event: str) -> Iterator[Field]:
    for line in lines:
        found = _LINE.fullmatch(line.rstrip())
        declared = _DECLARED.fullmatch(found[1]) if found else None
        if found is None or declared is None:
            raise ObjectError(f"tracepoint '{event}': cannot read the line '{line.strip()}' of its format; use another event")
        offset, size = int(found[2]), int(found[3])
        if not declared[2].startswith("common_"):
            kind = declared[1].strip()
            refused = _refused(kind, declared[3], offset, size)
            unit = "address" if not refused and kind.endswith("*") else ""
            yield Field(declared[2], offset, size, found[4] == "1", unit, kind + declared[3], Place.CONTEXT, refused)


def _refused(kind: str, array: str, offset: int, size: int) -> str:
    """Why a member of C type ``kind`` cannot be a field, "" if it can."""
    if kind.startswith(("__data_loc", "__rel_loc")):
        return "not an integer: a string or array of variable length (__data_loc)"
    if array:
        return "not an integer: an array"
    if kind.startswith(("struct ", "union ")) and not kind.endswith("*"):
        return "not an integer: a struct"
    if size not in _SIZES:
        return f"not an integer of 1, 2, 4 or 8 bytes: {size}"
    if offset < _HIDDEN or offset % size:
        return f"not readable: BPF programs cannot load {size} bytes at offset {offset}"
    return ""
