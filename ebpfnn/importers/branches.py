"""Chains that take the values of others, as the layers of a float network: a graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ..errors import ModelError
from ..network.graph import SAMPLE, Sources, chain
from ..network.layers import Shape
from ..quantize.floats import FloatLayer
from . import fold
from .steps import Chain, Join, naming


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
    ends: dict[int, tuple[int, fold.Folder, float]] = {}
    chains = in_order(last)
    summed = _summed(chains)
    for each in chains:
        before = [ends[id(one)] for one in each.before]
        folder = _behind(each, before) if before else fold.folded(each, mean, std)
        factor = folder.released() if id(each) in summed else 1.0
        given = tuple(number for number, _, _ in before) or (SAMPLE,)
        for layer in folder.finish():
            sources.append(given)
            made.append(layer)
            given = (len(made) - 1,)
        ends[id(each)] = given[0], folder, factor
    if not made:
        raise ModelError("has no layers; give a network with a Linear or Conv2d")
    shape = ends[id(last.root)][1].input_shape
    return shape, tuple(made), () if tuple(sources) == chain(len(made)) else tuple(sources)


def _summed(chains: list[Chain]) -> set[int]:
    """The chains that a sum takes and nothing else, which can scale them."""
    uses = Counter(id(one) for each in chains for one in each.before)
    joins = [(each, each.steps[0]) for each in chains if each.steps and isinstance(each.steps[0], Join)]
    return {id(one) for each, join in joins if join.factors for one in each.before if uses[id(one)] == 1}


def _behind(each: Chain, before: list[tuple[int, fold.Folder, float]]) -> fold.Folder:
    folder = fold.Folder(each.input_shape, first=False)
    folder.positive = all(one.positive for _, one, _ in before)
    steps = list(each.steps)
    if steps and isinstance(steps[0], Join):
        folder.image = each.input_shape
        steps[0] = _scaled(steps[0], [factor for _, _, factor in before])
    else:
        folder.image = before[0][1].image
    for step in steps:
        with naming(step.where):
            folder.take(step)
    return folder


def _scaled(join: Join, factors: list[float]) -> Join:
    if join.factors is None:
        return join
    one, other = (own * factor for own, factor in zip(join.factors, factors, strict=True))
    return replace(join, factors=(one, other))
