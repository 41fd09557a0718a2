"""Rows of guards: what it costs to look whether to act, and to act."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import abi
from ..compiler import Body
from ..events.policy import Policy
from ..plugin import Plugins
from ..session.guarding import Guard
from . import event_programs as programs
from .event_case import AT_FIRST, Case
from .event_kernel import Way

GUARDS = ("guard-spared", "guard-audit", "guard-drop")
_LASTING_NS = 1 << 62
"""The time that a verdict lasts: no round is longer."""
_PASS_DROP: dict[str, tuple[int | None, int | None]] = {"xdp": (2, 1), "tc": ((1 << 32) - 1, 2), "cgroup_skb": (1, 0)}


def guards(case: Case, body: Body, frame: bytes, plugins: Plugins) -> Iterator[Way]:
    """The rows of a guard with the action `drop`, whose verdict on ``frame`` is kept.

    Raises :class:`~ebpfnn.errors.NotSupported` for a trigger whose events can only be observed.
    """
    case.trigger.guard()
    label, drop = _label(case, body, frame), plugins.action("drop")
    passes, drops = _PASS_DROP.get(case.trigger.name, (None, None))
    others = next(number for number in range(len(case.network.labels)) if number != label)
    told = "a guard whose verdict is kept: "
    for name, spared, enforced, what in (
        (GUARDS[0], label, True, "the packet is spared"),
        (GUARDS[1], others, False, "in audit, it is counted and passes"),
        (GUARDS[2], others, True, "it is dropped"),
    ):
        guard = Guard(Policy(spared, 0, 1, _LASTING_NS, 1.0), drop)
        loading = programs.guarding(case, body, guard, enforced=enforced)
        yield Way(name, told + what, loading, returns=drops if name == GUARDS[2] else passes)


def _label(case: Case, body: Body, frame: bytes) -> int:
    """What the network takes the frame for, at the first event of a key."""
    loading = programs.observing(case, AT_FIRST, body)
    with loading.load() as loaded:
        loaded.programs[loading.program].run(data=frame)
        _, value = next(iter(loaded.maps[loading.verdicts].items()))
    return int(np.frombuffer(value, abi.VERDICT, 1)[0]["label"]) - 1
