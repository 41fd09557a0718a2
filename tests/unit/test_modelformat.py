"""What a model file says of a network: every field and tensor of another type or range is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from modelfiles import Tensors, example, parts, refusal, write
from networks import own_format, random_network

from ebpfnn.bodies import modelfile

NONE_OF = [None, True, 1.5, "x", [], {}, 10**400]
NOT_OF_ITS_TYPE = {
    "name": [None, True, 1, 1.5, [], {}, "a\nb"],
    "input": [None, True, 1, "x", [], {}],
    "labels": [None, True, 1, "abc", [], {}, [None] * 3, ["a\nb"] * 3],
    "layers": [None, True, 1, "x", [], {}, [None], [None, None], [[], []]],
    "score_scale": [None, True, "1", [], {}, -1, 0, 10**400, float("nan"), float("inf")],
    "density": [
        None,
        True,
        1,
        "x",
        {},
        [0.5],
        [0.5, 1, 0, -0.1],
        [0.5, 1, 0, 1.1],
        [0.5, 1, 0, None],
        [0.5, 1, 0, float("nan")],
    ],
    "card": [None, True, 1, "x", [], {"a": 1}, {"a": "b\nc"}, {"a\x1b": "b"}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in NOT_OF_ITS_TYPE.items() for value in values])
def test_fields_of_another_type(tmp_path: Path, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    write(tmp_path / "a", tensors, {**described, field: value}, metadata)
    refusal(tmp_path / "a")


INPUT = {
    "shape": [*NONE_OF, [None], [True, 12], [3, -4], [12.0], [10**400], [1, 1, 4, 5], [4, 5, 6]],
    "bits": [*NONE_OF, 0, 3, 8],
    "thresholds": [*NONE_OF, [1, 2], [1, 2, 2], [0, 1, 2], [1, 2, 256], [1, 2, 3.0], [1, 2, True]],
    "value_thresholds": [None, True, "x", {}, [[9]], [1], [None], [[1, 2, 3]] * 2 + [[1, 2]], [[1, 2, 3.0]], [[1, 2, True]]],
    "packed": [None, 1, 0, "x", [], {}],
    "bit_order": [None, True, 1, "middle", [], {}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in INPUT.items() for value in values])
def test_fields_of_the_input_of_another_type_or_range(tmp_path: Path, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    described["input"][field] = value
    write(tmp_path / "a", tensors, described, metadata)
    refusal(tmp_path / "a")


def test_thresholds_of_a_value_that_do_not_fit_are_told_with_its_number(tmp_path: Path) -> None:
    tensors, described, metadata = parts(replace(random_network((3, 2), 1, bits=1), input=own_format(3, 1, 1)))
    for own, fact in (([[1], [2], [257]], "thresholds must not fall"), ([[1], [2], ["3"]], "'value_thresholds' must be")):
        described["input"]["value_thresholds"] = own
        write(tmp_path / "a", tensors, described, metadata)
        assert f"input: value 2: {fact}" in refusal(tmp_path / "a")


WINDOW = ["kernel", "stride", "padding"]
LAYERS = {
    0: ["type", "shift", "low", "high", "zero_point", "slope", "groups", "pad_value", *WINDOW],
    1: ["type", *WINDOW],
    2: ["type", "shift", "low", "high", "zero_point", "slope"],
}


@pytest.mark.parametrize("value", [None, True, "x", [], {}, 10**400])
@pytest.mark.parametrize(("number", "field"), [(number, field) for number, fields in LAYERS.items() for field in fields])
def test_layer_fields_of_another_type(tmp_path: Path, number: int, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    assert field in described["layers"][number]
    described["layers"][number][field] = value
    write(tmp_path / "a", tensors, described, metadata)
    assert f"layer {number}: " in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    ("number", "field", "value", "fact"),
    [
        (0, "kernel", [3], "'kernel', 'stride' and 'padding' must hold 2, 2 and 4 integers"),
        (0, "kernel", [3, 2], "layer 0: weights must have the window's rows and columns"),
        (0, "padding", [3, 0, 0, 0], "layer 0: padding must be (top, left, bottom, right), below the kernel"),
        (0, "groups", 3, "layer 0: 4 channels do not split in 3 groups"),
        (0, "groups", 2, "layer 0 takes 2 channels but is given 1x4x5"),
        (0, "pad_value", 4, "layer 0 is padded with 4, outside its input's 0..3"),
        (0, "pad_value", 2**31 + 1, "layer 0: 'pad_value' must fit 32 bits"),
        (0, "zero_point", 256, "layer 0: zero_point must lie in -128..255"),
        (1, "stride", [0, 1], "layer 1: stride must be (rows, columns), each 1 or more"),
        (1, "kernel", [9, 9], "layer 1 has a window larger than its input, 4x4x5"),
        (2, "high", 300, "layer 2 is clipped to"),
        (2, "type", "conv3d", "is of type 'conv3d', and this ebpfnn knows dense, conv2d, max_pool"),
        (1, "type", "dense", "layer 1: tensor 'layers.1.weights' is missing"),
        (0, "type", "max_pool", "tensor 'layers.0.bias' is not expected"),
    ],
)
def test_layers_that_do_not_fit(tmp_path: Path, number: int, field: str, value: object, fact: str) -> None:
    tensors, described, metadata = parts(example())
    described["layers"][number][field] = value
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def changed(name: str, array: np.ndarray) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: array})


@pytest.mark.parametrize(
    ("bend", "fact"),
    [
        (without("layers.2.bias"), "layer 2: tensor 'layers.2.bias' is missing"),
        (changed("more", np.zeros(3)), "tensor 'more' is not expected"),
        (changed("layers.1.weights", np.zeros(3)), "tensor 'layers.1.weights' is not expected"),
        (changed("layers.0.weights", np.zeros((4, 1, 3, 3), np.int16)), "layer 0: weights must be int8"),
        (changed("layers.0.weights", np.zeros((4, 9), np.int8)), "layer 0: weights must be int8"),
        (changed("layers.2.weights", np.zeros(80, np.int8)), "layer 2: weights must be int8"),
        (changed("layers.2.weights", np.full((5, 16), -128, np.int8)), "layer 2: weights must lie in -127..127"),
        (changed("layers.2.weights", np.zeros((5, 11), np.int8)), "layer 2 takes 11 values but is given 4x2x2"),
        (changed("layers.3.bias", np.zeros(4, np.int32)), "layer 3: bias must be int32"),
        (changed("layers.3.bias", np.full(3, 2**31 - 1, np.int32)), "layer 3 can reach"),
        (changed("layers.0.positive", np.full(4, -1, np.int32)), "layer 0: multipliers must not be negative"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, bend: Callable[[Tensors], object], fact: str) -> None:
    tensors, described, metadata = parts(example())
    bend(tensors)
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    ("described", "fact"),
    [("", "not JSON"), ("[" * 100_000, "not JSON"), ("[]", "not a JSON object"), ("1", "not a JSON object")],
)
def test_descriptions_that_are_not_objects(tmp_path: Path, described: str, fact: str) -> None:
    tensors, _, metadata = parts(example())
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")


def test_another_safetensors_and_another_version(tmp_path: Path) -> None:
    tensors, described, metadata = parts(example())
    (tmp_path / "other").write_bytes(safetensors.numpy.save(tensors))
    assert "not of a model" in refusal(tmp_path / "other")
    for version in ("1", "3"):
        write(tmp_path / "new", tensors, described, {**metadata, "version": version})
        told = f"new: version '{version}' of the format, but this ebpfnn reads 2; install the ebpfnn that wrote it"
        assert told in refusal(tmp_path / "new")


def test_files_of_today_are_read_by_an_ebpfnn_of_tomorrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modelfile.save(example(), tmp_path / "today")
    monkeypatch.setattr(modelfile, "_CONTAINER", replace(modelfile._CONTAINER, version="3"))
    assert modelfile.load(tmp_path / "today").name == example().name
