"""The guard of an instance: what its description tells of it, and its brakes."""

from __future__ import annotations

from collections.abc import Mapping
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
INTERNAL = (*NAMES, layouts.ALERTS)
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
        **({"cgroup": guard.cgroup} if guard.cgroup else {}),
        "events": [event.name for event in bound.events],
        "results": list(bound.names),
    }


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
    cgroup = {"cgroup": text(found, "cgroup")} if "cgroup" in found else {}
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
