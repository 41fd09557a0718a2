"""Verbs that take networks of layers, and no other kind of models."""

from __future__ import annotations

from ..bodies import modelfile
from ..errors import ModelError
from ..network import QuantizedNetwork
from ..network.model import Model
from ..plugin import Plugins


def load_network(model: str, verb: str, plugins: Plugins) -> QuantizedNetwork:
    """The bundled network ``model``, or that of a file. Raises as :func:`only_network` and :func:`modelfile.load`."""
    return only_network(modelfile.load(modelfile.resolve(model), plugins), verb)


def only_network(model: Model, verb: str) -> QuantizedNetwork:
    """``model``, which must be a network. Raises :class:`ModelError` for another kind of models."""
    if isinstance(model, QuantizedNetwork):
        return model
    fact = f"model '{model.name}' is of kind '{model.kind}', and `ebpfnn {verb}` takes networks alone"
    raise ModelError(f"{fact}; give a network, such as one that `ebpfnn models` lists")
