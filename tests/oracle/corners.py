"""Samples at the corners of a format, in an order in which each corner follows what would show behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.uint8]


def judged(form: Any, seed: int) -> Samples:
    """The samples that the network of ``seed`` is judged by."""
    return samples(form, np.random.default_rng([seed, 1]))


def samples(form: Any, random: np.random.Generator) -> Samples:
    """uint8 [n, *shape]: before each corner a dense sample, so that what it leaves behind would show; every third is blank."""
    made: list[Samples] = []
    for number, corner in enumerate(_corners(form, random)):
        made += [_dense(form.size, random), corner]
        if number % 3 == 2:
            made += [np.full(form.size, 255, np.uint8), np.zeros(form.size, np.uint8)]
    return np.stack(made).reshape(-1, *form.shape)


def _corners(form: Any, random: np.random.Generator) -> list[Samples]:
    size = form.size
    edges = _edges(form)
    made = [np.zeros(size, np.uint8)]
    made += [np.full(size, value, np.uint8) for value in _some(edges, 6, random)]
    made += [random.choice(np.array(edges, np.uint8), size) for _ in range(3)]
    made += [_few(size, count, random.choice(edges), random) for count in (1, 1, 2, 3)]
    made += [_alone(size, place) for place in {0, size - 1}]
    made += [_stretch(size, random) for _ in range(3)]
    made += [_around_own(form.value_thresholds, step, random) for step in (-1, 0, 1) if form.value_thresholds]
    made.append((random.integers(1, 256, size) * (random.random(size) < 0.2)).astype(np.uint8))
    return made


def _edges(form: Any) -> list[int]:
    """Where a level begins, the pixel below, and the ends."""
    around = {value for threshold in form.thresholds for value in (threshold - 1, threshold)}
    return sorted(around | {1, 127, 128, 254, 255})


def _around_own(value_thresholds: Any, step: int, random: np.random.Generator) -> Samples:
    """Each value ``step`` from one of its own thresholds."""
    chosen = random.permuted(np.array(value_thresholds), axis=1)[:, 0]
    return np.clip(chosen + step, 0, 255).astype(np.uint8)


def _some(values: list[int], most: int, random: np.random.Generator) -> list[int]:
    kept = set(random.choice(values, most).tolist()) if len(values) > most else set(values)
    return sorted(kept | {1, 255})


def _dense(size: int, random: np.random.Generator) -> Samples:
    return random.integers(1, 256, size).astype(np.uint8)


def _few(size: int, count: int, value: int, random: np.random.Generator) -> Samples:
    sample = np.zeros(size, np.uint8)
    sample[random.integers(0, size, count)] = value
    return sample


def _alone(size: int, place: int) -> Samples:
    sample = np.zeros(size, np.uint8)
    sample[place] = 255
    return sample


def _stretch(size: int, random: np.random.Generator) -> Samples:
    """Blank but for a stretch: rows and windows that are blank beside others that are not."""
    first, last = sorted(random.integers(0, size + 1, 2).tolist())
    sample = np.zeros(size, np.uint8)
    sample[first:last] = _dense(last - first, random)
    return sample
