"""Rows in the kernel: every body of a network behind the run trigger, which computes thousands of samples an event."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..abi import INFER
from ..compiler import Body, KernelFeatures, build_twin
from ..compiler.emitter import Emitter
from ..compiler.plan import PLANS
from ..errors import ModelError, NotSupported, VerifierError
from ..network import QuantizedNetwork
from ..network.encoding import encode
from ..obj.asm import R0
from ..plugin import Trigger
from ..session import Session
from ..session.compiling import compile_here
from .runner import Runner

EMPTY, NAIVE, TWIN, COMPILED = "empty", "naive", "twin", "compiled"


class KernelRunner(Runner):
    """Runs a session's network; the clock is the kernel's, read before the first run and after the last.

    What the figure holds besides the network, the row "empty" tells: the loop, finding a sample, and delivering its scores.
    """

    def __init__(self, name: str, session: Session) -> None:
        super().__init__(name, len(session.network.labels))
        self.session, self._slot = session, session.slot()
        if session.batch is None:
            raise NotSupported(f"trigger '{session.trigger.name}' runs one sample per event; the benchmark needs trigger 'run'")
        self._batch = session.batch
        self.exact = None if name == EMPTY else True

    def load(self, samples: NDArray[np.uint8]) -> None:
        self._encoded = encode(self.session.network.input, samples)
        self._scores = np.zeros((len(samples), self.classes), np.int32)
        self._labels = np.zeros(len(samples), np.uint32)
        self._batch.samples[...] = self._encoded

    def run(self, runs: int) -> float:
        self._slot.run_batch(runs)
        self._scores[...], self._labels[...] = self._batch.scores, self._batch.labels
        return float(self._slot.elapsed_ns)

    def aim(self, index: int) -> None:
        self._index = index
        self._slot.sample[...] = self._encoded[index].reshape(self._slot.sample.shape)

    def run_one(self) -> float:
        self._slot.run()
        self._scores[self._index], self._labels[self._index] = self._slot.scores, self._slot.label
        return float(self._slot.elapsed_ns)

    def scores(self, count: int) -> NDArray[np.int32]:
        return self._scores[:count]

    def labels(self, count: int) -> NDArray[np.uint32]:
        return self._labels[:count]


def kernel_runners(
    network: QuantizedNetwork, trigger: Trigger, images: int, repeats: int, held: ExitStack
) -> Iterator[KernelRunner]:
    """A row a body, but for those in C that the verifier does not walk: what is measured may take more than it.

    One event runs ``images`` samples up to ``repeats`` times. ``held`` closes the sessions.
    """
    for name, form, body in _bodies(network):
        try:
            session = Session(form, trigger, body=body, batch=images, repeats=repeats)
        except VerifierError as refusal:
            if name not in (NAIVE, TWIN) or refusal.errno != errno.E2BIG:
                raise
            continue
        yield KernelRunner(name, held.enter_context(session))


def empty_body() -> Body:
    """``ebpfnn_infer`` that does nothing: what is left is the harness."""
    emit = Emitter(KernelFeatures())
    emit.mov(R0, 0)
    emit.exit()
    return Body(emit.spec(EMPTY), 0)


def _bodies(network: QuantizedNetwork) -> Iterator[tuple[str, QuantizedNetwork, Body]]:
    """By the name of its row: the network, which may take samples in another form, and what computes it."""
    yield EMPTY, network, empty_body()
    for name, naive in ((NAIVE, True), (TWIN, False)):
        try:
            yield name, network, build_twin(network, naive=naive)
        except ModelError:
            continue  # too much for C; the compiler takes it
    chosen = compile_here(network)
    yield COMPILED, network, chosen
    seen = [_code(chosen)]
    for plan in PLANS:
        compiled = compile_here(network, plan)
        if _code(compiled) not in seen:
            seen.append(_code(compiled))
            yield f"{COMPILED}:{plan}", network, compiled
    if network.input.bits < 8 and not network.input.packed:
        packed = replace(network, input=replace(network.input, packed=True))
        yield f"{COMPILED}:packed", packed, compile_here(packed)


def _code(body: Body) -> bytes:
    return body.spec.functions[INFER].code
