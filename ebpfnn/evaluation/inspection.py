"""Facts on a model before it is used: what it is, its compiled code, and figures from the kernel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..bench.inputs import Inputs, dense_inputs, sparse_inputs
from ..bench.kernel_rows import COMPILED, KernelRunner, code_size, instructions, table_bytes
from ..bench.measure import RUNS, time_cold, time_warm
from ..bodies import kind_of
from ..compiler import Body, Compiled
from ..compiler.features import BY_NAME, NEWEST
from ..datasets.mnist import read_test
from ..errors import PermissionDenied
from ..network import QuantizedNetwork, orders
from ..network.fields import describe_input
from ..network.model import Model
from ..obj.disasm import disassemble
from ..obj.listing import waits
from ..plugin import Plugins, Trigger
from ..session import Session
from ..session.compiling import compile_here
from ..session.loading import default_batch
from .network_facts import describe_network, notes_of

_ROUNDS = 5


@dataclass(frozen=True)
class Code:
    """The result of the compiler: ``stack``, ``workspace`` and ``table_bytes`` in bytes, and the compile time.

    ``stack`` is None for a body that does not tell.
    """

    instructions: int
    stack: int | None
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


def compile_for(
    model: Model, plan: str | None, plugins: Plugins | None = None, kernel: str | None = None
) -> tuple[Body, Code, str]:
    """``model`` compiled for this kernel. If it may not be probed, for the newest kernel, and with the reason (else "").

    With ``kernel``, a key of :data:`~ebpfnn.compiler.features.BY_NAME`, for one with these features, and with that as reason.
    ``plugins`` are those of :func:`ebpfnn.bodies.kind_of`. Raises :class:`~ebpfnn.errors.ModelError` as
    :meth:`~ebpfnn.compiler.BodyKind.compile`.
    """
    begun, reason = time.perf_counter(), ""
    try:
        if kernel is None:
            body = compile_here(model, plan, plugins)
        else:
            body = kind_of(model, plugins).compile(model, BY_NAME[kernel], plan)
            reason = f"the code is for the features of Linux {kernel}; leave out --for to load it here"
    except PermissionDenied as refusal:
        body, reason = kind_of(model, plugins).compile(model, NEWEST, plan), str(refusal)
    elapsed = time.perf_counter() - begun
    stack = body.stack if isinstance(body, Compiled) else None
    return body, Code(instructions(body), stack, body.workspace, table_bytes(body), 1000 * elapsed), reason


def run_in_kernel(network: Model, compiled: Body, trigger: Trigger) -> InKernel:
    """Loads the model as usual, and again to measure its time. Raises as :class:`~ebpfnn.session.Session` does."""
    size = code_size(network, trigger, compiled)
    given = _samples(network)
    count = len(given.samples)
    with Session(network, trigger, body=compiled, batch=count, repeats=RUNS // count) as session:
        runner = KernelRunner(COMPILED, session)
        runner.load(given.samples)
        warm = min(time_warm(runner, count)[0] for _ in range(_ROUNDS))
        cold = min(time_cold(runner, count, _ROUNDS))
        return InKernel(trigger.name, size.verified, size.load_ms, warm, cold, given.kind)


def describe(
    model: Model, body: Body, code: Code, kernel: InKernel | None, left_out: str, plugins: Plugins | None = None
) -> dict[str, Any]:
    """All facts as plain data, for JSON. ``facts`` are those of its kind; a network has those of :mod:`.network_facts` too."""
    form = model.input
    return {
        "name": model.name,
        "kind": model.kind,
        "architecture": model.architecture,
        "input": {**describe_input(form), "sample_bytes": form.sample_bytes, "order_name": orders.packed(form) or None},
        "labels": list(model.labels),
        "result": model.result,
        "score_scale": model.score_scale,
        "facts": dict(kind_of(model, plugins).facts(model)),
        **(describe_network(model, body) if isinstance(model, QuantizedNetwork) and isinstance(body, Compiled) else {}),
        "code": asdict(code),
        "kernel": asdict(kernel) if kernel else None,
        "left_out": left_out or None,
        "card": dict(model.card),
        "events": dict(model.events) or None,
    }


def annotated(body: Body) -> Iterator[str]:
    """The instructions in the verifier's notation, with their purpose and the tables that they read."""
    notes = notes_of(body) if isinstance(body, Compiled) else {}
    for function in body.spec.functions.values():
        tables = dict(waits(body.spec, function))
        for index, text in disassemble(function.code):
            yield from notes.get((function.name, index), ())
            yield f"{index:>6}: {text:<44}; {tables[index]}" if index in tables else f"{index:>6}: {text}"


def _samples(network: Model) -> Inputs:
    """The bundled digits if they fit, else dense noise."""
    digits, labels = read_test()
    if digits[0].size == network.input.size:
        return sparse_inputs(network, digits, labels)
    return dense_inputs(network, min(default_batch(network.input), 64))
