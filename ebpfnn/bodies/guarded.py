"""A kind of models of a plugin: what it gives is checked, and what it raises becomes one line that names the plugin."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..abi import INFER, MAX_SCORES
from ..compiler import Body, BodyKind, KernelFeatures
from ..compiler.features import NEWEST
from ..compiler.kind import Described, Tensors
from ..errors import Error, InputError, ModelError, NotSupported, PluginError
from ..network import events as carried
from ..network.inputformat import InputFormat
from ..network.model import Model, check_result
from ..obj import ObjectSpec
from ..plugin.blaming import failed, remedy
from ..plugin.registry import Offer

_Given = TypeVar("_Given")
_EXPECTED = (ModelError, InputError, NotSupported)
"""What a kind may raise: its messages are shown as they are."""


class Guarded(BodyKind[Any]):
    """The kind that ``offer`` offers. Raises :class:`PluginError` where it breaks what :class:`BodyKind` promises."""

    def __init__(self, offer: Offer[BodyKind[Any]]) -> None:
        self._offer, self._kind = offer, offer.item
        self.name, self.summary = offer.item.name, offer.item.summary
        self.model, self.plans = getattr(offer.item, "model", Model), tuple(offer.item.plans)
        if not (isinstance(self.model, type) and issubclass(self.model, Model)):
            raise self._broken(f"`model` is {self.model!r}, not a subclass of Model")

    def describe(self, model: Any) -> dict[str, Any]:
        described = self._call(self._kind.describe, self._checked(model))
        try:
            json.dumps(described, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._broken(f"describe() gave what JSON does not know: {error}") from error
        if not isinstance(described, dict) or "kind" in described:
            raise self._broken("describe() must give a dict without 'kind'")
        return described

    def tensors(self, model: Any) -> dict[str, NDArray[Any]]:
        found = self._call(self._kind.tensors, self._checked(model))
        arrays = isinstance(found, dict) and all(isinstance(each, np.ndarray) for each in found.values())
        if not arrays or not all(isinstance(name, str) for name in found):
            raise self._broken("tensors() must give a dict of numpy arrays by name")
        return found

    def build(self, described: Described, tensors: Tensors) -> Any:
        return self._checked(self._call(self._kind.build, described, tensors), "build() gave")

    def scores(self, model: Any, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
        found: Any = self._call(self._kind.scores, self._checked(model), samples)
        shape = (*samples.shape[: samples.ndim - len(model.input_shape)], len(model.labels))
        if not isinstance(found, np.ndarray) or found.dtype != np.int32 or found.shape != shape:
            given = f"{found.dtype} {list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
            raise self._broken(f"scores() gave {given}, not int32 {list(shape)}")
        return found

    def compile(self, model: Any, features: KernelFeatures = NEWEST, plan: str | None = None) -> Body:
        if plan is not None and plan not in self.plans:
            raise ModelError(f"plan '{plan}' is not known; {self.name} has {', '.join(self.plans) or 'none'}")
        return self._body(self._call(self._kind.compile, self._checked(model), features, plan), "compile()")

    def twin(self, model: Any) -> Body:
        return self._body(self._call(self._kind.twin, self._checked(model)), "twin()")

    def facts(self, model: Any) -> Mapping[str, str]:
        found: Any = self._call(self._kind.facts, self._checked(model))
        if not isinstance(found, Mapping) or not all(isinstance(each, str) for pair in found.items() for each in pair):
            raise self._broken("facts() must give text by name")
        return found

    def _call(self, method: Callable[..., _Given], *given: Any) -> _Given:
        try:
            return method(*given)
        except _EXPECTED:
            raise
        except (Exception, SystemExit) as error:  # foreign code: whatever it raises becomes one line
            raise failed(self._offer, error) from error

    def _broken(self, fact: str) -> PluginError:
        return PluginError(f"{self._offer}: kind of models '{self.name}': {fact}; {remedy(self._offer)}")

    def _body(self, body: Any, method: str) -> Body:
        if not isinstance(body, Body) or not isinstance(body.spec, ObjectSpec):
            raise self._broken(f"{method} gave {type(body).__name__}, not a Body of an ObjectSpec")
        if INFER not in body.spec.functions:
            raise self._broken(f"{method} gave a body that does not define {INFER}")
        if type(body.workspace) is not int or body.workspace < 0:
            raise self._broken(f"{method} gave a body with a workspace of {body.workspace!r} bytes")
        return body

    def _checked(self, model: Any, what: str = "a model is") -> Any:
        """``model`` if it has what every model has, of the right types."""
        if not isinstance(model, self.model):
            raise self._broken(f"{what} {type(model).__name__}, not {self.model.__name__}")
        try:
            self._check(model)
        except ModelError as error:
            raise self._broken(f"{what} wrong: {error}") from error
        except Error:
            raise
        except Exception as error:
            raise failed(self._offer, error) from error
        return model

    def _check(self, model: Model) -> None:
        texts = isinstance(model.labels, tuple) and all(isinstance(label, str) for label in model.labels)
        wrong = {
            "kind": model.kind != self.name,
            "name": not isinstance(model.name, str),
            "input": not isinstance(model.input, InputFormat),
            "labels": not texts or not 1 <= len(model.labels) <= MAX_SCORES,
            "score_scale": not isinstance(model.score_scale, float | int) or not 0 < model.score_scale < float("inf"),
            "card": not isinstance(model.card, Mapping),
            "events": not isinstance(model.events, Mapping),
            "architecture": not isinstance(model.architecture, str),
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise ModelError(f"its {name} is {getattr(model, name)!r}")
        check_result(model)
        carried.check(model.events)
