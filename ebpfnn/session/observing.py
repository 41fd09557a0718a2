"""Loads a network behind the events of its spec: event shells, observers and the network, linked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from types import MappingProxyType

from .. import abi
from ..compiler import Body
from ..events.fields import bytes_of, fields_of
from ..kernel import Map, Object, possible_cpus
from ..network.model import LABEL
from ..obj import ObjectSpec, link
from ..observer import Mode, check_locks, compile_observer
from ..observer.cases import kept_each
from ..plugin import Trigger
from .family import put_cgroup, spare_family
from .loading import check_abi, is_compiled, load_linked
from .observed import Observed

SHARED = frozenset((abi.STATES, abi.VERDICTS, abi.ROWS, abi.COUNTS, abi.LABELS, abi.WATCH, abi.EVENTS, abi.CLOCK))
SHARED |= {abi.GUARDED, abi.CONTROL, abi.ACTIONS, abi.CASES, abi.RECORDED, abi.CGROUP, abi.FAMILY, abi.OUTCOMES}
"""The maps that the programs of one network share."""
_NO_MAPS: Mapping[str, Map] = MappingProxyType({})


def load_observed(observed: Observed, body: Body, *, swaps: int = 0, maps: Mapping[str, Map] = _NO_MAPS) -> list[Object]:
    """The program of each event, loaded with ``body``; close them. They share states, verdicts and counts.

    ``maps`` replace those maps. ``swaps`` is the number of swaps that verdicts report.

    Raises :class:`~ebpfnn.errors.PluginError` for a shell of another ABI version, and what :func:`~ebpfnn.observer.check_locks`
    and :func:`~ebpfnn.session.loading.load_linked` raise. Nothing stays behind then.
    """
    shells = [event_shell(*each) for each in zip(observed.triggers, observed.targets, strict=True)]
    for index, shell in enumerate(shells):
        check_locks(observed.bound, index, shell)
    specs = [link_observed(observed, index, shell, body, swaps=swaps) for index, shell in enumerate(shells)]
    with ExitStack() as held:
        loaded = load_sharing(observed, specs, is_compiled(observed.network, body), maps)
        for each in loaded:
            held.enter_context(each)
        if observed.guard and observed.guard.cgroup:
            known = all_maps(loaded)
            spare_family(known)
            if abi.CGROUP not in maps:
                put_cgroup(known, observed.guard.cgroup)
        held.pop_all()
        return loaded


def all_maps(loaded: Iterable[Object]) -> dict[str, Map]:
    """The maps of the programs of one network by name; those that they do not share are the first one's that has it."""
    found: dict[str, Map] = {}
    for each in loaded:
        found = {**each.maps, **found}
    return found


def load_sharing(
    observed: Observed, specs: list[ObjectSpec], compiled: bool, maps: Mapping[str, Map] = _NO_MAPS
) -> list[Object]:
    """Loads what was linked for each event; maps that they share and that are not in ``maps`` are the first one's."""
    with ExitStack() as held:
        names = SHARED | of_action(observed)
        shared, found = dict(maps), list[Object]()
        for trigger, spec in zip(observed.triggers, specs, strict=True):
            loaded = held.enter_context(load_linked(observed.network, trigger, spec, compiled, shared))
            shared |= {name: each for name, each in loaded.maps.items() if name in names}
            found.append(loaded)
        held.pop_all()
        return found


def of_action(observed: Observed) -> frozenset[str]:
    """The maps of its action, which the programs of all events share."""
    guard = observed.guard
    return frozenset[str]().union(*(guard.maps(trigger) for trigger in observed.triggers)) if guard else frozenset()


def event_shell(trigger: Trigger, target: str | None) -> ObjectSpec:
    """The event shell of ``trigger``, an observer, prepared for ``target``."""
    shell = ObjectSpec.from_file(trigger.object_path())
    check_abi(shell, f"trigger '{trigger.name}': {trigger.object_path()}")
    shell.keep_programs(trigger.program())
    for name, value in trigger.variables().items():
        shell.set_variable(name, value)
    trigger.prepare(shell, target)
    return shell


def link_observed(
    observed: Observed, index: int, shell: ObjectSpec, body: Body | None, mode: Mode = Mode.VERDICTS, *, swaps: int = 0
) -> ObjectSpec:
    """``shell`` of event ``index`` with its observer, in mode VERDICTS with ``body``, and with the action of the guard."""
    if observed.guard is not None:
        observed.guard.confine(shell)
    if body is None:
        linked = link(shell, compile_observer(observed.bound, index, mode))
    else:
        linked = _with_verdicts(observed, index, shell, body, swaps)
    if observed.guard is None:
        return linked
    told = {abi.FIELD_BYTES: bytes_of(fields_of(shell)), abi.EVENT_INDEX: index, abi.NETWORK: swaps}
    return link(linked, observed.guard.acting(observed.triggers[index], observed.targets[index], told))


def _with_verdicts(observed: Observed, index: int, shell: ObjectSpec, body: Body, swaps: int) -> ObjectSpec:
    observer = compile_observer(
        observed.bound,
        index,
        Mode.VERDICTS,
        columns=observed.columns,
        form=observed.network.input,
        classes=len(observed.network.labels),
        network=swaps,
        valued=observed.network.result != LABEL,
        workspace=body.workspace,
        policy=observed.guard.policy if observed.guard else None,
        cases=kept_each(observed.bound, possible_cpus()),
    )
    return link(link(shell, observer), body.spec)
