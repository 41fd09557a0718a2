"""The encoders that come with ebpfnn. docs/preparation.md defines them."""

from __future__ import annotations

from collections.abc import Iterable

from ebpfnn.plugin import hookimpl
from ebpfnn.preparation import Encoder
from ebpfnn.preparation.encoder import BUILT_IN


@hookimpl
def ebpfnn_encoders() -> Iterable[Encoder]:
    return BUILT_IN.values()
