"""Checks that a loaded network computes the same as the reference."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress

import numpy as np
from numpy.typing import NDArray

from ..bodies import AnyKind, kind_of
from ..compiler import Body
from ..errors import DetachedError, NotSupported, SessionError
from ..network import QuantizedNetwork
from ..network.cascades import deciding
from ..network.inputformat import InputFormat
from ..network.model import Model
from ..plugin import Plugins
from ..session import Session
from ..session.runner import Result, Runner
from .session import InstanceSession

_LONGEST = 2.0  # seconds to wait for a rare event, such as that of a slow clock
_FEWEST = 2
_TRIED = 256


def prove(session: Runner, network: Model, body: Body, plugins: Plugins | None = None) -> str:
    """Infers the samples of :func:`proving`, by the real event if it can be provoked from here, and returns how it was done.

    Otherwise ``body``, the same code, runs by BPF_PROG_RUN. At a trigger's default target the event is known to happen, and has
    to. For rare events, only the first two samples are used: noise, and a blank one after it.

    Raises :class:`SessionError` if the event does not happen, or the scores are not the reference's.
    """
    samples = _samples(network)
    surely = False
    try:
        if session.has_slots:
            session.slot()
            surely = session.target == session.trigger.default_target
        way = "the event itself" if session.has_slots else "BPF_PROG_RUN of the program that is attached"
        results, how = _infer(session, samples), f"by {way} ({session.trigger.name})"
    except DetachedError:
        raise
    except (NotSupported, SessionError) as reason:
        if surely and isinstance(reason, SessionError):
            raise
        return f"{prove_apart(network, body, plugins)}, since {reason}"
    _compare(kind_of(network, plugins), network, samples, results, how)
    return how


def prove_apart(network: Model, body: Body, plugins: Plugins | None = None) -> str:
    """Infers the samples of :func:`proving` on ``body`` alone. Returns and raises as :func:`prove`."""
    samples, how = _samples(network), "by BPF_PROG_RUN of the same code"
    plugins = plugins or Plugins.installed()
    with Session(network, plugins.trigger("run"), body=body, batch=1) as apart:
        _compare(kind_of(network, plugins), network, samples, _infer(apart, samples), how)
    return how


def prove_uncounted(session: InstanceSession, network: Model, body: Body, plugins: Plugins | None = None) -> str:
    """As :func:`prove`, for an instance. These inferences are neither counted nor reported to watchers."""
    with ExitStack() as held:
        with suppress(SessionError, NotSupported):  # if no slot is free, the same code runs separately, as prove() reports
            held.enter_context(session.checking())
        return prove(session, network, body, plugins)


def _samples(network: Model) -> NDArray[np.uint8]:
    """The samples of :func:`proving`, and of a cascade more, so that all of its networks decide some if that can be found."""
    return np.concatenate([proving(network.input), reaching(network)])


def reaching(network: Model) -> NDArray[np.uint8]:
    """Samples that go on in a cascade, uint8 [n, *shape]: for each further network one that it decides, if one is found.

    They are found among noise of several densities, by the reference.
    """
    if not isinstance(network, QuantizedNetwork) or network.then is None:
        return np.empty((0, *network.input_shape), np.uint8)
    random = np.random.default_rng(1)
    dense = random.integers(0, 256, (_TRIED, network.input.size), np.uint8)
    share = np.linspace(0, 1, _TRIED)[:, None]
    noise = np.where(random.random(dense.shape) < share, dense, 0).astype(np.uint8).reshape(-1, *network.input_shape)
    stage = deciding(network, noise)
    first = [int(np.argmax(stage == number)) for number in range(1, len(network.stages)) if (stage == number).any()]
    return noise[first]


def proving(form: InputFormat) -> NDArray[np.uint8]:
    """Samples for the check of a network, uint8 [n, *form.shape]: a dozen, each different from the one before.

    Noise comes first, then a blank sample, in which data left from the sample before would show. Then each value at a boundary
    fills a whole sample. Then come a single bright pixel at either end and in the middle, a few bright pixels, and noise and a
    blank sample again.
    """
    random, size = np.random.default_rng(0), form.size
    noise = random.integers(0, 256, (2, size), np.uint8)
    blank = np.zeros(size, np.uint8)
    around = [value for threshold in _some(form.thresholds) for value in (threshold - 1, threshold)]
    flat = [np.full(size, value, np.uint8) for value in dict.fromkeys((255, *around, 1, 127, 128))]
    flat += _around_own(form.value_thresholds)
    sparse = np.zeros((4, size), np.uint8)
    for row, place in zip(sparse, (0, size // 2, size - 1), strict=False):
        row[place] = 255
    sparse[3, random.integers(0, size, 1 + size // 16)] = 255
    return np.stack([noise[0], blank, *flat, *sparse, noise[1], blank]).reshape(-1, *form.shape)


def _some(thresholds: tuple[int, ...]) -> set[int]:
    """The lowest, a middle and the highest one of ``thresholds``, if there are any."""
    return {thresholds[0], thresholds[len(thresholds) // 2], thresholds[-1]} if thresholds else set()


def _around_own(value_thresholds: tuple[tuple[int, ...], ...]) -> list[NDArray[np.uint8]]:
    """Samples around each value's own thresholds: each value just below, and at it. Empty if values have none."""
    some = [np.array(each) for each in zip(*value_thresholds, strict=True)]
    chosen = [some[place] for place in sorted({0, len(some) // 2, len(some) - 1})] if some else []
    return [np.minimum(pixels, 255).astype(np.uint8) for own in chosen for pixels in (own - 1, own)]


def _infer(session: Runner, samples: NDArray[np.uint8]) -> list[Result]:
    results: list[Result] = []
    deadline = time.monotonic() + _LONGEST
    for sample in samples:
        if len(results) >= _FEWEST and time.monotonic() > deadline:
            break
        results.append(session.infer(sample))
    return results


def _compare(kind: AnyKind, network: Model, samples: NDArray[np.uint8], results: list[Result], how: str) -> None:
    expected = kind.scores(network, samples[: len(results)])
    for number, (result, scores) in enumerate(zip(results, expected, strict=True)):
        if not np.array_equal(result.scores, scores) or result.label != int(np.argmax(scores)):
            fact = f"network '{network.name}': the scores in the kernel differ from the reference"
            raise SessionError(f"{fact} (sample {number} of the proof, {how}); report this")
