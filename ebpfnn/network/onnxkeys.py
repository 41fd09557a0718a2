"""Under which keys an ONNX file that ebpfnn wrote says, as JSON, what its graph does not (``ModelProto.metadata_props``)."""

from __future__ import annotations

PRODUCER = "ebpfnn"
LABELS = "labels"
SCORES = "scores"
"""The output of a graph of integers: the exact scores, int32. Other graphs have none of that name."""
RESULT = "ebpfnn.result"
"""What the scores say, as ``Model.result``; only for other results than labels."""
EVENTS, PREPARATION = "ebpfnn.events", "ebpfnn.preparation"
"""The spec that the network carries, and how its samples are made; both only for a network that carries a spec."""
