"""What ``ebpfnn inspect`` tells of a network of layers alone: its layers, the networks of a cascade, its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..compiler import Compiled, NetworkPlan
from ..compiler.plan import TablePlan
from ..datasets.mnist import read_test
from ..network import QuantizedNetwork, architecture
from ..network.fields import describe_input
from .layer_table import layer_rows
from .table_facts import wraps

_DIGITS = tuple("0123456789")
Notes = Mapping[tuple[str, int], list[str]]
"""What instructions are for, by function and index."""


def describe_network(network: QuantizedNetwork, compiled: Compiled) -> dict[str, Any]:
    """The facts as plain data, for JSON. Of a cascade, ``layers`` are those of the first network, and totals of all."""
    every = [row for stage in network.stages for row in layer_rows(stage)]
    wrapped, wrapped_on = _wraps(network)
    return {
        "macs": sum(stage.macs for stage in network.stages),
        "parameters": sum(row.parameters for row in every),
        "bytes": sum(row.size for row in every),
        "layers": [asdict(row) for row in layer_rows(network)],
        "stages": describe_stages(network),
        "wraps": wrapped,
        "wraps_on": wrapped_on or None,
        "plan": describe_plan(compiled.plan),
        "plans": [asdict(plan) for plan in compiled.layers],
    }


def describe_stages(network: QuantizedNetwork) -> list[dict[str, Any]] | None:
    """The networks of a cascade as plain data, None for a network that is none.

    ``margin`` and ``share`` are None for the last.
    """
    if network.then is None:
        return None
    return [
        {
            "name": each.name,
            "architecture": architecture.architecture(each.layers),
            "input": describe_input(each.input),
            "macs": each.macs,
            "score_scale": each.score_scale,
            "margin": each.then.margin if each.then else None,
            "share": each.then.share if each.then else None,
            "layers": [asdict(row) for row in layer_rows(each)],
        }
        for each in network.stages
    ]


def _wraps(network: QuantizedNetwork) -> tuple[list[dict[str, int]] | None, str]:
    """How often sums of byte lanes wrapped, and on what. None if no samples are at hand; of a cascade, the first network's."""
    digits, _ = read_test()
    if network.labels != _DIGITS or digits[0].size != network.input.size:
        return None, ""
    found = wraps(network, digits.reshape(-1, *network.input_shape))
    return [asdict(each) for each in found], f"the {len(digits)} bundled digits" if found else ""


def describe_plan(plan: NetworkPlan) -> dict[str, Any]:
    """The plan as plain data: for each layer the candidates, the chosen one first, and their estimated cost.

    ``branches`` are those that skip groups of tables, None for other layers. ``then`` is the plan of the next network.

    The ``cost`` of a candidate is the number of instructions that one inference runs. ``walked`` and ``forks`` estimate how
    many instructions the verifier walks and how many branches it postpones.
    """
    layers = [
        {
            "layer": number,
            "shape": layer.shape,
            "outputs": {**asdict(layer.output), "text": str(layer.output)},
            "unwalked_loops": list(layer.unwalked_loops),
            "estimate": asdict(estimate),
            "candidates": [asdict(candidate) for candidate in layer.candidates],
            "branches": sum(run.asks for run in layer.runs) if isinstance(layer, TablePlan) else None,
        }
        for number, (layer, estimate) in enumerate(zip(plan.layers, plan.estimates, strict=True))
    ]
    then = describe_plan(plan.then) if plan.then else None
    told = {"sample": plan.sample.value, "stack": plan.stack, "features": asdict(plan.features), "layers": layers}
    return {**told, "then": then}


def notes_of(compiled: Compiled) -> Notes:
    """The purpose of instructions, with their layer."""
    notes: dict[tuple[str, int], list[str]] = {}
    for note in compiled.notes:
        of = f"network {note.stage + 1}, " if compiled.plan.then else ""
        where = f"{of}layer {note.layer}: " if note.layer >= 0 else ""
        notes.setdefault((note.function, note.index), []).append(f"; {where}{note.text}")
    return notes
