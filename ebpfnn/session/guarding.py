"""A guard: a policy, and the action that it takes. docs/guards.md is the guide."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .. import abi
from ..errors import NotSupported, PluginError, UsageError
from ..events.policy import Policy
from ..kernel import Map
from ..network.model import Model
from ..obj import ObjectSpec
from ..obj.maps import holds_values
from ..plugin import Action, Trigger
from .loading import check_abi


@dataclass(frozen=True)
class Guard:
    """What is done with events that the policy says to act on: ``action``.

    ``cgroup`` is the directory of a cgroup (version 2): threads in it and in cgroups below are observed, and no other.
    """

    policy: Policy
    action: Action
    cgroup: str = ""

    def check(self, trigger: Trigger) -> None:
        """Raises :class:`UsageError` for a trigger whose events the action cannot act on."""
        if self.action.triggers is not None and trigger.name not in self.action.triggers:
            able = " or ".join(self.action.triggers)
            fact = f"action '{self.action.name}' acts on no events of trigger '{trigger.name}'"
            raise UsageError(f"{fact}; use another action{able and f', or trigger {able}'}")

    def check_cgroup(self, trigger: Trigger) -> None:
        """Raises :class:`UsageError` if a cgroup is missing or of no use at events of ``trigger``, whose shell is a guard's."""
        if self.cgroup and abi.CGROUP not in ObjectSpec.from_file(trigger.object_path()).maps:
            raise UsageError(f"events of trigger '{trigger.name}' do not happen in a cgroup's threads; leave out the cgroup")
        if not self.cgroup and abi.MAY_HIT in ObjectSpec.from_file(self.action.object_path(trigger.name)).externs:
            fact = f"action '{self.action.name}' harms processes, and nothing says which ones it may"
            raise UsageError(f"{fact}; give the cgroup that they are in (--cgroup)")

    def confine(self, shell: ObjectSpec) -> None:
        """Sets in the shell of a trigger whether only threads of the cgroup are observed."""
        if self.cgroup:
            shell.set_variable(abi.CONFINED, struct.pack("<I", 1))

    def acting(self, trigger: Trigger, target: str | None, told: Mapping[str, int]) -> ObjectSpec:
        """The object that defines ``ebpfnn_act`` for events of ``trigger`` at ``target``.

        ``told`` are values of u32 variables that it may have: :data:`ebpfnn.abi.OF_ACTIONS`. Raises :class:`PluginError` if it
        defines no such function, or was built for another ABI version.
        """
        path = self.action.object_path(trigger.name)
        spec = ObjectSpec.from_file(path)
        check_abi(spec, f"action '{self.action.name}': {path}")
        if abi.ACTION not in spec.functions:
            fact = f"action '{self.action.name}': {path.name} does not define {abi.ACTION}()"
            raise PluginError(f"{fact}; build it with ebpfnn/guard.h")
        known = {name: struct.pack("<I", value) for name, value in told.items() if name in spec.variables}
        for name, value in {**known, **self.action.variables(trigger.name, target)}.items():
            spec.set_variable(name, value)
        return spec

    def maps(self, trigger: Trigger) -> frozenset[str]:
        """The maps of the action's object for events of ``trigger``, by name, without its global variables."""
        spec = ObjectSpec.from_file(self.action.object_path(trigger.name))
        return frozenset(name for name in spec.maps if not holds_values(name))


def calibrated(model: Model) -> tuple[int, int]:
    """The label to spare, by number, and the margin of ``model``. Raises :class:`UsageError` if it is not calibrated."""
    found = model.calibration
    if found is None:
        fact = f"network '{model.name}' is not calibrated, so it is not known from which margin on its verdicts count"
        raise UsageError(f"{fact}; run `ebpfnn calibrate` on sessions that are new to it")
    return model.labels.index(found.spared), found.margin


class Brakes:
    """The brakes of a guard in the kernel: whether it acts, and what it counted.

    ``maps`` are the guard's, by name; ``what`` is what errors call it.
    """

    def __init__(self, maps: Mapping[str, Map], what: str = "the observer") -> None:
        if abi.CONTROL not in maps:
            raise NotSupported(f"{what} is no guard, since it was loaded without an action; load it with --action")
        self._control = np.ndarray(1, abi.CONTROLLED, buffer=maps[abi.CONTROL].mmap())
        self._actions, self._outcomes = maps[abi.ACTIONS], maps.get(abi.OUTCOMES)

    def enforce(self, until_ns: int) -> None:
        """Acts until ``until_ns`` (CLOCK_MONOTONIC), which BPF checks itself, also if this process is gone. 0: audit."""
        self._control["until_ns"][0] = until_ns

    def pause(self, paused: bool) -> None:
        """Acts on nothing while it is paused. One write of eight bytes."""
        self._control["paused"][0] = int(paused)

    @property
    def until_ns(self) -> int:
        return int(self._control["until_ns"][0])

    @property
    def paused(self) -> bool:
        return bool(self._control["paused"][0])

    def counts(self, labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
        """Events by reason (:data:`ebpfnn.abi.REASONS`), for each label; those that are allowed have the label ``""``."""
        return {name: self._count(number) for number, name in enumerate(("", *labels))}

    def outcomes(self) -> dict[str, int]:
        """What became of the events of threads that were acted on (:data:`ebpfnn.abi.RESULTS_OF_HITS`). {} for packets."""
        if self._outcomes is None:
            return {}
        found = self._outcomes.lookup_percpu(struct.pack("<I", 0), abi.OUTCOME)
        return {name: 0 if found is None else int(found[name].sum()) for name in abi.RESULTS_OF_HITS}

    def _count(self, number: int) -> dict[str, int]:
        found = self._actions.lookup_percpu(struct.pack("<I", number), abi.ACTED)
        return {reason: 0 if found is None else int(found[reason].sum()) for reason in abi.REASONS}
