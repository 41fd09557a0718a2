"""Weights in other files, whose paths are anybody's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import chain, model

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import onnx_external
from ebpfnn.quantize.floats import FloatDense

onnx = pytest.importorskip("onnx")
WEIGHTS = np.arange(-320, 320, dtype=np.float32).reshape(10, 64)
BIAS = np.arange(10, dtype=np.float32)


def saved(folder: Path, location: str = "net.onnx.data") -> Path:
    """A network whose weights lie in another file."""
    nodes = chain(("Flatten", (), {}), ("Gemm", ("dense", "bias"), {"transB": 1}))
    made = onnx.load_model_from_string(model(nodes, {"dense": WEIGHTS, "bias": BIAS}))
    onnx.save_model(made, folder / "net.onnx", save_as_external_data=True, location=location, size_threshold=0)
    return folder / "net.onnx"


def changed(path: Path, **told: str | None) -> Path:
    """``path``, with other entries for its first tensor."""
    made: Any = onnx.load_model(path, load_external_data=False)
    tensor = made.graph.initializer[0]
    entries = {each.key: each.value for each in tensor.external_data} | told
    del tensor.external_data[:]
    for key, value in entries.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    path.write_bytes(made.SerializeToString())
    return path


def dense(path: Path) -> FloatDense:
    network = importers.load_float(path)
    layer = network.layers[-1]
    assert isinstance(layer, FloatDense)
    return layer


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as found:
        importers.load(path)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_weights_beside_the_model_and_below_it(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for location in ("net.onnx.data", "parts/weights"):
        layer = dense(saved(tmp_path, location))
        assert np.array_equal(layer.weights, WEIGHTS)
        assert np.array_equal(layer.bias, BIAS)


def test_without_offset_and_length_it_is_the_whole_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "whole").write_bytes(WEIGHTS.tobytes())
    assert np.array_equal(dense(changed(path, location="whole", offset=None, length=None)).weights, WEIGHTS)


@pytest.mark.parametrize("location", ["/etc/passwd", "../net.onnx.data", "a/../../b", "", ".", "a\0b", "a\nb"])
def test_a_path_that_leaves_the_folder_is_not_opened(tmp_path: Path, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed(saved(tmp_path), location=location)
    monkeypatch.setattr(onnx_external, "_opened", lambda *_: pytest.fail("was opened"))
    assert "outside the folder of the model, which is not read; save the model with external_data=False" in refused(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "net.onnx.data").rename(tmp_path / "other")
    (tmp_path / "net.onnx.data").symlink_to("other")
    assert "a symbolic link is not followed" in refused(path)
    (tmp_path / "folder").symlink_to(tmp_path, target_is_directory=True)
    assert "cannot be read" in refused(changed(path, location="folder/other"))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "net.onnx.data").unlink()
    assert "cannot be read (No such file or directory); put the file" in refused(path)
    os.mkfifo(tmp_path / "net.onnx.data")
    assert "is no regular file" in refused(path)


@pytest.mark.parametrize(
    ("told", "fact"),
    [
        ({"offset": "4"}, "is bytes 4 to 2564 of 'net.onnx.data', which has"),
        ({"offset": "999999999999"}, "is bytes 999999999999 to"),
        ({"length": "99999999"}, "is bytes 0 to 99999999 of"),
        ({"offset": "-1"}, "has the place '-1' in 'net.onnx.data'"),
        ({"length": "ten"}, "has the place 'ten'"),
        ({"length": "9" * 30}, "has the place"),
        ({"length": "8"}, "net.onnx: "),
    ],
)
def test_places_that_do_not_fit(tmp_path: Path, told: dict[str, str], fact: str) -> None:
    path = saved(tmp_path)
    (tmp_path / "net.onnx.data").write_bytes(WEIGHTS.tobytes())
    made = onnx.load_model(path, load_external_data=False)
    del made.graph.initializer[1].external_data[:]
    made.graph.initializer[1].data_location = 0
    made.graph.initializer[1].raw_data = BIAS.tobytes()
    path.write_bytes(made.SerializeToString())
    assert fact in refused(changed(path, **{"offset": "0", "length": str(WEIGHTS.nbytes), **told}))


def test_all_tensors_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_external, "MAX_BYTES", WEIGHTS.nbytes + BIAS.nbytes - 1)
    assert "tensor 'bias' in 'net.onnx.data' exceeds the 0 MiB of all tensors" in refused(saved(tmp_path))
    monkeypatch.setattr(onnx_external, "MAX_BYTES", WEIGHTS.nbytes + BIAS.nbytes)
    assert np.array_equal(dense(tmp_path / "net.onnx").bias, BIAS)
