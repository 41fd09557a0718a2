"""Files of all kinds, by their suffix."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import ModelError
from ..network import QuantizedNetwork, reference
from ..network.layers import describe, expect
from ..quantize.floats import Network
from ..quantize.quantization import quantize
from ..quantize.tabular import Tabular
from ..trees.forest import Forest
from . import onnx_file, onnx_graph, onnx_metadata, onnx_trees, pt2, reconstruction, scoring, state_dict, tabular, torch_file
from .aten import to_chain
from .branches import in_order
from .ensembles import Ensemble
from .integers import UnquantizedError, lower
from .options import ImportOptions
from .steps import Chain, Quantize

SUFFIXES = (".onnx", ".pt2", ".pt", ".pth", ".safetensors")
MAX_BYTES = 64 << 20
_PICKLES = (".joblib", ".pkl", ".pickle")
_UNPICKLED = (
    "would run code of its own to be read; write an ONNX file where it was trained: from skl2onnx import to_onnx; "
    "open('model.onnx', 'wb').write(to_onnx(model, X[:1].astype('float32')).SerializeToString())"
)
_REMEDY = "give an ONNX file, a .pt2 archive, or a state dict (.pt, .pth, .safetensors)"


def load(path: str | os.PathLike[str], options: ImportOptions | None = None) -> Network | QuantizedNetwork | Forest:
    """The network in ``path``: in floats, or in integers where an ONNX file holds it quantized (QuantizeLinear throughout).

    Trees in an ONNX file become a forest. Raises :class:`ModelError` as :func:`read`.
    """
    found = read(path, options)
    if isinstance(found, Ensemble):
        return found.forest
    return found.network if isinstance(found, Tabular) else found


def read(path: str | os.PathLike[str], options: ImportOptions | None = None) -> Network | QuantizedNetwork | Tabular | Ensemble:
    """As :func:`load`, but trees and a network over rows of a table are returned with what they were over numbers.

    Raises :class:`ModelError`, naming the file and in it the node or key, for what cannot be read or imported.
    """
    path, options = Path(path), options or ImportOptions()
    expect(path.suffix not in _PICKLES, f"{path}: {_UNPICKLED}")
    expect(path.suffix in SUFFIXES, f"{path}: {path.suffix or 'no suffix'} is not a known format of networks; {_REMEDY}")
    graph = path.suffix in (".onnx", ".pt2")
    expect(not graph or options.architecture is None, f"{path}: has a graph, so its layers are known; leave out --arch")
    data = files.read(path, MAX_BYTES, _REMEDY)
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused, where it is used
            return _READERS[path.suffix](data, path, options)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except MemoryError as error:
        raise ModelError(f"{path}: takes more memory than there is; give a smaller network") from error


def load_float(path: str | os.PathLike[str], options: ImportOptions | None = None) -> Network:
    """As :func:`load`, but raises :class:`ModelError` for a network that is quantized."""
    network = load(path, options)
    if isinstance(network, Forest):
        raise ModelError(f"{path}: is an ensemble of trees, which is imported in integers; use it as it is")
    if isinstance(network, QuantizedNetwork):
        raise ModelError(f"{path}: is quantized, in integers; use it as it is, or give the file that was quantized")
    return network


def quantize_file(
    path: str | os.PathLike[str], calibration: NDArray[np.uint8], options: ImportOptions | None = None
) -> QuantizedNetwork | Forest:
    """The network in ``path`` in integers; ``calibration`` is uint8 [n, *shape] of pixels. Trees need none.

    A network that is quantized keeps its integers; the samples only tell how many of its values are 0. Raises what
    :func:`load` and :func:`ebpfnn.quantize.quantization.quantize` raise.
    """
    network = load(path, options)
    if isinstance(network, Forest):
        return network
    if isinstance(network, QuantizedNetwork):
        return replace(network, density=reference.density(network, calibration))
    return quantize(network, calibration)


def _from_onnx(data: bytes, path: Path, options: ImportOptions) -> Network | QuantizedNetwork | Tabular | Ensemble:
    model, name = onnx_file.parse(data, path.parent), path.stem
    if onnx_trees.is_ensemble(model):
        return onnx_trees.read(model, name, options)
    chain, card = onnx_graph.to_chain(model), {"source": onnx_file.source(model)}
    options, events = onnx_metadata.given(model, options)
    if _tabular(chain, options):
        return tabular.network(chain, name, options, card)
    floats = reconstruction.is_asked(options) or scoring.ends_in_sigmoid(chain, options)
    if floats or not _quantizes(chain):
        return replace(_floats(chain, name, options, card), events=events)
    try:
        return replace(_integers(chain, name, options, card), events=events)
    except UnquantizedError as error:
        fact = str(error).partition(";")[0]
        chain.root.notes.append(
            f"it is quantized in part ({fact}), so it is quantized here, with the file's weights and scales"
        )
    return replace(_floats(chain, name, options, card), events=events)


def _integers(chain: Chain, name: str, options: ImportOptions, card: Mapping[str, str]) -> QuantizedNetwork:
    expect(options.bits == 8, "is quantized for pixels of 8 bits; only a network in floats can be given fewer")
    options, notes = options.given(chain)
    found = lower(chain, options.mean, options.std)
    reconstruction.check(chain, options)
    form = options.input(found.shape)
    layers, result = scoring.integers(chain, options, found.layers), scoring.result(chain, options)
    two, options = scoring.of_two(chain, options), scoring.labelled(chain, options)
    labels, name = options.labels_for(scoring.outputs(chain) + two), options.name or name
    card = {**card, **_noted([*notes, *found.notes]), **options.card}
    return QuantizedNetwork(name, form, labels, layers, found.score_scale, card=card, result=result, sources=found.sources)


def _from_pt2(data: bytes, path: Path, options: ImportOptions) -> Network | Tabular:
    chain, card = to_chain(pt2.read_program(data)), {"source": "PyTorch, torch.export"}
    if _tabular(chain, options):
        return tabular.network(chain, path.stem, options, card)
    return _floats(chain, path.stem, options, card)


def _tabular(chain: Chain, options: ImportOptions) -> bool:
    """Whether samples are rows of a table: the graph says so, or the data for it do. Raises :class:`ModelError` for a graph."""
    root = chain.root
    flat = len(root.input_shape) == 1 and not root.input_bytes
    image = options.prepared is None and options.tabular and len(root.input_shape) > 1
    fact = f"computes with {describe(root.input_shape)} values, as which no layer sees rows of a table"
    expect(not image, f"{fact}; give samples of bytes, 0..255 for 0..1, or train dense layers")
    found = options.prepared is None and (root.tabular or (options.tabular and flat))
    fact = "branches, and takes rows of a table, which only a chain of layers can"
    remedy = "export a chain" if root.tabular else "give samples of bytes, 0..255 for 0..1, or export a chain"
    expect(not found or not chain.before, f"{fact}; {remedy}")
    return found


def _quantizes(chain: Chain) -> bool:
    return any(isinstance(step, Quantize) for each in in_order(chain) for step in each.steps)


def _from_torch(data: bytes, path: Path, options: ImportOptions) -> Network:
    return _from_tensors(torch_file.read_torch(data), path.stem, options, "PyTorch, state dict")


def _from_safetensors(data: bytes, path: Path, options: ImportOptions) -> Network:
    return _from_tensors(torch_file.read_safetensors(data), path.stem, options, "safetensors, state dict")


def _from_tensors(tensors: torch_file.Tensors, name: str, options: ImportOptions, source: str) -> Network:
    if options.architecture is None:
        raise ModelError("has tensors but no graph; give --arch, such as 784-32-10, and --input-shape, such as 28x28")
    if options.shape is None:
        fact = f"has tensors but no graph, and architecture {options.architecture!r} tells no shape of a sample"
        raise ModelError(f"{fact}; give --input-shape too, such as 28x28")
    chain = state_dict.to_chain(tensors, options.architecture, options.shape, options.slope)
    return _floats(chain, name, options, {"source": source})


def _floats(chain: Chain, name: str, options: ImportOptions, card: Mapping[str, str]) -> Network:
    options, notes = options.given(chain)
    return scoring.network(chain, name, options, {**card, **_noted(notes)})


def _noted(notes: list[str]) -> dict[str, str]:
    return {"import": "; ".join(notes)} if notes else {}


_READERS: dict[str, Callable[[bytes, Path, ImportOptions], Network | QuantizedNetwork | Tabular | Ensemble]] = {
    ".onnx": _from_onnx,
    ".pt2": _from_pt2,
    ".pt": _from_torch,
    ".pth": _from_torch,
    ".safetensors": _from_safetensors,
}
