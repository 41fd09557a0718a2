"""The preparation ``glyph``: pictures of one written character, made to look as MNIST's do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ebpfnn.errors import ModelError, PluginError
from ebpfnn.plugin import InputFormat, PreparationKind, hookimpl
from ebpfnn.preparation import Item, Picture, Prepared
from ebpfnn.preparation.values import unprepared

_INKS = ("light", "dark")


class Glyph(PreparationKind):
    name = "glyph"
    summary = "a written character: polarity, ground, crop and center as MNIST has them"
    options: Mapping[str, str] = {"ink": f"What the network learned: {' or '.join(_INKS)} ink. [default: {_INKS[0]}]"}

    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        ink = form.preparation.options.get("ink", _INKS[0])
        if len(form.shape) != 2 or ink not in _INKS:
            fact = f"the network takes {form.shape}" if len(form.shape) != 2 else f"ink {ink!r} is not known"
            raise ModelError(f"preparation 'glyph': {fact}, and a glyph has rows and columns of {' or '.join(_INKS)} ink")
        rows, columns = form.shape

        def prepare(item: Item) -> Sequence[Prepared]:
            if not isinstance(item, Picture):
                return (Prepared(unprepared(item, form.shape)),)
            from ebpfnn.preparation.handwriting import fit  # late: Pillow takes longer to import than most commands to run

            pixels, notes = fit(item.gray(), (rows, columns))
            warnings = tuple(note for note in notes if note == "blank")
            data = pixels if ink == "light" else np.uint8(255) - pixels
            return (Prepared(data, tuple(note for note in notes if note not in warnings), warnings),)

        return prepare

    def chosen(self, options: Mapping[str, str]) -> dict[str, str]:
        if options.get("ink", _INKS[0]) not in _INKS:
            raise PluginError(f"preparation 'glyph': ink {options['ink']!r} is not known; give {' or '.join(_INKS)}")
        return dict(options)


@hookimpl
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    return [Glyph()]
