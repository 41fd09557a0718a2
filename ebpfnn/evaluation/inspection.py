"""Facts on a network before it is used: its layers, its compiled code, and figures from the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..bench.inputs import Inputs, dense_inputs, sparse_inputs
from ..bench.kernel_rows import KernelRunner, code_size, instructions, table_bytes
from ..bench.measure import RUNS, time_cold, time_warm
from ..compiler import Compiled, NetworkPlan, compile_network
from ..compiler.plan import TablePlan
from ..datasets.mnist import read_test
from ..errors import PermissionDenied
from ..network import QuantizedNetwork, architecture, orders
from ..network.fields import describe_input
from ..obj.disasm import disassemble
from ..obj.listing import waits
from ..plugin import Trigger
from ..session import Session
from ..session.compiling import compile_here
from ..session.loading import default_batch
from .layer_table import layer_rows
from .table_facts import wraps

_ROUNDS = 5
_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Code:
    """The result of the compiler: ``stack``, ``workspace`` and ``table_bytes`` in bytes, and the compile time."""

    instructions: int
    stack: int
    workspace: int
    table_bytes: int
    compile_ms: float


@dataclass(frozen=True)
class InKernel:
    """Figures from the kernel.

    ``verified`` counts the instructions that the verifier walked, including those of ``trigger``'s shell. Times are nanoseconds
    per inference of ``samples``, the minimum, with warm and with cold caches.
    """

    trigger: str
    verified: int
    load_ms: float
    warm_ns: float
    cold_ns: float
    samples: str


def compile_for(network: QuantizedNetwork, plan: str | None) -> tuple[Compiled, Code, str]:
    """The network compiled for this kernel. If it may not be probed, for the newest kernel, and with the reason (else "").

    Raises :class:`~ebpfnn.errors.ModelError` as :func:`~ebpfnn.compiler.compile_network`.
    """
    begun, reason = time.perf_counter(), ""
    try:
        compiled = compile_here(network, plan)
    except PermissionDenied as refusal:
        compiled, reason = compile_network(network, plan=plan), str(refusal)
    elapsed = time.perf_counter() - begun
    sizes = instructions(compiled), compiled.stack, compiled.workspace, table_bytes(compiled)
    return compiled, Code(*sizes, 1000 * elapsed), reason


def run_in_kernel(network: QuantizedNetwork, compiled: Compiled, trigger: Trigger) -> InKernel:
    """Loads the network as usual, and again to measure its time. Raises as :class:`~ebpfnn.session.Session` does."""
    size = code_size(network, trigger, compiled)
    given = _samples(network)
    count = len(given.samples)
    with Session(network, trigger, body=compiled, batch=count, repeats=RUNS // count) as session:
        runner = KernelRunner("compiled", session)
        runner.load(given.samples)
        warm = min(time_warm(runner, count)[0] for _ in range(_ROUNDS))
        cold = min(time_cold(runner, count, _ROUNDS))
        return InKernel(trigger.name, size.verified, size.load_ms, warm, cold, given.kind)


def describe(
    network: QuantizedNetwork, compiled: Compiled, code: Code, kernel: InKernel | None, left_out: str
) -> dict[str, Any]:
    """All facts as plain data, for JSON. Of a cascade, ``layers`` are those of the first network, and totals of all."""
    rows, form = layer_rows(network), network.input
    every = [row for stage in network.stages for row in layer_rows(stage)]
    wrapped, wrapped_on = _wraps(network)
    return {
        "name": network.name,
        "architecture": network.architecture,
        "input": {**describe_input(form), "sample_bytes": form.sample_bytes, "order_name": orders.packed(form) or None},
        "labels": list(network.labels),
        "macs": sum(stage.macs for stage in network.stages),
        "parameters": sum(row.parameters for row in every),
        "bytes": sum(row.size for row in every),
        "layers": [asdict(row) for row in rows],
        "stages": describe_stages(network),
        "wraps": wrapped,
        "wraps_on": wrapped_on or None,
        "plan": describe_plan(compiled.plan),
        "plans": [asdict(plan) for plan in compiled.layers],
        "code": asdict(code),
        "kernel": asdict(kernel) if kernel else None,
        "left_out": left_out or None,
        "card": dict(network.card),
        "events": dict(network.events) or None,
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


def annotated(compiled: Compiled) -> Iterator[str]:
    """The instructions in the verifier's notation, with their purpose and the tables that they read."""
    notes: dict[tuple[str, int], list[str]] = {}
    for note in compiled.notes:
        of = f"network {note.stage + 1}, " if compiled.plan.then else ""
        where = f"{of}layer {note.layer}: " if note.layer >= 0 else ""
        notes.setdefault((note.function, note.index), []).append(f"; {where}{note.text}")
    for function in compiled.spec.functions.values():
        tables = dict(waits(compiled.spec, function))
        for index, text in disassemble(function.code):
            yield from notes.get((function.name, index), ())
            yield f"{index:>6}: {text:<44}; {tables[index]}" if index in tables else f"{index:>6}: {text}"


def _samples(network: QuantizedNetwork) -> Inputs:
    """The bundled digits if they fit, else dense noise."""
    digits, labels = read_test()
    if digits[0].size == network.input.size:
        return sparse_inputs(network, digits, labels)
    return dense_inputs(network, min(default_batch(network.input), 64))
