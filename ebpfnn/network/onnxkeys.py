"""Under which keys an ONNX file that ebpfnn wrote says, as JSON, what its graph does not (``ModelProto.metadata_props``)."""

from __future__ import annotations

PRODUCER = "ebpfnn"
LABELS = "labels"
EVENTS, PREPARATION = "ebpfnn.events", "ebpfnn.preparation"
"""The spec that the network carries, and how its samples are made; both only for a network that carries a spec."""
