"""Guards of threads for tests: a network that says of each process whose fifth call has come that it is bad."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from guards import guard as made_by_hand

from ebpfnn import Observation, Plugins
from ebpfnn.events.policy import Policy
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.layers import Dense
from ebpfnn.session.guarding import Guard

FOREVER = (1 << 63) - 1
POLICY = Policy(0, 500, after=1, most=1)
CALIBRATION = Calibration("benign", 500, 0.01, 1000, 4, 3, 0.008)
EVENT = {"trigger": "tracepoint", "target": "syscalls:sys_enter_getppid"}
SPEC: dict[str, Any] = {"name": "calls", "key": ["tgid"], "at": {}, "column": [{"name": "calls", "reduce": "count"}]}
CALLS = {"calls": {"encode": "bins", "bounds": [5], "step": 100}}


def network(event: dict[str, str] | None = None, trigger: str = "tracepoint", name: str = "calls") -> QuantizedNetwork:
    """Label 1 from the fifth event of a process on, by a margin of 500."""
    found = made_by_hand(
        {**SPEC, "event": [event or EVENT]},
        CALLS,
        trigger=trigger,
        labels=("benign", "bad"),
        weights=np.array([[0], [10]], np.int8),
        name=name,
    )
    layer = found.layers[0]
    assert isinstance(layer, Dense)
    return replace(found, layers=(replace(layer, bias=np.array([500, 0], np.int32)),), calibration=CALIBRATION)


def guard(inside: Path | str, action: str = "signal:KILL", policy: Policy = POLICY) -> Guard:
    return Guard(policy, Plugins.installed().action(action), str(inside))


def observation(inside: Path, action: str = "signal:KILL", policy: Policy = POLICY) -> Observation:
    """A guard in audit at getppid(2), attached."""
    return Observation(network(), Plugins.installed().trigger("tracepoint"), guard=guard(inside, action, policy))


def calls(number: int) -> Callable[[], object]:
    return lambda: [os.getppid() for _ in range(number)]


def counts(found: Observation) -> dict[str, int]:
    return {reason: count for reason, count in found.brakes.counts(("benign", "bad"))["bad"].items() if count}
