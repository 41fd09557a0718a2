"""Chains that take the values of others, as the layers of a float network: a graph."""

from __future__ import annotations

from ..errors import ModelError
from ..network.graph import SAMPLE, Sources, chain
from ..network.layers import Shape
from ..quantize.floats import FloatLayer
from . import fold
from .steps import Chain, Join


def in_order(last: Chain) -> list[Chain]:
    """``last``, and all chains before it, each behind those whose values it takes."""
    found: dict[int, Chain] = {}
    waiting = [last]
    while waiting:
        missing = [each for each in waiting[-1].before if id(each) not in found]
        if missing:
            waiting.append(missing[0])
        else:
            done = waiting.pop()
            found[id(done)] = done
    return list(found.values())


def layers(last: Chain, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Shape, tuple[FloatLayer, ...], Sources]:
    """The shape of a sample, the layers of ``last`` and of all before it, and their sources, none for a chain.

    Raises :class:`ModelError` as :func:`.fold.fold`.
    """
    if not last.before:
        return *fold.fold(last, mean, std), ()
    made: list[FloatLayer] = []
    sources: list[tuple[int, ...]] = []
    ends: dict[int, tuple[int, fold.Folder]] = {}
    for each in in_order(last):
        before = [ends[id(one)] for one in each.before]
        folder = _behind(each, [one for _, one in before]) if before else fold.folded(each, mean, std)
        given = tuple(number for number, _ in before) or (SAMPLE,)
        for layer in folder.finish():
            sources.append(given)
            made.append(layer)
            given = (len(made) - 1,)
        ends[id(each)] = given[0], folder
    if not made:
        raise ModelError("has no layers; give a network with a Linear or Conv2d")
    shape = ends[id(last.root)][1].input_shape
    return shape, tuple(made), () if tuple(sources) == chain(len(made)) else tuple(sources)


def _behind(each: Chain, before: list[fold.Folder]) -> fold.Folder:
    folder = fold.Folder(each.input_shape, first=False)
    folder.positive = all(one.positive for one in before)
    joins = bool(each.steps) and isinstance(each.steps[0], Join)
    folder.image = each.input_shape if joins else before[0].image
    for step in each.steps:
        folder.take(step)
    return folder
