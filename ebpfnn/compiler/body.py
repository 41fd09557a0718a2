"""The body of ``ebpfnn_infer``, whichever compiler made it."""

from __future__ import annotations

from dataclasses import dataclass

from ..obj import ObjectSpec


@dataclass(frozen=True)
class Body:
    """An object that defines ``ebpfnn_infer``, and the bytes of workspace that it needs after ``struct ebpfnn_result``."""

    spec: ObjectSpec
    workspace: int

    @property
    def told(self) -> str:
        """The plan that the code follows, for logs; "" if there was nothing to choose."""
        return ""
