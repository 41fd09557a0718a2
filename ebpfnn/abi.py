"""The ABI of parts that are built separately: its version, and the memory layout of samples and results in a map.

It is the twin of bpf/include/ebpfnn/abi.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

VERSION = 2
"""EBPFNN_ABI: one number for shells, plugins' Python, instances in the kernel and model files (docs/plugins.md)."""

UNNUMBERED = 1
"""The version of an instance that has no version: it is from before versions existed."""

VARIABLE = "ebpfnn_abi"
"""The variable of a shell that holds the version that it was built for."""

MAX_SCORES = 64
"""The most scores of a result, and so the most classes of a network: EBPFNN_MAX_SCORES."""

RESULT_KINDS: Mapping[str, int] = {"label": 0, "value": 1, "anomaly": 2, "vector": 3}
"""EBPFNN_RESULT_LABEL and the others, by the names of :data:`ebpfnn.network.model.RESULTS`."""

RESULT_KIND = "ebpfnn_result_kind"
"""The variable that a shell may have for one of :data:`RESULT_KINDS`, u32: the loader sets it."""

MAX_SLOTS = 64
"""The most callers that one loaded network serves at a time: EBPFNN_MAX_SLOTS."""

RESULT = np.dtype(
    [
        ("sequence", np.uint64),
        ("elapsed_ns", np.uint64),
        ("status", np.int32),
        ("label", np.uint32),
        ("scores", np.int32, (MAX_SCORES,)),
    ]
)
"""``struct ebpfnn_result``. In the map, it is followed by the workspace of the network."""

CHECKING, CHECKED = 1 << 63, 1 << 62
"""EBPFNN_CHECKING and EBPFNN_CHECKED, bits of a sequence: where the first is set, a run changes the second, uncounted."""

CHECK = "ebpfnn_check"
"""The map of packet.h that holds the sequence number of requests that are checks, u32; 0 for none."""

INFER = "ebpfnn_infer"
"""The function that a shell calls and a network defines: ``int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""

SAMPLES, RESULTS = "ebpfnn_samples", "ebpfnn_results"
CALLERS, OUTPUTS = "ebpfnn_callers", "ebpfnn_outputs"
"""The maps of a shell: samples and results by slot; slots by thread id; and the outputs of a batch.

Only shells whose events happen in threads have slots by thread id. The samples of a batch, many samples for one event, follow
those of the slots.
"""

WATCH, EVENTS = "ebpfnn_watch", "ebpfnn_events"
"""The maps for watchers: :data:`WATCHED`, and a ring buffer of :data:`EVENT`."""

BATCH, MOST_RUNS = "ebpfnn_batch", "ebpfnn_most_runs"
CLASSES, SAMPLE_BYTES = "ebpfnn_classes", "ebpfnn_sample_bytes"
"""The variables that a shell may have: samples in a batch, the most runs per event, scores of a sample, bytes of a sample."""

NETWORK_ID = "ebpfnn_network_id"
"""The variable of a shell with the id of the network: CRC-32 of its name (:func:`ebpfnn.remote.protocol.network_id`)."""

PIDNS_DEV, PIDNS_INO = "ebpfnn_pidns_dev", "ebpfnn_pidns_ino"
"""The variables of task.h: st_dev and st_ino of the PID namespace whose thread ids are the keys of the callers."""

NETWORK = "ebpfnn_network"
"""The variable of every shell that has the number of swaps before its network."""

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

STATES, VERDICTS, ROWS, COUNTS = "ebpfnn_states", "ebpfnn_verdicts", "ebpfnn_rows", "ebpfnn_counts"
LABELS, SCRATCH, CLOCK = "ebpfnn_classes", "ebpfnn_scratch", "ebpfnn_clock"
"""The maps of an observer: states by key; :data:`VERDICT` by key; a ring buffer of records and rows; for each CPU :data:`COUNT`
of each event, and the inferences by label, u64 [:data:`MAX_SCORES`]; the memory of one program; and the clock of a replay.

