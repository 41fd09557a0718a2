"""What is built apart and has to fit together: its version, and how a sample and a result lie in a map.

It is the twin of bpf/include/ebpfnn/abi.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

VERSION = 2
"""EBPFNN_ABI: one number for shells, plugins' Python, instances in the kernel and model files (docs/plugins.md)."""

UNNUMBERED = 1
"""What is taken for the version of an instance that carries none: they are from before there was one."""

VARIABLE = "ebpfnn_abi"
"""The variable in which a shell carries the version that it was built for."""

MAX_SCORES = 64
"""Scores of a result, and so classes of a network: EBPFNN_MAX_SCORES."""

MAX_SLOTS = 64
"""Callers that one loaded network serves at a time: EBPFNN_MAX_SLOTS."""

RESULT = np.dtype(
    [
        ("sequence", np.uint64),
        ("elapsed_ns", np.uint64),
        ("status", np.int32),
        ("label", np.uint32),
        ("scores", np.int32, (MAX_SCORES,)),
    ]
)
"""``struct ebpfnn_result``. In the map, a network's workspace lies behind it."""

CHECKING, CHECKED = 1 << 63, 1 << 62
"""EBPFNN_CHECKING and EBPFNN_CHECKED, bits of a sequence: where the first is set, a run changes the second, uncounted."""

CHECK = "ebpfnn_check"
"""The map of packet.h that holds the sequence number of requests that are checks, u32; 0 for none."""

INFER = "ebpfnn_infer"
"""The function that a shell calls and a network is: ``int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""

SAMPLES, RESULTS = "ebpfnn_samples", "ebpfnn_results"
CALLERS, OUTPUTS = "ebpfnn_callers", "ebpfnn_outputs"
"""The maps of a shell: samples and results by slot; where events come from threads, slots by thread id; and where one event
computes many samples, which then lie behind those of the slots, what becomes of each."""

WATCH, EVENTS = "ebpfnn_watch", "ebpfnn_events"
"""The maps through which watchers are told of inferences: :data:`WATCHED`, and a ring buffer of :data:`EVENT`."""

BATCH, MOST_RUNS = "ebpfnn_batch", "ebpfnn_most_runs"
CLASSES, SAMPLE_BYTES = "ebpfnn_classes", "ebpfnn_sample_bytes"
"""The variables that a shell may have: samples in a batch, runs that one event may ask for, scores of a sample, its bytes."""

NETWORK_ID = "ebpfnn_network_id"
"""The variable of a shell that tells networks apart by name: the name's CRC-32 (:func:`ebpfnn.remote.protocol.network_id`)."""

PIDNS_DEV, PIDNS_INO = "ebpfnn_pidns_dev", "ebpfnn_pidns_ino"
"""The variables of task.h: st_dev and st_ino of the PID namespace whose thread ids are the keys of the callers."""

NETWORK = "ebpfnn_network"
"""The variable of every shell that says which of two networks it has, where one is swapped for the other."""

EVENT = np.dtype(
    [
        ("time_ns", np.uint64),
        ("elapsed_ns", np.uint64),
        ("source", np.uint64),
        ("status", np.int32),
        ("label", np.uint32),
        ("score", np.int32),
        ("network", np.uint32),
    ]
)
"""``struct ebpfnn_event``."""

WATCHED = np.dtype([("until_ns", np.uint64), ("lost", np.uint64)])
"""``struct ebpfnn_watch``."""


def offset(name: str) -> int:
    """Where a field of :data:`RESULT` lies, in bytes."""
    fields: Mapping[str, Any] = RESULT.fields or {}
    at: int = fields[name][1]
    return at


def output(classes: int) -> np.dtype[np.void]:
    """``struct output`` of bpf/run.bpf.c: what becomes of one sample of a batch."""
    return np.dtype([("label", np.uint32), ("scores", np.int32, (classes,))])


def padded(size: int) -> int:
    """``size`` bytes rounded up to whole 64-bit words, as a slot's memory is."""
    return (size + 7) // 8 * 8
