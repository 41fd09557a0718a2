"""The preparation ``raw``: takes values unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ebpfnn.plugin import InputFormat, PreparationKind, hookimpl
from ebpfnn.preparation import Item, Prepared
from ebpfnn.preparation.values import unprepared


class Raw(PreparationKind):
    name = "raw"
    summary = "values as they lie; pictures only where they have as many pixels"

    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        return lambda item: (Prepared(unprepared(item, form.shape)),)


@hookimpl
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    return [Raw()]
