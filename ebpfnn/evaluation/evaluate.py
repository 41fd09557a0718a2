"""Runs one network in three forms over the same samples: in floats, in integers in numpy, and in the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bodies import kind_of
from ..compiler import Body
from ..errors import ModelError
from ..network import cascades
from ..network.layers import describe
from ..network.model import Model
from ..plugin import Plugins, Trigger
from ..quantize import float_reference
from ..quantize.floats import Network
from ..session import Session
from . import metrics
from .detection import Detection

_Labels = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class KernelRun:
    """The kernel's results for every sample: ``scores`` int32 [n, classes], ``labels`` [n]."""

    trigger: str
    scores: NDArray[np.int32]
    labels: _Labels


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results for ``samples``, uint8 ``[n, *shape]``, whose true labels are ``truth``, [n].

    ``scores`` int32 [n, classes] are the reference's. ``logits`` float64 [n, classes] are those of the float network and
    ``kernel`` the results of the kernel, each None if it was not run. ``source`` names the samples, for messages. ``detection``
    says how well one class is distinguished from the others, None if this was not requested.
    """

    network: Model
    source: str
    samples: NDArray[np.uint8]
    truth: _Labels
    scores: NDArray[np.int32]
    logits: NDArray[np.float64] | None = None
    kernel: KernelRun | None = None
    detection: Detection | None = None

    @cached_property
    def predicted(self) -> _Labels:
        """The label that the reference gives each sample: that of the highest score, of equal ones the first."""
        return np.asarray(self.scores.argmax(axis=1), np.intp)

    @cached_property
    def floats_predicted(self) -> _Labels | None:
        """The label that the float network gives each sample. None if it was not run."""
        return None if self.logits is None else np.asarray(self.logits.argmax(axis=1), np.intp)

    @cached_property
    def columns(self) -> dict[str, _Labels | None]:
        """The labels from each form of the network, in the order in which they are shown."""
        return {
            "float": self.floats_predicted,
            "reference": self.predicted,
            "kernel": None if self.kernel is None else self.kernel.labels,
        }

    def correct(self, column: str) -> int | None:
        """The number of samples that ``column`` labels correctly. None if it was not run."""
        predicted = self.columns[column]
        return None if predicted is None else int(np.count_nonzero(predicted == self.truth))

    @cached_property
    def disagreements(self) -> _Labels:
        """The samples for which the kernel and the reference differ in the label or in any score."""
        return differing(self.kernel, self.scores)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """The number of samples of each class that the reference assigns to each class, int64 [true class, class predicted]."""
        return metrics.confusion(self.truth, self.predicted, len(self.network.labels))

    @cached_property
    def per_class(self) -> list[metrics.ClassFigures]:
        """The figures of each class, from the reference, in the order of the network's labels."""
        return metrics.per_class(self.confusion, self.network.labels)

    @cached_property
    def stage(self) -> _Labels:
        """The number of the network of a cascade that decides each sample, from 0 on, [n]."""
        return cascades.deciding(self.network, self.samples)

    @cached_property
    def margins(self) -> NDArray[np.float64]:
        """How much the logit of the true label exceeds the highest other one, float64 [n], by the network that decides."""
        scales = np.array(self.network.score_scales)[self.stage]
        found: NDArray[np.float64] = metrics.margins(self.scores, self.truth) * scales
        return found

    @cached_property
    def mistakes(self) -> _Labels:
        """The samples that the reference labels wrongly, the most confident mistakes first."""
        wrong = np.flatnonzero(self.predicted != self.truth)
        return wrong[np.argsort(self.margins[wrong], kind="stable")]


def differing(kernel: KernelRun | None, scores: NDArray[np.int32]) -> _Labels:
    """The samples for which the kernel and the reference, whose ``scores`` are given, differ in the label or in any score."""
    if kernel is None:
        return np.empty(0, np.intp)
    differ = (kernel.scores != scores).any(axis=1) | (kernel.labels != scores.argmax(axis=1))
    return np.flatnonzero(differ)


def run_floats(floats: Network, network: Model, samples: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The logits of ``floats``, float64 [n, classes]. Raises :class:`ModelError` if ``network`` cannot be made from it."""
    if (floats.input.shape, len(floats.labels)) != (network.input_shape, len(network.labels)):
        takes = f"{describe(floats.input.shape)} to {len(floats.labels)} classes"
        wanted = f"'{network.name}' {describe(network.input_shape)} to {len(network.labels)}"
        raise ModelError(f"the float network '{floats.name}' takes {takes}, but {wanted}; give the one it was made from")
    return float_reference.logits(floats, samples)


def run_kernel(
    network: Model,
    trigger: Trigger,
    target: str | None,
    samples: NDArray[np.uint8],
    watched: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    body: Body | None = None,
    plugins: Plugins | None = None,
) -> KernelRun:
    """The kernel's results for every sample.

    ``watched`` wraps the samples to show progress. ``body`` and ``plugins`` are those of :class:`Session`. Raises as
    :class:`Session` does.
    """
    scores = np.empty((len(samples), len(network.labels)), np.int32)
    labels = np.empty(len(samples), np.intp)
    with Session(network, trigger, target, body, plugins=plugins) as session:
        for number, sample in enumerate(watched(samples)):
            result = session.infer(sample)
            scores[number], labels[number] = result.scores, result.label
    return KernelRun(trigger.name, scores, labels)


def run_reference(network: Model, samples: NDArray[np.uint8], plugins: Plugins | None = None) -> NDArray[np.int32]:
    """The scores of the reference, int32 [n, classes]. ``plugins`` are those of :func:`ebpfnn.bodies.kind_of`."""
    return kind_of(network, plugins).scores(network, samples)
