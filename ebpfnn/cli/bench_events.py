"""``ebpfnn bench --spec`` and ``--events``: what an event costs, from the packet to the verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..bench.event_case import Case, draw, event_of
from ..bench.event_measure import EventBench
from ..bench.event_programs import FLOW, flow
from ..bench.event_rows import record
from ..errors import ModelError
from ..events import Spec, bind, build, describe, find
from ..network.events import SPEC
from ..preparation import columns
from .bench_event_tables import print_table

if TYPE_CHECKING:
    from ..network.model import Model
    from ..plugin import Plugins

Watched = Callable[[int, str], Iterable[int]]


@dataclass(frozen=True)
class Wanted:
    """What the options say: rounds, rows, cold caches, JSON."""

    rounds: int
    only: tuple[str, ...]
    cold: bool
    as_json: bool


def measure(spec: str | None, network: Model | None, plugins: Plugins, wanted: Wanted, watched: Watched) -> int:
    """Measures ``spec``, for None the one that ``network`` carries. Without a network, one is drawn.

    Returns the exit status: 1 if verdicts differ.
    """
    case = _case(spec, network, plugins)
    with ExitStack() as held:
        bench = held.enter_context(EventBench(case, wanted.only, by_hand=_is_in_c(case), plugins=plugins))
        unknown = sorted(set(wanted.only) - set(bench.names))
        if unknown:
            raise click.UsageError(f"row '{unknown[0]}' does not exist; there are {', '.join(bench.names)}")
        bench.warm(watched(wanted.rounds, "warm"))
        if wanted.cold:
            bench.cold(watched(wanted.rounds, "cold"))
    if wanted.as_json:
        click.echo(json.dumps(_described(case, bench), indent=2))
    else:
        print_table(case, bench)
    return int(any(row.exact is False for row in bench.rows))


def _case(name: str | None, network: Model | None, plugins: Plugins) -> Case:
    spec = _carried(network) if name is None else flow() if name == FLOW else find(name)
    triggers = {event.name: plugins.trigger(event.trigger) for event in spec.events}
    fields = {event.name: triggers[event.name].observer().fields(event.target) for event in spec.events}
    index = event_of(spec)
    if network is None:
        drawn, found = draw(bind(spec, fields, plugins.reducers, plugins.encoders))
        return Case(spec, index, triggers[spec.events[index].name], fields, plugins.reducers, drawn, found, drawn=True)
    if network.input.preparation.kind != "columns":
        fact = f"network '{network.name}' takes no rows, but samples of the kind '{network.input.preparation.kind}'"
        raise ModelError(f"{fact}; give one that was trained on rows of the spec, or none")
    found = columns.read(network.input.preparation.options, plugins.encoders)
    return Case(spec, index, triggers[spec.events[index].name], fields, plugins.reducers, network, found, drawn=False)


def _carried(network: Model | None) -> Spec:
    if network is None or not network.events:
        what = "no --model is given" if network is None else f"network '{network.name}' carries no spec"
        raise click.UsageError(f"--events: {what}; give a network that does, or --spec")
    return build(network.events[SPEC])


def _is_in_c(case: Case) -> bool:
    """Whether the spec is the one that is there in C, for the bounds that a drawn network has."""
    return case.drawn and describe(case.spec) == describe(flow())


def _described(case: Case, bench: EventBench) -> dict[str, Any]:
    return {
        "spec": case.spec.name,
        "results": len(case.bound(case.spec.at).names),
        "network": case.network.name,
        "architecture": case.network.architecture,
        "drawn": case.drawn,
        "rows": [record(row, bench.rows) for row in bench.rows],
        "absent": bench.absent,
    }
