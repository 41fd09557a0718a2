"""PyTorch's .pt2 archives, read without PyTorch: the graph is JSON, and the weights are raw bytes.

torch.export.load() is not used: it unpickles parts of the archive (``weights_only=False``) and evaluates its symbolic sizes
as Python. What an archive holds in pickles is refused here, or not looked at, as its sample inputs.

Source: torch/export/pt2_archive and torch/_export/serde/schema.py of PyTorch 2.14 (schema version 8).
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..files import zips
from ..network.layers import expect
from .program import Call, Program, Ref, Sizes
from .steps import LARGEST

MAX_BYTES = 64 << 20
MAX_JSON = 8 << 20
"""In memory it can take 20 times as much."""
SCHEMA = 8
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool"}
_BFLOAT16 = 13
_PLAIN = {
    "as_int": ((int,), False),
    "as_ints": ((int,), True),
    "as_float": ((float, int), False),
    "as_floats": ((float, int), True),
    "as_bool": ((bool,), False),
    "as_bools": ((bool,), True),
    "as_string": ((str,), False),
}
"""The kinds of arguments that are values: of which types, and whether a list of them."""
_OLD = "export it again with torch.export.save() of PyTorch 2.13 or later"

Json = Mapping[str, Any]


def read_program(data: bytes) -> Program:
    """The graph and the weights of an archive. Raises :class:`ModelError` where it is none, or holds pickles for weights."""
    try:
        with zips.opened(io.BytesIO(data)) as archive:
            return _Archive(archive).program()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"not a .pt2 archive, or damaged; {_OLD}") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"a .pt2 archive whose contents are not as PyTorch writes them; {_OLD}") from error


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        """Raises :class:`ModelError` where it would unpack to more than 64 MiB: PyTorch does not compress."""
        size = zips.unpacked(archive)
        expect(size <= MAX_BYTES, f"holds {size} bytes, over {MAX_BYTES >> 20} MiB; give a smaller network")
        self.archive = archive
        graphs = [name for name in archive.namelist() if name.endswith("/models/model.json")]
        expect(len(graphs) == 1, f"has {len(graphs)} graphs models/model.json, not one; {_OLD}")
        self.root = graphs[0].removesuffix("models/model.json")
        expect(self._read("byteorder").strip() == b"little", "holds big-endian weights; export it on a little-endian machine")

    def program(self) -> Program:
        described = self._json("models/model.json")
        version = described["schema_version"]["major"]
        expect(version == SCHEMA, f"has schema version {version}, and this ebpfnn reads {SCHEMA}; {_OLD}")
        module = described["graph_module"]
        graph, signature = module["graph"], module["signature"]
        given = [spec["user_input"]["arg"] for spec in signature["input_specs"] if "user_input" in spec]
        taken = [spec["user_output"]["arg"] for spec in signature["output_specs"] if "user_output" in spec]
        counts = f"has {len(given)} inputs and {len(taken)} outputs; export one of each, the sample and the logits"
        expect(len(given) == len(taken) == 1, counts)
        name, values = given[0]["as_tensor"]["name"], graph["tensor_values"]
        calls = [_call(node, values) for node in graph["nodes"]]
        constants = dict(self._constants(signature["input_specs"]))
        shape, dtype = _sizes(values[name]), _dtype(values[name]["dtype"])
        return Program(calls, constants, name, shape, dtype, taken[0]["as_tensor"]["name"])

    def _constants(self, specs: list[Json]) -> Iterator[tuple[str, NDArray[Any]]]:
        weights = self._json("data/weights/model_weights_config.json")["config"]
        constants = self._json("data/constants/model_constants_config.json")["config"]
        size = 0
        for spec in specs:
            for kind, field, held, folder in (
                ("parameter", "parameter_name", weights, "weights"),
                ("buffer", "buffer_name", {**constants, **weights}, "weights"),
                ("tensor_constant", "tensor_constant_name", constants, "constants"),
            ):
                if kind in spec:
                    target = spec[kind][field]
                    place = "weights" if target in weights else "constants" if kind == "buffer" else folder
                    array = self._tensor(target, held[target], place)
                    size += array.size
                    expect(size <= LARGEST, f"holds {size} weights or more, over {LARGEST}; give a smaller network")
                    yield _text(spec[kind]["arg"]["name"]), array

    def _tensor(self, name: str, described: Json, folder: str) -> NDArray[Any]:
        expect(described["use_pickle"] is False, f"holds {name!r} in a pickle, which is not opened; save plain tensors")
        meta, data = described["tensor_meta"], self._read(f"data/{folder}/{described['path_name']}")
        sizes, strides = ([entry["as_int"] for entry in meta[each]] for each in ("sizes", "strides"))
        start, dtype = meta["storage_offset"]["as_int"], meta["dtype"]
        array = np.frombuffer(data, np.uint16 if dtype == _BFLOAT16 else _dtype(dtype))
        last = start + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        fits = 0 <= start <= last < len(array) and min([0, *strides]) == 0 < min([1, *sizes]) and prod(sizes) <= len(array)
        expect(bool(fits), f"holds less of {name!r} than it says; copy or export it again")
        by_bytes = [stride * array.itemsize for stride in strides]
        found = np.lib.stride_tricks.as_strided(array[start:], sizes, by_bytes, writeable=False).copy()
        return _from_bfloat16(found) if dtype == _BFLOAT16 else found

    def _json(self, name: str) -> Json:
        size = self.archive.getinfo(self.root + name).file_size
        expect(size <= MAX_JSON, f"describes itself in {size} bytes of JSON, over {MAX_JSON >> 20} MiB; give a smaller network")
        found: Json = json.loads(self._read(name))
        return found

    def _read(self, name: str) -> bytes:
        return zips.read(self.archive, self.root + name)


def _call(node: Json, values: Json) -> Call:
    outputs = [each["as_tensor"]["name"] for each in node["outputs"] if "as_tensor" in each]
    name = outputs[0] if outputs else str(node.get("name"))
    op = str(node["target"]).removeprefix("torch.ops.")
    if op.startswith("aten."):
        op = ".".join(op.split(".")[:2])
    arguments = {each["name"]: _value(each["arg"]) for each in node["inputs"]}
    return Call(op, name, arguments, _sizes(values[name]) if name in values else ())


def _value(argument: Json) -> Any:
    """An argument in Python: of kinds that no step reads, the kind's name."""
    ((kind, value),) = argument.items()
    if kind == "as_none":
        return None
    if kind in ("as_tensor", "as_optional_tensor") and isinstance(value, dict):
        return Ref(_text(value["name"])) if "name" in value else _value(value)
    if kind in ("as_tensors", "as_sym_ints"):
        return [Ref(_text(each["name"])) if "name" in each else _size(each) for each in value]
    if kind == "as_scalar_type":
        return _dtype(value)
    if kind not in _PLAIN:
        return str(kind)
    each, many = _PLAIN[kind]
    for one in value if many else [value]:
        if type(one) not in each:
            raise TypeError(f"{kind} that is no such thing")
    return value


def _sizes(meta: Json) -> Sizes:
    return tuple(_size(size) for size in meta["sizes"])


def _size(described: Json) -> int | None:
    """None where it is an expression, for a size that is not fixed."""
    size = described.get("as_int")
    if size is not None and type(size) is not int:
        raise TypeError("a size that is no integer")
    return size


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError("a name that is no string")
    return name


def _dtype(code: int) -> str:
    """PyTorch's name of a scalar type, by its number in the schema."""
    return "bfloat16" if code == _BFLOAT16 else _DTYPES.get(code, f"type {code}")


def _from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (bits.astype(np.uint32) << 16).view(np.float32)
