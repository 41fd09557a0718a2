"""The preparation ``glyph``: pictures of one written character, converted to look like MNIST's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ebpfnn.errors import ModelError, PluginError, nearest
from ebpfnn.plugin import InputFormat, Picture, PreparationKind, Prepared, hookimpl
from ebpfnn.preparation import Item
from ebpfnn.preparation.values import unprepared

if TYPE_CHECKING:
    from ebpfnn.preparation.glyph import Glyph

_YES_NO = ("yes", "no")
_CHOICES = {
    "ink": ("light", "dark"),
    "polarity": ("auto", "light-on-dark", "dark-on-light"),
    "ground": ("local", "none"),
    "crop": _YES_NO,
    "center": ("mass", "box"),
    "widen": _YES_NO,
}
"""The values of each option, the default first."""
_HELP = {
    "ink": "Ink of the network's samples",
    "polarity": "How the ink of pictures differs from its ground",
    "ground": "Whether shadows are removed",
    "crop": "Crop to the character, and scale it as in MNIST",
    "center": "Center by mass or by bounding box",
    "widen": "Widen thin strokes",
}


class GlyphKind(PreparationKind):
    name = "glyph"
    summary = "a written character: polarity, ground, crop and center as in MNIST"
    options: Mapping[str, str] = {
        key: f"{_HELP[key]}: {', '.join(choices)}. [default: {choices[0]}]" for key, choices in _CHOICES.items()
    }

    def bind(self, form: InputFormat, *, split: bool = False) -> Callable[[Item], Sequence[Prepared]]:
        if len(form.shape) != 2:
            given = "x".join(map(str, form.shape))
            raise ModelError(f"preparation 'glyph': the network takes {given}; use one that takes rows and columns")
        try:
            options = {**{key: choices[0] for key, choices in _CHOICES.items()}, **self.chosen(form.preparation.options)}
        except PluginError as error:
            raise ModelError(str(error)) from error

        def prepare(item: Item) -> Sequence[Prepared]:
            if not isinstance(item, Picture):
                return (Prepared(unprepared(item, form.shape)),)
            return [_prepared(glyph, options["ink"]) for glyph in _glyphs(item, form.shape, options, split=split)]

        return prepare

    def chosen(self, options: Mapping[str, Any]) -> dict[str, Any]:
        for key, value in options.items():
            choices = _CHOICES.get(key, ())
            if value not in choices:
                known = ", ".join(choices) or f"none; options: {', '.join(_CHOICES)}"
                raise PluginError(
                    f"preparation 'glyph': {key} {value!r} is not known{nearest(str(value), choices)}; known: {known}"
                )
        return dict(options)


def _glyphs(item: Picture, shape: tuple[int, ...], options: Mapping[str, str], *, split: bool) -> Sequence[Glyph]:
    from ebpfnn.preparation.glyph import GlyphOptions, prepare_glyph, split_glyphs  # imported late: Pillow is slow to import

    told: dict[str, Any] = {key: options[key] for key in ("polarity", "ground", "center")}
    wanted = GlyphOptions(shape[0], shape[1], crop=options["crop"] == "yes", widen=options["widen"] == "yes", **told)
    gray = item.gray()
    return (split and split_glyphs(gray, wanted)) or [prepare_glyph(gray, wanted)]


def _prepared(glyph: Glyph, ink: str) -> Prepared:
    """The sample. It has a warning if the picture shows no digit, or more than one."""
    doubtful = tuple(note for note in glyph.notes if glyph.digits != 1 and note.startswith(("blank", "several")))
    notes = tuple(note for note in glyph.notes if note not in doubtful)
    return Prepared(glyph.pixels if ink == "light" else np.uint8(255) - glyph.pixels, notes, doubtful)


@hookimpl
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    return [GlyphKind()]
