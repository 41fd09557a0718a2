"""What every kind of model is: samples in, integer scores out.

A network of layers is one kind (:class:`~ebpfnn.network.network.QuantizedNetwork`), an ensemble of trees another
(:class:`~ebpfnn.trees.Forest`). A plugin may add kinds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from .layers import expect

if TYPE_CHECKING:
    from .calibration import Calibration
    from .inputformat import InputFormat
    from .layers import Shape

LABEL, VALUE, ANOMALY, VECTOR = RESULTS = ("label", "value", "anomaly", "vector")
"""What the scores say: which class a sample is of; a number; how unusual a sample is, more for a higher score; or several
numbers."""

_OF_EVENTS = "its results are vectors, and a verdict on events has one score"


class Model(ABC):
    """A model in integers: u8 samples in, one int32 score for each of ``labels`` out. Subclasses are frozen dataclasses.

    ``kind`` is the name of its :class:`~ebpfnn.compiler.BodyKind`. A score times ``score_scale`` is what the model that was
    trained gives. ``card`` tells where the model came from: free text by keyword. ``events`` has the spec whose rows its
    samples are made of (:func:`ebpfnn.network.events.carried`), and is empty for samples that callers give. ``result`` is one
    of ``RESULTS``; a value and an anomaly score have one label, which names them, and a vector has one for each component.
    ``calibration`` says from which margin on verdicts count; a kind without it has a class attribute of None.
    """

    kind: ClassVar[str]
    name: str
    input: InputFormat
    labels: tuple[str, ...]
    score_scale: float
    card: Mapping[str, str]
    events: Mapping[str, Any]
    result: str
    calibration: Calibration | None = None

    @property
    def stages(self) -> tuple[Model, ...]:
        """The models that may decide a sample, in their order: this one, and in a cascade those that follow it."""
        return (self,)

    @property
    def score_scales(self) -> tuple[float, ...]:
        """``score_scale`` of each of :attr:`stages`."""
        return tuple(each.score_scale for each in self.stages)

    @property
    def unit(self) -> float | None:
        """:func:`unit` of this model."""
        return unit(self.result, self.score_scale)

    @property
    def input_shape(self) -> Shape:
        """A sample's shape."""
        return self.input.shape

    @property
    @abstractmethod
    def architecture(self) -> str:
        """The model on one line, if possible as ``ebpfnn train --arch`` takes it."""


def unit(result: str, score_scale: float) -> float | None:
    """The value of a score of 1 if ``result`` is a value, an anomaly score or a vector, else None: a label has no value."""
    return None if result == LABEL else score_scale


def check_result(model: Model) -> None:
    """Raises :class:`~ebpfnn.errors.ModelError` if ``model.result`` is unknown or does not fit its labels."""
    expect(model.result in RESULTS, f"result {model.result!r}; {', '.join(RESULTS)} are known")
    count = len(model.labels)
    if model.result == VECTOR:
        expect(count > 1, "a result that is a vector has two labels or more, not 1; make it a value")
        expect(not model.events, f"{_OF_EVENTS}; train it for labels, or for one value")
    else:
        expect(model.result == LABEL or count == 1, f"a result that is a {model.result} has one label, not {count}")
