"""Whether a kernel takes a model, and what it takes there: found by loading it, or else by estimates of the compiler."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from ..bench.kernel_rows import table_bytes
from ..bodies import kind_of
from ..compiler import Body, Compiled, KernelFeatures
from ..compiler.executed import expected_ns
from ..compiler.features import BY_NAME, NEWEST
from ..errors import ModelError, NotSupported, PermissionDenied, VerifierError
from ..network import QuantizedNetwork
from ..network.model import Model
from ..plugin import Plugins
from ..session import Session
from ..session.compiling import compile_here

_SAMPLES, _ROUNDS = 4, 3


@dataclass(frozen=True)
class Forecast:
    """What a model takes in a kernel; ``refusal`` says why the kernel does not take it, and what helps.

    With ``loaded``, this kernel has loaded and run it: ``verified`` instructions, ``load_ms``, and ``ns`` of an inference of
    noise are measured. Else they are estimates, ``load_ms`` is None, and ``reason`` says why. ``branches`` is the estimate of
    the branches that the verifier puts off at a time. ``stack``, ``workspace`` and ``tables`` are bytes. What the kind of model
    does not tell is None.
    """

    loaded: bool = False
    refusal: str = ""
    reason: str = ""
    verified: int | None = None
    load_ms: float | None = None
    ns: float | None = None
    branches: int | None = None
    stack: int | None = None
    workspace: int = 0
    tables: int = 0


def forecast(model: Model, plugins: Plugins, kernel: str | None = None) -> Forecast:
    """What ``model`` takes in a kernel that has the features of ``kernel``.

    That is a key of :data:`~ebpfnn.compiler.features.BY_NAME`; None is this kernel, which loads the model if this process may,
    and unloads it.
    """
    try:
        if kernel is not None:
            return _estimated(model, plugins, BY_NAME[kernel], "")
        return _here(model, plugins)
    except ModelError as refusal:
        return Forecast(refusal=str(refusal))


def _here(model: Model, plugins: Plugins) -> Forecast:
    try:
        body = compile_here(model, plugins=plugins)
    except PermissionDenied as lack:
        return _estimated(model, plugins, NEWEST, str(lack))
    found = _told(model, body)
    samples = np.random.default_rng(1).integers(0, 256, (_SAMPLES, *model.input.shape), np.uint8)
    begun = time.perf_counter()
    try:
        with Session(model, plugins.trigger("run"), body=body, batch=_SAMPLES, plugins=plugins) as session:
            elapsed = 1000 * (time.perf_counter() - begun)
            (program,) = session.loaded.programs.values()
            times = [session.infer_many(samples).elapsed_ns or 0 for _ in range(_ROUNDS)]
            figures = {"verified": program.info().verified_insns, "load_ms": elapsed, "ns": min(times) / _SAMPLES}
            return replace(found, loaded=True, **figures)
    except (NotSupported, PermissionDenied) as lack:
        return replace(found, reason=str(lack))
    except VerifierError as refusal:
        return replace(found, refusal=str(refusal))


def _estimated(model: Model, plugins: Plugins, features: KernelFeatures, reason: str) -> Forecast:
    return replace(_told(model, kind_of(model, plugins).compile(model, features, None)), reason=reason)


def _told(model: Model, body: Body) -> Forecast:
    """What the compiler says of ``body``."""
    found = Forecast(workspace=body.workspace, tables=table_bytes(body))
    if not isinstance(body, Compiled) or not isinstance(model, QuantizedNetwork):
        return found
    return replace(
        found,
        verified=sum(layer.walked for layer in body.layers),
        branches=sum(layer.forks for layer in body.layers),
        ns=expected_ns(model, body.plan),
        stack=body.stack,
    )
