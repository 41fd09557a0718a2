"""The verifier's log, and the few lines of it that say what is wrong."""

from __future__ import annotations

import re

_TAIL = 2
_NOISE = re.compile(
    r"^(processed \d+ insns|verification time|stack depth|max_states|insns \(limit|-- END|mark_precise|func#\d+ |peak_states)"
    r"|^\s*$|^;|^\d+: \([0-9a-f]{2}\)|^from \d+ to|^R\d+(_\w+)?=|^\d+: R\d|^arg#\d+ reference type|^parent|^last_idx|^regs="
)


def summary(log: str) -> str:
    """The last lines that are a complaint, not a trace, and how many others there are."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    useful = [line for line in lines if not _NOISE.match(line)][-_TAIL:] or lines[-_TAIL:]
    if not useful:
        return "the verifier gave no reason"
    omitted = len(lines) - len(useful)
    return " / ".join(useful) + (f" ({omitted} lines omitted)" if omitted else "")
