"""What a kind of model is: how its models are stored, what they compute, and how bodies are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.model import Model
from .body import Body
from .features import KernelFeatures

Described = Mapping[str, Any]
Tensors = Mapping[str, NDArray[Any]]
AnyModel = TypeVar("AnyModel", bound=Model)


class BodyKind(ABC, Generic[AnyModel]):
    """A kind of model, such as networks or trees.

    ``name`` is what its models call it in :attr:`Model.kind`, and model files in "kind"; ``summary`` one line for ``ebpfnn
    plugins``. ``model`` is the class of its models. ``plans`` are the names that ``--plan`` takes.
    """

    name: str
    summary: str = ""
    model: type[AnyModel]
    plans: tuple[str, ...] = ()

    @abstractmethod
    def describe(self, model: AnyModel) -> dict[str, Any]:
        """All of ``model`` but its tensors, as JSON knows it. "kind" is added by the file."""

    @abstractmethod
    def tensors(self, model: AnyModel) -> dict[str, NDArray[Any]]:
        """The tensors of ``model`` by name."""

    @abstractmethod
    def build(self, described: Described, tensors: Tensors) -> AnyModel:
        """The model that :meth:`describe` and :meth:`tensors` gave; it keeps ``tensors``.

        The file may be anybody's: check types and ranges, and bound what is read before memory is taken. Raises
        :class:`~ebpfnn.errors.ModelError` for whatever is absent, of another type, or out of range.
        """

    @abstractmethod
    def scores(self, model: AnyModel, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The scores of ``samples``, uint8 ``[n, *shape]``, as int32 [n, labels]; [labels] for one sample ``[*shape]``.

        This is the reference: a body must give the same scores, bit for bit. Raises :class:`~ebpfnn.errors.InputError` for
        another dtype or shape.
        """

    @abstractmethod
    def compile(self, model: AnyModel, features: KernelFeatures, plan: str | None = None) -> Body:
        """A body for a kernel that has ``features``. ``plan`` is one of :attr:`plans`, used wherever possible.

        A body defines ``int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)``. It writes the scores and the
        label, and returns 0, or a negative errno. Raises :class:`~ebpfnn.errors.ModelError` for an unknown plan or a model that
        exceeds a limit.
        """

    def twin(self, model: AnyModel) -> Body:
        """The body in readable C that clang built. Raises :class:`~ebpfnn.errors.ModelError` if the kind has none."""
        raise ModelError(f"model '{model.name}': {self.name} have no form in C; leave out --twin")

    def facts(self, model: AnyModel) -> Mapping[str, str]:
        """What ``ebpfnn inspect`` shows of ``model`` beyond what every model has: text by name."""
        del model
        return {}