Programs of one spec share all of these but the memory.
"""

REPLAYING = "ebpfnn_replaying"
"""The variable of an event shell, u32: if it is not 0, the time of an event is what :data:`CLOCK` has, u64 ns."""

VERDICT = np.dtype(
    [
        ("time_ns", np.uint64),
        ("elapsed_ns", np.uint64),
        ("label", np.uint32),
        ("margin", np.int32),
        ("network", np.uint32),
        ("number", np.uint32),
    ]
)
"""``struct ebpfnn_verdict``."""

COUNTED = ("observed", "created", "restarted", "ended", "unstored", "frozen", "rows", "inferences", "failed", "lost")
COUNT = np.dtype([(name, np.uint64) for name in COUNTED])
"""``struct ebpfnn_counts``."""

ACT = 1 << 16
"""EBPFNN_ACT: what the observer returns has this bit, beside the label plus 1, if the event is to be acted on."""

GUARDED, CONTROL, ACTIONS, WINDOW = "ebpfnn_guarded", "ebpfnn_control", "ebpfnn_actions", "ebpfnn_window"
"""The maps of a guard: :data:`KEPT` by key; :data:`CONTROLLED`; for each CPU :data:`ACTED` by label plus 1, and
:data:`WINDOWED`."""

ACTION = "ebpfnn_act"
"""The function that the shell of a guard calls and an action defines."""

FIELD_BYTES, EVENT_INDEX = "ebpfnn_field_bytes", "ebpfnn_event_index"
OF_ACTIONS = (FIELD_BYTES, EVENT_INDEX, NETWORK)
"""The variables that the object of an action may have, u32: the bytes of the fields of its event, the index of the event in the
spec, and the number of swaps before. The loader sets them.
"""

ALERTS, ALERTED = "ebpfnn_alerts", "ebpfnn_alerted"
"""The maps of an action that tells of events (``alert.h``): a ring buffer of :data:`ALERT`, each with the fields of the event
behind it, and for each CPU :data:`TOLD`.
"""

ALERT = np.dtype(
    [("time_ns", np.uint64), ("event", np.uint32), ("label", np.uint32), ("network", np.uint32), ("bytes", np.uint32)]
)
"""``struct ebpfnn_alert``."""

TOLD = np.dtype([(name, np.uint64) for name in ("second", "passed", "told", "suppressed", "lost")])
"""``struct ebpfnn_alerted``."""

KEPT = np.dtype([("until_ns", np.uint64), ("streak", np.uint32), ("label", np.uint32)])
"""``struct ebpfnn_kept``."""

CONTROLLED = np.dtype([("until_ns", np.uint64), ("paused", np.uint64)])
"""``struct ebpfnn_control``."""

REASONS = ("acted", "audited", "paused", "capped", "allowed")
ACTED = np.dtype([(name, np.uint64) for name in REASONS])
"""``struct ebpfnn_acted``."""

CGROUP, FAMILY, OUTCOMES = "ebpfnn_cgroup", "ebpfnn_family", "ebpfnn_outcomes"
"""The maps of a guard of threads: the cgroup that they are in; the start (ns, u64) of each process that is never hit, by its id
(s32); and for each CPU :data:`OUTCOME`."""

CONFINED = "ebpfnn_confined"
"""The variable of its shell, u32: if it is not 0, only threads in that cgroup are observed."""

MAY_HIT = "ebpfnn_may_hit"
"""The function of its shell that an action calls which harms the current thread."""

RESULTS_OF_HITS = ("hit", "failed", "exempt", "outside")
OUTCOME = np.dtype([(name, np.uint64) for name in RESULTS_OF_HITS])
"""``struct ebpfnn_outcomes``."""

WINDOWED = np.dtype([("number", np.uint64), ("base", np.uint64), ("acted", np.uint64)])
"""``struct ebpfnn_window``."""

CASES, RECORDED = "ebpfnn_cases", "ebpfnn_recorded"
"""The other maps of a guard: cases, each a :data:`RECORD`, the key, the results and a :data:`CASE`; and how many there were."""

CASE = np.dtype([("label", np.uint32), ("margin", np.int32), ("network", np.uint32), ("reason", np.uint32)])
"""``struct ebpfnn_case``. Its ``reason`` is an index of ``REASONS``."""

RECORD = np.dtype([("event", np.uint32), ("number", np.uint32), ("time_ns", np.uint64)])
"""``struct ebpfnn_record``. Fields of the event follow, or the key and the results of a row."""


def offset(name: str) -> int:
    """The offset of a field of :data:`RESULT`, in bytes."""
    fields: Mapping[str, Any] = RESULT.fields or {}
    at: int = fields[name][1]
    return at


def output(classes: int) -> np.dtype[np.void]:
    """``struct output`` of bpf/run.bpf.c: the result of one sample of a batch."""
    return np.dtype([("label", np.uint32), ("scores", np.int32, (classes,))])


def padded(size: int) -> int:
    """``size`` bytes rounded up to whole 64-bit words, as a slot's memory is."""
    return (size + 7) // 8 * 8
