"""Rows in the kernel: every body of a model behind the run trigger, which computes thousands of samples an event."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from ..abi import INFER
from ..bodies import kind_of
from ..compiler import Body, KernelFeatures, build_twin
from ..compiler.emitter import Emitter
from ..errors import ModelError, NotSupported, VerifierError
from ..network import QuantizedNetwork
from ..network.cascades import unpacked
from ..network.encoding import encode
from ..network.model import Model
from ..obj import insn
from ..obj.asm import R0
from ..plugin import Plugins, Trigger
from ..session import Session
from ..session.compiling import compile_here
from ..trees import Forest
from . import tree_c
from .rows import EMPTY, CodeSize
from .runner import Runner
from .table_form import packed_form

NAIVE, TWIN, CLANG, COMPILED = "naive", "twin", "clang", "compiled"


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
        self.takes = "packed" if session.source().input.packed else "u8"

    def code(self) -> CodeSize | None:
        """The network is loaded once more for it, with a batch of one sample: the shell's loop over samples is walked too."""
        if self.name.partition(":")[0] != COMPILED:
            return None
        return code_size(self.session.source(), self.session.trigger, self.session.body, 1)

    def load(self, samples: NDArray[np.uint8]) -> None:
        """Fewer samples than the batch holds are repeated in it."""
        self._encoded = encode(self.session.network.input, samples)
        self._scores = np.zeros((len(samples), self.classes), np.int32)
        self._labels = np.zeros(len(samples), np.uint32)
        self._batch.samples[...] = np.resize(self._encoded, self._batch.samples.shape)

    def run(self, runs: int) -> float:
        self._slot.run_batch(runs)
        count = min(len(self._scores), runs)
        self._scores[:count], self._labels[:count] = self._batch.scores[:count], self._batch.labels[:count]
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
    network: Model,
    trigger: Trigger,
    images: int,
    repeats: int,
    held: ExitStack,
    left_out: dict[str, str],
    plugins: Plugins | None = None,
) -> Iterator[KernelRunner]:
    """A row a body, but for those in C that the verifier does not walk: what is measured may take more than it.

    One event runs ``images`` samples up to ``repeats`` times. ``held`` closes the sessions. ``left_out`` gets the reason for
    each row that does not exist, by its name. ``plugins`` are those of :func:`ebpfnn.bodies.kind_of`.
    """
    for name, form, body in _bodies(network, left_out, plugins):
        try:
            session = Session(form, trigger, body=body, batch=images, repeats=repeats)
        except VerifierError as refusal:
            if name not in (NAIVE, TWIN, CLANG) or refusal.errno != errno.E2BIG:
                raise
            left_out[name] = str(refusal)
            continue
        yield KernelRunner(name, held.enter_context(session))


def code_size(network: Model, trigger: Trigger, compiled: Body, batch: int | None = None) -> CodeSize:
    """What a compiled model takes, and how long linking and loading it took. Raises as :class:`~ebpfnn.session.Session`."""
    begun = time.perf_counter()
    with Session(network, trigger, body=compiled, batch=batch) as session:
        elapsed = time.perf_counter() - begun
        (program,) = session.loaded.programs.values()
        return CodeSize(instructions(compiled), program.info().verified_insns, table_bytes(compiled), 1000 * elapsed)


def instructions(body: Body) -> int:
    """How many the body has."""
    return sum(len(function.code) for function in body.spec.functions.values()) // insn.SIZE


def table_bytes(body: Body) -> int:
    """Bytes of the constants that the body reads."""
    return sum(table.value_size for table in body.spec.maps.values())


def empty_body() -> Body:
    """``ebpfnn_infer`` that does nothing: what is left is the harness."""
    emit = Emitter(KernelFeatures())
    emit.mov(R0, 0)
    emit.exit()
    return Body(emit.spec(EMPTY), 0)


def _bodies(model: Model, left_out: dict[str, str], plugins: Plugins | None) -> Iterator[tuple[str, Model, Body]]:
    """By the name of its row: the model, which may take samples in another form, and what computes it."""
    yield EMPTY, model, empty_body()
    yield from _in_c(model, left_out, plugins)
    chosen = compile_here(model, plugins=plugins)
    yield COMPILED, model, chosen
    seen = [_code(chosen)]
    for plan in kind_of(model, plugins).plans:
        name = f"{COMPILED}:{plan}"
        try:
            compiled = compile_here(model, plan, plugins)
        except ModelError as reason:
            left_out[name] = str(reason)
            continue
        if _code(compiled) not in seen:
            seen.append(_code(compiled))
            yield name, model, compiled
    if isinstance(model, QuantizedNetwork):
        yield from _other_samples(model, left_out)


def _in_c(model: Model, left_out: dict[str, str], plugins: Plugins | None) -> Iterator[tuple[str, Model, Body]]:
    """The bodies that clang built, or builds for a forest. Only a network has a plain one."""
    named: dict[str, Callable[[], Body]] = {TWIN: lambda: kind_of(model, plugins).twin(model)}
    if isinstance(model, QuantizedNetwork):
        named = {NAIVE: lambda: build_twin(model, naive=True), **named}
    if isinstance(model, Forest):
        named[CLANG] = lambda: tree_c.body(model)
    for name, build in named.items():
        try:
            yield name, model, build()
        except (ModelError, NotSupported) as reason:  # too much for C, or layers that it does not have; the compiler takes it
            left_out[name] = str(reason)


def _other_samples(network: QuantizedNetwork, left_out: dict[str, str]) -> Iterator[tuple[str, Model, Body]]:
    """The same network for packed samples, or for a byte a value."""
    if network.input.packed:
        name, other = f"{COMPILED}:u8", unpacked
    elif network.input.bits < 8:
        name, other = f"{COMPILED}:packed", packed_form
    else:
        return
    try:
        form = other(network)
        yield name, form, compile_here(form)
    except (ModelError, NotSupported) as reason:
        left_out[name] = str(reason)


def _code(body: Body) -> bytes:
    return body.spec.functions[INFER].code
