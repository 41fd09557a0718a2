"""Compiles a network for the running kernel, according to the features that it is found to have."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from ..bodies import kind_of
from ..compiler import Body, KernelFeatures
from ..errors import NotSupported
from ..kernel.features import KMALLOC_LARGEST, has_callback_loops, has_large_values, has_sign_extension
from ..kernel.load.btf import vmlinux
from ..network.model import Model
from ..obj import Kind
from ..plugin import Plugins

_LOG = logging.getLogger(__name__)


def compile_here(network: Model, plan: str | None = None, plugins: Plugins | None = None) -> Body:
    """``ebpfnn_infer`` for ``network`` in instructions that this kernel accepts.

    ``plan`` is one of those of its kind. ``plugins`` have the kinds of models that are not built in; None: the installed ones.

    Slow probes, such as reading the kernel's functions (some 20 ms), are made only if the code depends on them.

    Raises :class:`~ebpfnn.errors.ModelError` as :meth:`~ebpfnn.compiler.BodyKind.compile`,
    :class:`~ebpfnn.errors.PermissionDenied` if this process may not probe.
    """
    begun, kind = time.perf_counter(), kind_of(network, plugins)
    features, found = None, KernelFeatures(sign_extension=has_sign_extension())
    while features != found:
        features = found
        compiled = kind.compile(network, features, plan)
        found = _of_this_kernel(features, compiled)
    elapsed = 1000 * (time.perf_counter() - begun)
    _LOG.info("model '%s' compiled in %.0f ms; plan: %s", network.name, elapsed, compiled.told or "the only one")
    return compiled


def _of_this_kernel(hoped: KernelFeatures, compiled: Body) -> KernelFeatures:
    """Those of ``hoped`` that the kernel has, of what ``compiled`` depends on. Other code may depend on others."""
    iterators = hoped.iterators and _has_functions(compiled)
    callbacks = hoped.callbacks and (iterators or has_callback_loops())
    large = hoped.large_values and _takes_tables(compiled)
    return replace(hoped, iterators=iterators, callbacks=callbacks, large_values=large)


def _has_functions(compiled: Body) -> bool:
    """Whether the kernel has every function that the code calls."""
    try:
        return all(vmlinux().find(name, Kind.FUNC) is not None for name in compiled.spec.kernel_symbols)
    except NotSupported:
        return False


def _takes_tables(compiled: Body) -> bool:
    largest = max((table.value_size for table in compiled.spec.maps.values()), default=0)
    return largest <= KMALLOC_LARGEST or has_large_values()
