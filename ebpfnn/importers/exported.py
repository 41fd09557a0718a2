"""PyTorch modules and exported programs in memory, as graphs of ATen operators."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.inputformat import InputFormat
from ..network.layers import Shape, describe, expect
from ..quantize.floats import Network
from . import scoring
from .aten import to_chain
from .options import ImportOptions
from .program import Call, Program, Ref, Sizes

if TYPE_CHECKING:
    import torch

_REFUSALS = (RuntimeError, AssertionError, LookupError, TypeError, ValueError)
"""What modules and torch.export raise for an input of another shape, and for what cannot be traced."""
_BATCH = 2
"""torch.export takes a batch of 1 for a constant of the graph."""


def from_module(
    module: torch.nn.Module,
    input: InputFormat,  # noqa: A002
    name: str,
    labels: tuple[str, ...],
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    result: str | None = None,
) -> Network:
    """``module``, as it computes in eval mode, as a float network of classes ``labels``.

    It is traced by torch.export with float32 [n, 1, rows, columns] for an input of two dimensions, with [n, *input.shape]
    where it takes no such images, and for every other input. Samples over one axis, [channels, steps], become images of one
    row. It is given ``(x - mean) / std``, one number or one a channel, of levels 0..1. ``result`` is that of
    :class:`~ebpfnn.importers.ImportOptions`. Raises :class:`ModelError`, naming the operator, for what cannot be imported.
    """
    return from_exported(_export(module, input.shape, name), input, name, labels, mean, std, result)


def from_exported(
    program: torch.export.ExportedProgram,
    input: InputFormat,  # noqa: A002
    name: str,
    labels: tuple[str, ...],
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    result: str | None = None,
) -> Network:
    """What torch.export made of a module in eval mode, as a float network; otherwise as :func:`from_module`."""
    options = ImportOptions(name, labels, mean=mean, std=std, result=result, **vars(input))
    try:
        chain = to_chain(_read(program))
        moved = chain.root.places is not None
        options, _ = options.given(chain)
        options = replace(options, shape=_shape(chain.root.input_shape, input.shape, moved=moved))
        network = scoring.network(chain, name, options, {})
        return replace(network, input=replace(network.input, prepared=input.prepared))
    except ModelError as error:
        raise ModelError(f"network '{name}': {error}") from error


def _shape(found: Shape, given: Shape, *, moved: bool) -> Shape:
    """The shape of samples: ``given`` if its image is ``found``, which the first layer takes; else ``found``."""
    fact = f"takes samples of {describe(given)}, which its first layer takes as {describe(found)}"
    expect(not moved or found[0] == 1, f"{fact}; export it with torch.export.save(), and import the file")
    images = (1, *given)[-3:]
    return given if found in (given, images) else found


def _export(module: torch.nn.Module, shape: Shape, name: str) -> torch.export.ExportedProgram:
    import torch

    shapes = [(_BATCH, *shape)]
    if len(shape) == 2:
        shapes.insert(0, (_BATCH, 1, *shape))
    facts = []
    training = [each for each in module.modules() if each.training]
    module.eval()
    try:
        for given in shapes:
            try:
                return torch.export.export(module, (torch.zeros(given),), strict=False)
            except _REFUSALS as error:
                facts.append(f"{describe(given)}: {str(error).strip().splitlines()[0]}")
    finally:
        for each in training:
            each.training = True
    raise ModelError(f"network '{name}': torch.export refuses it for every input ({'; '.join(facts)}); give its sample's shape")


def _read(program: torch.export.ExportedProgram) -> Program:
    signature = program.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        counts = f"{len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs"
        raise ModelError(f"has {counts}; export one of each, the sample and the logits")
    (given,), (taken,) = signature.user_inputs, signature.user_outputs
    nodes = {node.name: node for node in program.graph.nodes}
    value = nodes[str(given)].meta["val"]
    calls = [_call(node) for node in program.graph.nodes if node.op == "call_function"]
    return Program(calls, dict(_constants(program)), str(given), _sizes(value), _dtype(value.dtype), str(taken))


def _constants(program: torch.export.ExportedProgram) -> Iterator[tuple[str, NDArray[Any]]]:
    signature, state = program.graph_signature, {**program.constants, **program.state_dict}
    for names in (signature.inputs_to_parameters, signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants):
        for name, target in names.items():
            tensor = state[target].detach().cpu()
            yield name, np.asarray(tensor.double() if tensor.is_floating_point() else tensor)


def _call(node: torch.fx.Node) -> Call:
    if node.target is operator.getitem:
        op, names = ("getitem" if node.args[1] == 0 else f"getitem_{node.args[1]}"), ["self", "index"]
    else:
        schema = getattr(node.target, "_schema", None)
        op = schema.name.replace("::", ".") if schema else f"_{getattr(node.target, '__module__', '')}.{node.target}"
        names = [argument.name for argument in schema.arguments] if schema else list(map(str, range(len(node.args))))
    arguments = {**dict(zip(names, map(_value, node.args), strict=False)), **{k: _value(v) for k, v in node.kwargs.items()}}
    noted = node.meta.get("val")
    first = noted[0] if isinstance(noted, (list, tuple)) and noted else noted
    return Call(op, node.name, arguments, _sizes(first))


def _value(value: Any) -> Any:
    import torch

    if isinstance(value, torch.fx.Node):
        return Ref(value.name)
    if isinstance(value, (list, tuple)):
        return [_value(each) for each in value]
    return _dtype(value) if isinstance(value, torch.dtype) else value


def _sizes(value: Any) -> Sizes:
    return tuple(size if isinstance(size, int) else None for size in getattr(value, "shape", ()))


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
