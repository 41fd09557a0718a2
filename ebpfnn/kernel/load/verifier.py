"""Finds the few lines of the verifier's log that say what is wrong, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...obj import Unresolved
from ...obj.core.core_patch import POISON

_TAIL = 2
_NOISE = re.compile(
    r"^(processed \d+ insns|verification time|stack depth|max_states|insns \(limit|-- END|mark_precise|func#\d+ |peak_states)"
    r"|^\s*$|^;|^\d+: \([0-9a-f]{2}\)|^from \d+ to|^R\d+(_\w+)?=|^\d+: R\d|^parent|^last_idx|^regs="
    r"|^arg#\d+ reference type"
)
_TRACE = re.compile(r"^(\d+): \([0-9a-f]{2}\)")
_POISONED = re.compile(rf"^(\d+): \(85\) call [^ ]*#{POISON}\b", re.MULTILINE)
_SOURCE = re.compile(r"^; (?P<text>.*?)(?: @ (?P<place>[^ ]+:\d+))?$")
_REMEDIES = (
    (
        re.compile(r"unknown func (\S+?)#\d+|program of this type cannot use helper (\S+?)#\d+"),
        "has no helper {} for this type",
    ),
    (re.compile(r"invalid func unknown#(\d+)"), "is older than helper {}"),
)


def summary(log: str) -> str:
    """The last lines that are errors, not traces, the source line that they refer to, and how many other lines there are."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    traced = max((number for number, line in enumerate(lines) if _TRACE.match(line)), default=-1)
    useful = [line for line in lines[traced + 1 :] if not _NOISE.match(line)][-_TAIL:] or lines[-_TAIL:]
    if not useful:
        return "the verifier gave no reason"
    source = _source(lines)
    omitted = len(lines) - len(useful) - bool(source)
    return " / ".join(useful) + _remedy(useful) + source + (f" ({omitted} lines omitted)" if omitted else "")


def poisoned(log: str, unresolved: Iterable[Unresolved]) -> str | None:
    """Why the instruction at which the verifier stopped was poisoned, None if it stopped for another reason.

    ``unresolved`` counts instructions from the program's first, as the log does.
    """
    found = _POISONED.findall(log)
    at = int(found[-1]) if found else -1
    return next((each.reason for each in unresolved if each.index == at), None)


def _source(lines: list[str]) -> str:
    """The last line of source in the log, which the kernel prints before what was made of it (Linux 5.2; its place, 6.9)."""
    for line in reversed(lines):
        found = _SOURCE.match(line)
        if found and found["text"]:
            return f", at {found['place']} (`{found['text']}`)" if found["place"] else f", at `{found['text']}`"
    return ""


def _remedy(useful: list[str]) -> str:
    """A helper is refused by name where it is known but not for the program's type, by number where it is not known at all."""
    for pattern, fact in _REMEDIES:
        found = pattern.search(useful[-1])
        if found:
            return f": this kernel {fact.format(next(filter(None, found.groups())))}; use another, or a newer kernel"
    return ""
