"""ONNX files that cannot be imported: each is refused in one line that names the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import Node, chain, model, node

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork
from ebpfnn.quantize.floats import Network

RANDOM = np.random.default_rng(0)
END = ("GlobalAveragePool", [], {}), ("Flatten", [], {})


def floats(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def imported(tmp_path: Path, data: bytes, options: ImportOptions | None = None, name: str = "net.onnx") -> Network:
    (tmp_path / name).write_bytes(data)
    return importers.load_float(tmp_path / name, options)


DENSE = {"dense": floats(3, 64)}
GEMM = ("Gemm", ["dense"], {"transB": 1})
FLAT = ("Flatten", [], {})


def body() -> Any:
    """Of a loop that passes its value on."""
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info
    return helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["u"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []), info("v", TensorProto.FLOAT, None)],
        [info("d", TensorProto.BOOL, []), info("u", TensorProto.FLOAT, None)],
    )


LOOP = [*chain(FLAT, GEMM), node("Loop", "times", "", "out1", body=body)]
BRANCH = [*chain(FLAT, GEMM), node("Tanh", "out1", out="r"), node("Max", "r", "out1")]
REFUSED = {
    "a loop": (
        LOOP,
        {**DENSE, "times": np.array(3)},
        r"node 3 of 3, 'the Loop [0-9]+' \(Loop\), is control flow, as recurrent layers \(GRU\) and near",
    ),
    "a branch": (
        BRANCH,
        DENSE,
        r"node 4 of 4, 'the Max [0-9]+' \(Max\), takes several values; only Add, Sum, Sub and Concat can",
    ),
    "an operator": (
        chain(FLAT, GEMM, ("Sin", [], {})),
        DENSE,
        r"node 3 of 3, 'the Sin [0-9]+' \(Sin\), cannot be imported; Conv, Gemm",
    ),
    "a product of values": (
        [*chain(FLAT, GEMM, ("Tanh", [], {})), node("Mul", "out1", "out2")],
        DENSE,
        r"node 4 of 4, 'the Mul [0-9]+' \(Mul\), takes several values; only Add, Sum, Sub and Concat can",
    ),
    "dilation": (
        chain(("MaxPool", [], {"kernel_shape": [3, 3], "dilations": [2, 2]}), FLAT),
        {},
        r"\(MaxPool\), has a dilation of 2x2; only 1 can be imported",
    ),
    "a huge dilation": (
        chain(("Conv", ["w"], {"dilations": [5_000, 5_000]}), *END),
        {"w": floats(4, 1, 3, 3)},
        r"\(Conv\), has a dilation of 5000x5000, past [0-9]+ weights; use a smaller one",
    ),
    "one axis": (
        chain(("Conv", ["line"], {}), FLAT),
        {"line": floats(2, 1, 3)},
        r"\(Conv\), has weights \[2, 1, 3\] for values of 2 axes behind the channels; only convolutions over one axis",
    ),
    "slopes": (
        chain(("Conv", ["w"], {}), ("PRelu", ["steep"], {}), FLAT),
        {"w": floats(2, 1, 3, 3), "steep": np.array([[[0.5]], [[2.0]]], np.float32)},
        r"\(PRelu\), has 2 slopes of 0\.5\.\.2; only one for each channel, within 0\.\.1",
    ),
    "no edge counted": (
        chain(("AveragePool", [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}), FLAT),
        {},
        r"\(AveragePool\), leaves padding out of its averages; count it",
    ),
    "a ceil mode": (
        chain(("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}), FLAT),
        {},
        r"\(AveragePool\), averages windows past the edge, in a ceil mode; use floor, or pad",
    ),
    "moved axes": (
        chain(("Transpose", [], {"perm": [0, 1, 3, 2]}), ("Conv", ["w"], {}), FLAT),
        {"w": floats(2, 1, 3, 3)},
        r"moves the axes of its input, 1x8x8, otherwise than channels to the front; export it as images",
    ),
    "a moved batch": (
        chain(("Transpose", [], {"perm": [1, 0, 2, 3]}), FLAT, GEMM),
        DENSE,
        r"\(Transpose\), moves axes \[1, 0, 2, 3\]; only those behind the batch",
    ),
    "means of channels": (
        chain(("Conv", ["w"], {}), ("ReduceMean", [], {"axes": [1, 2]}), FLAT),
        {"w": floats(2, 1, 3, 3)},
        r"\(ReduceMean\), averages over axes \[1, 2\]; only rows and col",
    ),
    "a wrong size": (
        chain(FLAT, GEMM),
        {"dense": floats(3, 60)},
        r"\(Gemm\), takes 60 values but is given 64; flatten before it",
    ),
    "a constant for each pixel": (
        chain(("Sub", ["image"], {}), FLAT, GEMM),
        {**DENSE, "image": floats(1, 1, 8, 8)},
        r"\(Sub\), has constants that differ within a channel \(\[1, 8, 8\] go with values of 1x8x8\)",
    ),
    "NaN": (
        chain(FLAT, GEMM),
        {"dense": np.full((3, 64), np.nan, np.float32)},
        r"\(Gemm\), has weights or a bias that hold NaN",
    ),
    "a softmax between": (
        chain(FLAT, GEMM, ("Softmax", [], {}), ("Relu", [], {})),
        DENSE,
        r"\(Softmax\), is followed by more; a softmax must be the last",
    ),
    "a scale of flat values": (
        chain(FLAT, ("Gemm", ["many"], {}), ("Relu", [], {}), ("Mul", ["each"], {}), ("Relu", [], {})),
        {"many": floats(64, 1025), "each": floats(1025)},
        r"\(Mul\), changes flat values, 1025, where no layer with weights can take it in; put it right behind a Linear",
    ),
    **{
        operator: ([*chain(FLAT), node(operator, "out0", *more, out="y", **attributes)], DENSE, rf"\({operator}\), {fact}")
        for operator, more, attributes, fact in (
            (
                "LSTM",
                ["dense", "dense"],
                {"hidden_size": 3},
                "keeps a state from step to step, which no layer does; train a conv",
            ),
            ("GRU", ["dense", "dense"], {"hidden_size": 3}, "keeps a state from step to step"),
            ("Einsum", ["dense"], {"equation": "ni,oi->no"}, "multiplies values in a way of its own; use Linear"),
            ("LayerNormalization", ["dense"], {}, "divides by what each sample has; train with BatchNorm"),
            ("NonZero", [], {}, "selects by value, which no layer does; export the scores"),
            ("Det", [], {}, "cannot be imported; Conv, Gemm, MatMul, pooling"),
        )
    },
    "QOperator": (
        [*chain(FLAT), node("MatMulInteger", "out0", "dense")],
        DENSE,
        r"node 2 of 2, .*\(MatMulInteger\), computes in integers of its own; quantize with QuantFormat.QDQ",
    ),
    "padding alone": (
        chain(("Pad", ["edges"], {}), FLAT),
        {"edges": np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64)},
        r"\(Pad\), pads values that no convolution takes next; give the padding to a Conv2d",
    ),
    "nothing": (chain(FLAT), {}, "has no layers; give a network with a Linear or Conv2d"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_graphs_that_cannot_be_imported(kind: str, tmp_path: Path) -> None:
    nodes, constants, fact = REFUSED[kind]
    with pytest.raises(ModelError, match=r"net\.onnx: .*" + fact) as caught:
        imported(tmp_path, model(nodes, constants))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind", "fact"),
    [
        (
            ("n", 1, "rows", "columns"),
            "FLOAT",
            r"input 'x' has sizes \[0, 1, 0, 0\], 0 for those not fixed; fix all but the first",
        ),
        (("n",), "FLOAT", "input 'x' has sizes"),
        (("n", 1, 8, 8), "INT32", "input 'x' is of type INT32; export float, uint8 or int8"),
    ],
)
def test_inputs_that_cannot_be_imported(shape: tuple[Any, ...], kind: str, fact: str, tmp_path: Path) -> None:
    nodes = [node("Cast", "x", to=1), node("Flatten", "Cast"), node("Gemm", "Flatten", "dense", transB=1)]
    with pytest.raises(ModelError, match=fact):
        imported(tmp_path, model(nodes, DENSE, shape, kind=kind))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [("Unsqueeze", ["one"], {}), ("Conv", ["line"], {}), FLAT],
            r"computes with 1x1x64 values, as which no layer sees rows of a table; give sampl",
        ),
        (
            [("MatMul", ["w"], {}), ("Relu", [], {}), ("Add", ["x", "_"], {})],
            r"branches, and takes rows of a table, which only a chain of layers can; g",
        ),
    ],
    ids=["an image", "branches"],
)
def test_rows_that_no_layer_takes(steps: list[Any], message: str, tmp_path: Path) -> None:
    parts = {"w": floats(64, 64), "line": floats(2, 1, 3), "one": np.array([1])}
    used = {name for _, inputs, _ in steps for name in inputs} & set(parts)
    data = model(chain(*steps), {name: parts[name] for name in sorted(used)}, ("n", 64))
    with pytest.raises(ModelError, match=message):
        imported(tmp_path, data, ImportOptions(tabular=True))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("MatMul", "x", "x")], r"\(MatMul\), multiplies values by each other, as attention does; train a conv"),
        (
            chain(("Sqrt", [], {})),
            r"\(Sqrt\), computes with a sum or a root of what each sample has, as LayerN",
        ),
        ([node("Gather", "x", "one", axis=1)], r"\(Gather\), takes a part of the values; export"),
        ([node("Cast", "x", out="c", to=7), node("Gather", "table", "c")], r"\(Gather\), looks rows up by value, as an Embed"),
    ],
)
def test_operators_that_are_refused_by_what_they_do(nodes: list[Node], message: str, tmp_path: Path) -> None:
    parts = {"one": np.array(1), "table": floats(9, 4)}
    used = {name for each in nodes for name in each.input} & set(parts)
    with pytest.raises(ModelError, match=message):
        imported(tmp_path, model(nodes, {name: parts[name] for name in sorted(used)}, ("n", 8, 8)))


def test_an_operator_that_onnx_does_not_have(tmp_path: Path) -> None:
    message = r"has the operator Erfc, which ONNX does not define; no runtime takes the file; train with another function"
    with pytest.raises(ModelError, match=message):
        imported(tmp_path, model(chain(("Erfc", [], {}), FLAT, GEMM), DENSE))


def test_two_inputs_and_two_outputs(tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(model(chain(FLAT, GEMM), DENSE))
    made.graph.input.append(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1]))
    with pytest.raises(ModelError, match=r"has 2 inputs \('x', 'y'\) and 1 outputs; export one of each"):
        imported(tmp_path, made.SerializeToString())
    made = onnx.load_model_from_string(model(chain(FLAT, GEMM), DENSE))
    made.graph.output.append(onnx.helper.make_tensor_value_info("out0", onnx.TensorProto.FLOAT, ["m", 64]))
    with pytest.raises(ModelError, match="has 1 inputs and 2 outputs; export one of each"):
        imported(tmp_path, made.SerializeToString())


def test_functions_and_sparse_weights(tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(model(chain(FLAT, GEMM), DENSE))
    relu = onnx.helper.make_node("Relu", ["a"], ["b"])
    made.functions.append(onnx.helper.make_function("mine", "F", ["a"], ["b"], [relu], [onnx.helper.make_opsetid("", 17)]))
    with pytest.raises(ModelError, match=r"defines the function 'F'; inline it with onnx\.inliner first"):
        imported(tmp_path, made.SerializeToString())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_files_cut_short(share: float, tmp_path: Path) -> None:
    data = model(chain(FLAT, GEMM), DENSE)
    with pytest.raises(ModelError, match=r"net\.onnx: (not an ONNX file|onnx's checker refuses it|tensor 'dense')"):
        imported(tmp_path, data[: int(len(data) * share)])


def test_files_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.onnx: not an ONNX file"):
        imported(tmp_path, b"\x89PNG\r\n" + bytes(1000))
    with pytest.raises(
        ModelError, match=r"net\.tflite: \.tflite is not a known format of networks; give an ONNX file, a \.pt2"
    ):
        imported(tmp_path, b"TFL3", name="net.tflite")
    with pytest.raises(ModelError, match=r"none\.onnx: cannot be read \(No such file"):
        importers.load(tmp_path / "none.onnx")


def test_a_file_over_64_mib_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "net.onnx", "wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(ModelError, match=r"net\.onnx: larger than 64 MiB"):
        importers.load(tmp_path / "net.onnx")


def test_a_tensor_that_speaks_of_more_than_it_holds(tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(model(chain(FLAT, GEMM), DENSE))
    made.graph.initializer[0].dims[1] = 1 << 40
    with pytest.raises(ModelError, match=r"tensor 'dense' has [0-9]+ values, over|onnx's checker refuses it"):
        imported(tmp_path, made.SerializeToString())


BOMBS = {
    "a sum": [node("Add", "row", "column", out="huge")],
    "copies": [node("Gather", "row", "places", out="huge")],
    "one after the other": [node("Concat", *["row"] * 500, out="huge", axis=1)],
    "a scale for each": [node("DequantizeLinear", "bytes", "scales", out="huge", axis=1)],
    "many": [node("Identity", "row", out=f"copy{number}") for number in range(1_400)],
}


@pytest.mark.parametrize("kind", BOMBS)
def test_constants_that_would_not_fit_in_memory(kind: str, tmp_path: Path) -> None:
    held = {
        "row": np.zeros((1, 50_000), np.float32),
        "column": np.zeros((5000, 1), np.float32),
        "places": np.zeros((4000, 1), np.int64),
        "bytes": np.zeros((5000, 1), np.int8),
        "scales": np.zeros(50_000, np.float32),
    }
    with pytest.raises(
        ModelError, match=r"(makes a constant of [0-9]+ values, over|exceeds the number of constants that are computed)"
    ):
        imported(tmp_path, model([*BOMBS[kind], *chain(FLAT, GEMM)], {**DENSE, **held}))


def test_a_network_of_too_many_weights(tmp_path: Path) -> None:
    """Its file holds them once; each node takes them again."""
    nodes = chain(("Flatten", [], {}), *[("Gemm", ["w"], {})] * 5)
    with pytest.raises(ModelError, match="brings the network to 20971520 weights, over 16777216; give a smaller one"):
        imported(tmp_path, model(nodes, {"w": np.zeros((2048, 2048), np.float32)}, ("n", 2048)))


def test_labels_and_shapes_that_do_not_fit(tmp_path: Path) -> None:
    data = model(chain(FLAT, GEMM), DENSE)
    network = imported(tmp_path, data, ImportOptions("n", ("a", "b", "c"), (1, 8, 8)))
    assert (network.name, network.labels, network.input.shape) == ("n", ("a", "b", "c"), (1, 8, 8))
    with pytest.raises(ModelError, match="has 3 outputs but there are 2 labels; give one label an output"):
        imported(tmp_path, data, ImportOptions(labels=("a", "b")))
    with pytest.raises(ModelError, match="takes samples of 8x8, not 9x9; give that shape, or none"):
        imported(tmp_path, data, ImportOptions(shape=(9, 9)))


def test_what_is_quantized_has_no_floats(tmp_path: Path) -> None:
    constants = {
        **DENSE,
        "s": np.float32(1 / 255),
        "z": np.uint8(0),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
    }
    nodes = [
        *chain(("QuantizeLinear", ["s", "z"], {}), ("DequantizeLinear", ["s", "z"], {}), FLAT),
        node("QuantizeLinear", "dense", "ws", "wz", out="q"),
        node("DequantizeLinear", "q", "ws", "wz", out="d"),
        node("Gemm", "out2", "d", transB=1),
    ]
    data = model(nodes, constants)
    with pytest.raises(ModelError, match=r"net\.onnx: is quantized, in integers; use it as it is"):
        imported(tmp_path, data)
    assert isinstance(importers.load(tmp_path / "net.onnx"), QuantizedNetwork)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda made: setattr(made.opset_import[0], "version", 99), r"is of opset 99, and this onnx knows opsets up to \d+; "),
        (lambda made: setattr(made, "ir_version", 99), r"is of IR version 99, and this onnx knows up to \d+; export it with"),
        (lambda made: setattr(made.graph.node[0], "domain", "my.own"), r"node 1 of 2, .* is of the domain 'my.own'; export"),
    ],
)
def test_versions_and_domains(change: Any, fact: str, tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(model(chain(FLAT, GEMM), DENSE))
    change(made)
    with pytest.raises(ModelError, match=fact):
        imported(tmp_path, made.SerializeToString())


@pytest.mark.parametrize("dtype", [np.complex64, np.float32])
def test_weights_of_another_kind(dtype: Any, tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(model(chain(FLAT, GEMM), {"dense": DENSE["dense"].astype(dtype)}))
    if dtype is np.float32:
        made.graph.node.append(onnx.helper.make_node("Constant", [], ["dense"], sparse_value=_sparse()))
        made.graph.ClearField("initializer")
    with pytest.raises(ModelError, match=r"of complex64, which cannot be used|holds sparse weights; export dense ones"):
        imported(tmp_path, made.SerializeToString())


def _sparse() -> Any:
    from onnx import helper, numpy_helper

    values = numpy_helper.from_array(np.ones(2, np.float32), "dense")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1, 70]), "at"), [3, 64])
