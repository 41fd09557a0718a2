"""What stands behind ``ebpfnn_infer``, whichever compiler made it."""

from __future__ import annotations

from dataclasses import dataclass

from ..obj import ObjectSpec


@dataclass(frozen=True)
class Body:
    """An object that defines ``ebpfnn_infer``, and how many bytes behind each ``struct ebpfnn_result`` it computes in."""

    spec: ObjectSpec
    workspace: int
