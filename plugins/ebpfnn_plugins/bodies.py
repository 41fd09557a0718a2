"""The kinds of models that come with ebpfnn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ebpfnn.bodies import BUILT_IN
from ebpfnn.plugin import BodyKind, hookimpl


@hookimpl
def ebpfnn_bodies() -> Iterable[BodyKind[Any]]:
    return BUILT_IN.values()
