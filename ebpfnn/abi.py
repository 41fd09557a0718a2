"""How a sample and a result lie in a map: the twin of bpf/include/ebpfnn/abi.h."""

from __future__ import annotations

import numpy as np

from .network import MAX_CLASSES

MAX_SLOTS = 64
"""Callers that one loaded network serves at a time: EBPFNN_MAX_SLOTS."""

RESULT = np.dtype(
    [
        ("sequence", np.uint64),
        ("elapsed_ns", np.uint64),
        ("status", np.int32),
        ("label", np.uint32),
        ("scores", np.int32, (MAX_CLASSES,)),
    ]
)
"""``struct ebpfnn_result``. In the map, a network's workspace lies behind it."""

INFER = "ebpfnn_infer"
"""The function that a shell calls and a network is: ``int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""

SAMPLES, RESULTS, CALLERS = "samples", "results", "callers"
"""The maps of a shell: samples and results by slot; and, where events come from threads, slots by thread id."""


def padded(size: int) -> int:
    """``size`` bytes rounded up to whole 64-bit words, as a slot's memory is."""
    return (size + 7) // 8 * 8
