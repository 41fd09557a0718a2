"""Where an observer keeps things: its memory for one event, and the state of a key. All offsets are in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..abi import CASE, KEPT, RECORD, RESULT, VERDICT, padded
from ..errors import ModelError
from ..events.bound import Bound, Derived
from ..events.fields import Field

FIRST, LAST, INFERRED, NUMBER, SIDE, LABEL, LOCK, WORDS = 0, 8, 16, 24, 28, 32, 36, 40
"""A state: three times; the number; 1 if its first event came from the higher end; the latest label plus 1; a bpf_spin_lock;
and the words of the reducers.
"""
KEY = RECORD.itemsize
"""The key follows the head of the record, as it does in a row."""
_LARGEST = 32 << 10  # bytes of a per-CPU value: PCPU_MIN_UNIT_SIZE (include/linux/percpu.h, Linux 6.18)


def state_bytes(bound: Bound) -> int:
    """The size of a state."""
    return WORDS + 8 * bound.words


@dataclass(frozen=True)
class Memory:
    """The memory of one program on one CPU, the map ``ebpfnn_scratch``.

    The head of a record is at 0, and the key at :data:`KEY`. ``results`` (u64 each) and the rest follow. ``case`` is directly
    behind them, so that a case is what lies from 0 on.
    ``derived`` and ``context`` have the derived fields and those from the program's context, u64 each. ``side`` is 1 if the
    event comes from the higher end, ``start`` when the network began. ``verdict`` is followed by a copy of the key, since a
    watcher is told both. ``outcome`` has the status of the network and the index of its label, u32 each. ``blank`` is a state
    whose words are always 0. ``act`` is what a policy decided, and ``kept`` what it newly keeps of a key. ``sample`` and
    ``result`` are the arguments of ``ebpfnn_infer``.
    """

    results: int
    case: int
    derived: dict[Derived, int]
    context: dict[Field, int]
    side: int
    start: int
    verdict: int
    outcome: int
    blank: int
    act: int
    kept: int
    sample: int
    result: int
    size: int


def lay_out(bound: Bound, context: Sequence[Field], recorded: int, sample_bytes: int, workspace: int) -> Memory:
    """``context`` are the fields that are read from there, ``recorded`` the number of those in a record.

    ``sample_bytes`` is 0 without a network, whose body needs ``workspace`` bytes.

    Raises :class:`ModelError` if it takes more than the kernel gives.
    """
    results = KEY + bound.key_bytes
    case = results + 8 * len(bound.names)
    at = max(case + CASE.itemsize, KEY + 8 * recorded)
    derived = {each: at + 8 * place for place, each in enumerate(Derived)}
    at += 8 * len(derived)
    fields = {each: at + 8 * place for place, each in enumerate(context)}
    at += 8 * len(fields)
    side, start, verdict = at, at + 8, at + 16
    outcome = verdict + VERDICT.itemsize + bound.key_bytes
    blank = outcome + 8
    act = blank + state_bytes(bound)
    kept = act + 8
    sample = kept + KEPT.itemsize
    result = sample + padded(sample_bytes) + 8
    size = result + padded(RESULT.itemsize + workspace) if sample_bytes else sample
    if size > _LARGEST:
        fact = f"spec '{bound.spec.name}': it and its network need {size} bytes of each CPU; the kernel gives {_LARGEST}"
        raise ModelError(f"{fact}; use fewer columns or bounds, or smaller layers")
    return Memory(results, case, derived, fields, side, start, verdict, outcome, blank, act, kept, sample, result, size)
