"""Checks the limits of the kernel before a network is loaded; errors name the layer and a remedy."""

from __future__ import annotations

from ..abi import RESULT
from ..errors import ModelError
from .emitter import MOST_TABLES, STACK, Emitter, joined

MOST_WALKED = 900_000
"""The limit of walked instructions. Linux walks a million (BPF_COMPLEXITY_LIMIT_INSNS); this is an estimate without shells."""
MOST_FORKS = 7_500
"""The limit of pending branches, of the 8,192 that the verifier allows (BPF_COMPLEXITY_LIMIT_JMP_SEQ)."""


class TooMuchToWalk(ModelError):
    """The verifier would exceed a limit; without lists it may not."""


class TooDeep(ModelError):
    """The stack is too small; without callbacks, which have frames of their own, it may suffice."""


def check(emit: Emitter) -> None:
    """Raises :class:`ModelError` if the code so far exceeds a limit."""
    if emit.stack_used > STACK:
        raise TooDeep(f"needs {emit.stack_used} bytes of stack; there are {STACK}; use narrower lanes or layers")
    if len(joined(emit.tables, emit.features.largest_table)[0]) > MOST_TABLES:
        fact = f"needs {sum(map(len, emit.tables.values()))} bytes of tables so far"
        raise ModelError(f"{fact}; a program takes {MOST_TABLES} tables of {emit.features.largest_table}; use smaller layers")
    if RESULT.itemsize + emit.workspace > emit.features.largest_table:
        fact = f"needs {emit.workspace} bytes behind a result; the kernel takes {emit.features.largest_table}"
        raise ModelError(f"{fact}; use a smaller image, or fewer channels")
    emit.check_jumps()
    if emit.walked > MOST_WALKED:
        raise TooMuchToWalk(
            f"takes the verifier past some {emit.walked} instructions; it walks {MOST_WALKED}; use a smaller layer"
        )
    if emit.forks > MOST_FORKS:
        raise TooMuchToWalk(f"makes the verifier put off {emit.forks} branches; it keeps {MOST_FORKS}; use a smaller layer")
