"""The preparation ``picture``: resizes and converts to gray or color, and does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ebpfnn.errors import ModelError, PluginError
from ebpfnn.plugin import InputFormat, PreparationKind, hookimpl
from ebpfnn.preparation import Item, Picture, Prepared
from ebpfnn.preparation.resize import FITS, check_shape, resized
from ebpfnn.preparation.values import unprepared


class Resized(PreparationKind):
    name = "picture"
    summary = "pictures resized, in gray or color as the network takes them"
    options: Mapping[str, str] = {"fit": f"What becomes of another aspect ratio: {' or '.join(FITS)}. [default: {FITS[0]}]"}

    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        fit, misfit = form.preparation.options.get("fit", FITS[0]), check_shape(form.shape)
        if misfit or fit not in FITS:
            raise ModelError(f"preparation 'picture': {misfit or f'fit {fit!r} is none of ' + ', '.join(FITS)}; use raw")

        def prepare(item: Item) -> Sequence[Prepared]:
            if not isinstance(item, Picture):
                return (Prepared(unprepared(item, form.shape)),)
            columns, rows = item.image.size
            same = (rows, columns) == form.shape[-2:]
            notes = () if same else (f"{columns}x{rows} resized to {form.shape[-1]}x{form.shape[-2]}",)
            pixels = resized(item, form.shape, fit)
            return (Prepared(pixels, notes, ("blank",) if pixels.min() == pixels.max() else ()),)

        return prepare

    def chosen(self, options: Mapping[str, str]) -> dict[str, str]:
        if options.get("fit", FITS[0]) not in FITS:
            raise PluginError(f"preparation 'picture': fit {options['fit']!r} is not known; give {' or '.join(FITS)}")
        return dict(options)


@hookimpl
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    return [Resized()]
