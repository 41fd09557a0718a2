"""The ways that a network runs in the kernel: bodies, for the features that kernels have, and the triggers around them.

A body of another kind (of trees, of tables) joins by a function in :data:`KINDS`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from ebpfnn_plugins.xdp import XdpTrigger

from ebpfnn import QuantizedNetwork
from ebpfnn.compiler import Body, KernelFeatures, build_twin, compile_network
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.plan import PLANS
from ebpfnn.compiler.twin import verifier_steps
from ebpfnn.errors import NotSupported
from ebpfnn.kernel.features import has_callback_loops, has_sign_extension
from ebpfnn.kernel.load.btf import vmlinux
from ebpfnn.obj import Kind
from ebpfnn.plugin import Trigger

from .formats import Random, pick

RUN, RUN_BY_XDP, TRACEPOINT = "run", "run by XDP", "tracepoint"
TRIGGERS: dict[str, Callable[[], Trigger]] = {
    RUN: RunTrigger,
    RUN_BY_XDP: partial(RunTrigger, by_xdp=True),
    TRACEPOINT: TracepointTrigger,
    "xdp": XdpTrigger,
    "tc": TcTrigger,
    "cgroup-skb": CgroupSkbTrigger,
}
OTHERS = [name for name in TRIGGERS if name != RUN]
ANSWERING = ("xdp", "tc")
_MOST_STEPS = 250_000
"""What a verifier walks in a quarter of a second: a network that is more in C is left to the compiler."""


@dataclass(frozen=True)
class Way:
    """``build`` makes ``ebpfnn_infer``, or raises :class:`~ebpfnn.errors.ModelError`."""

    name: str
    build: Callable[[], Body]


def ways(network: QuantizedNetwork, random: Random) -> Iterator[Way]:
    for kind in KINDS:
        yield from kind(network, random)


def _compiled(network: QuantizedNetwork, random: Random) -> Iterator[Way]:
    for name, features in {**_feature_sets(), "drawn": _drawn(random)}.items():
        for plan in (None, *PLANS):
            yield Way(f"compiled, {name}, plan {plan}", partial(compile_network, network, features, plan))
        yield Way(f"compiled, {name}, tight", partial(compile_network, network, features, tight=True))


def _in_c(network: QuantizedNetwork, random: Random) -> Iterator[Way]:
    del random
    if verifier_steps(network) <= _MOST_STEPS:
        for naive in (False, True):
            yield Way("naive" if naive else "twin", partial(build_twin, network, naive=naive))


KINDS: tuple[Callable[[QuantizedNetwork, Random], Iterator[Way]], ...] = (_compiled, _in_c)


def likeness(body: Body) -> bytes:
    """The same for bodies that are the same in the kernel, which need not be loaded twice."""
    spec = body.spec
    return pickle.dumps((spec.functions, spec.maps, body.workspace))


def _drawn(random: Random) -> KernelFeatures:
    """Any features together, which no kernel needs to have."""
    drawn = [pick(random, [True, False]) for _ in range(4)]
    return that_are_here(KernelFeatures(*drawn))


@cache
def _feature_sets() -> dict[str, KernelFeatures]:
    """Of each set, those that this kernel has."""
    sets = {"newest": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}
    return {name: that_are_here(features) for name, features in sets.items()}


def that_are_here(features: KernelFeatures) -> KernelFeatures:
    """Of ``features``, those that this kernel has."""
    return replace(
        features,
        iterators=features.iterators and _has_iterators(),
        callbacks=features.callbacks and has_callback_loops(),
        sign_extension=features.sign_extension and has_sign_extension(),
    )


@cache
def _has_iterators() -> bool:
    try:
        return vmlinux().find("bpf_iter_num_new", Kind.FUNC) is not None
    except NotSupported:
        return False
