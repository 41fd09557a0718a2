"""The guard of an instance: what its description tells of it, and its brakes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import abi
from ..errors import ModelError
from ..events.conditions import written
from ..events.policy import Policy, entry
from ..network.fields import Described, get, integer, number, text, texts
from ..network.layers import expect
from ..network.model import Model
from ..plugin import Plugins
from ..session.guarding import Guard, calibrated
from . import layouts

if TYPE_CHECKING:
    from ..session.observed import Observed

NAMES = ("events", "results")
"""The members of a description that are names of the spec."""
CGROUP_INODE = "cgroup_inode"
INTERNAL = (*NAMES, layouts.ALERTS, CGROUP_INODE)
"""The members that are no part of the policy."""
GUARDING = {
    abi.GUARDED: "guarded",
    abi.CONTROL: "control",
    abi.ACTIONS: "actions",
    abi.CASES: "cases",
    abi.RECORDED: "recorded",
    abi.CGROUP: "cgroup",
    abi.FAMILY: "family",
    abi.OUTCOMES: "outcomes",
}
"""The maps of a guard, and their pins. Only one of threads has the last three."""
_WORDS, _LISTS = ("action", "spared"), ("allowed", *NAMES)


def describe(guard: Guard, observed: Observed) -> dict[str, Any]:
    """As JSON knows it: the action and the policy; and the names of the events and of the results of a row."""
    policy, labels, bound = guard.policy, observed.network.labels, observed.bound
    return {
        **layouts.describe(observed),
        "action": guard.action.written,
        "spared": labels[policy.spared],
        "margin": policy.margin,
        "after": policy.after,
        "lasting": policy.lasting,
        "most": policy.most,
        "allowed": [" and ".join(map(written, each)) for each in policy.allowed],
        **({"cgroup": guard.cgroup, **_inode(guard.cgroup)} if guard.cgroup else {}),
        "events": [event.name for event in bound.events],
        "results": list(bound.names),
    }


def _inode(cgroup: str) -> dict[str, int]:
    with suppress(OSError):  # its directory has gone, which loading tells
        return {CGROUP_INODE: Path(cgroup).stat().st_ino}
    return {}


def has_cgroup(described: Mapping[str, Any]) -> bool:
    """Whether the cgroup of the guard that is described is still there. One that was made later under its name is another."""
    return CGROUP_INODE not in described or _inode(described["cgroup"]) == {CGROUP_INODE: described[CGROUP_INODE]}


def kept_cgroup(former: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """The guard that is described after a swap, which keeps the cgroup of the ``former`` one."""
    others = {name: value for name, value in described.items() if name != CGROUP_INODE}
    return others | {name: value for name, value in former.items() if name == CGROUP_INODE}


def checked(described: Described) -> dict[str, Any]:
    """The member ``guard`` of a description, {} if it is absent. Raises :class:`ModelError` if it is none."""
    if "guard" not in described:
        return {}
    found: dict[str, Any] = get(described, "guard", dict)
    numbers = {name: integer(found, name) for name in ("margin", "after")}
    lasting: int = get(found, "lasting", int)
    built = {**{name: text(found, name) for name in _WORDS}, **numbers, "lasting": lasting, "most": number(found, "most")}
    labels = texts(described, "labels")
    expect(built["spared"] in labels, "'guard' spares a label that is not one of the labels")
    cgroup: dict[str, Any] = {"cgroup": text(found, "cgroup")} if "cgroup" in found else {}
    if cgroup and CGROUP_INODE in found:
        cgroup[CGROUP_INODE] = get(found, CGROUP_INODE, int)
    return {**built, **layouts.checked(found), **{name: list(texts(found, name)) for name in _LISTS}, **cgroup}


def build(described: Mapping[str, Any], model: Model, plugins: Plugins) -> Guard | None:
    """The guard that is described, with the margin of ``model``. None for {}.

    Raises :class:`~ebpfnn.errors.UsageError` for a model that is not calibrated, and :class:`ModelError` for one that spares
    another label.
    """
    if not described:
        return None
    spared, margin = calibrated(model)
    if model.labels[spared] != described["spared"]:
        fact = f"network '{model.name}' was calibrated to spare '{model.labels[spared]}'"
        raise ModelError(f"{fact}, and the guard spares '{described['spared']}'; calibrate it for that label")
    allowed = tuple(map(entry, described["allowed"]))
    policy = Policy(spared, margin, int(described["after"]), int(described["lasting"]), float(described["most"]), allowed)
    return Guard(policy, plugins.action(described["action"]), str(described.get("cgroup", "")))
