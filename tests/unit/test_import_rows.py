"""Networks over flat floats that take rows of a table because the data for them are rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnxes import chain, model, run

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.datasets.rows import has_rows
from ebpfnn.errors import InputError
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.plugin import Plugins
from ebpfnn.preparation import Values

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(1)
ROWS = RANDOM.normal([0, 50, -3, 1000], [1, 20, 0.1, 300], (300, 4)).astype(np.float32)
MIDDLE, SPREAD = ROWS.mean(axis=0), ROWS.std(axis=0)
PARTS = {
    "middle": MIDDLE,
    "spread": SPREAD,
    "w": RANDOM.normal(size=(12, 4)).astype(np.float32),
    "b": RANDOM.normal(size=12).astype(np.float32),
    "v": RANDOM.normal(size=(3, 12)).astype(np.float32),
}
STEPS: list[tuple[Any, ...]] = [
    ("Sub", ["middle"], {}),
    ("Div", ["spread"], {}),
    ("Gemm", ["w", "b"], {"transB": 1}),
    ("Tanh", [], {}),
    ("Gemm", ["v"], {"transB": 1}),
    ("Softmax", [], {}),
]


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_table_makes_columns(suffix: str, tmp_path: Path) -> None:
    data = model(chain(*STEPS), PARTS, ("n", 4))
    (tmp_path / "net.onnx").write_bytes(data)
    rows = tmp_path / f"rows.{suffix}"
    if suffix == "npz":
        np.savez(rows, samples=ROWS)
    else:
        rows.write_text("a,b,c,d\n" + "".join(",".join(map(repr, row)) + "\n" for row in ROWS.astype(float).tolist()))
    output = tmp_path / "net.safetensors"
    found = CliRunner().invoke(
        main, ["quantize", str(tmp_path / "net.onnx"), "--calibration", str(rows), "--output", str(output)]
    )
    assert found.exit_code == 0, found.output
    network = modelfile.load(output)
    assert isinstance(network, QuantizedNetwork)
    assert network.input.preparation.kind == "columns"
    first = network.layers[0]
    assert first.requantization.function == "tanh"  # type: ignore[union-attr]
    wanted = Plugins.installed().wanted(network.input)
    samples = np.stack([wanted.one(Values(row)) for row in ROWS])
    scores = run(data, ROWS)
    clear = np.diff(np.sort(scores)[:, -2:])[:, 0] > 0.1
    assert (reference.labels(network, samples) == scores.argmax(axis=1))[clear].all()
    assert clear.mean() > 0.6


def test_what_rows_are(tmp_path: Path) -> None:
    for name, samples, wanted in (
        ("bytes", np.zeros((3, 4), np.uint8), False),
        ("whole", np.full((3, 4), 7.0), False),
        ("floats", np.full((3, 4), 0.5), True),
        ("images", np.full((3, 4, 4), 0.5), False),
    ):
        np.savez(tmp_path / f"{name}.npz", samples=samples, labels=np.zeros(3, int))
        assert has_rows(tmp_path / f"{name}.npz") == wanted, name
    (tmp_path / "damaged.npz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"not an \.npz file, or damaged"):
        has_rows(tmp_path / "damaged.npz")
