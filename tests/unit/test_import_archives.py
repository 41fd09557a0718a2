""".pt2 archives: what is read of them without PyTorch, and what is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Network

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 12, 12)).astype(np.uint8)


def plain() -> Any:
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(144, 5))


def computed(module: Any, given: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        found: np.ndarray = module(torch.tensor(given / 255).float()).numpy()
    return found


def archive(tmp_path: Path, module: Any = None) -> Path:
    import torch

    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(module or plain(), (torch.zeros(2, 1, 12, 12),)), path)
    return path


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """The archive with every member changed; None leaves one out."""
    with zipfile.ZipFile(path) as old:
        members = [(name, change(name, old.read(name))) for name in old.namelist()]
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members:
            if data is not None:
                new.writestr(name, data)


def changed_json(part: str, change: Callable[[Any], object]) -> Callable[[str, bytes], bytes]:
    def apply(name: str, data: bytes) -> bytes:
        if not name.endswith(part):
            return data
        held = json.loads(data)
        change(held)
        return json.dumps(held).encode()

    return apply


def without(part: str) -> Callable[[str, bytes], bytes | None]:
    return lambda name, data: None if name.endswith(part) else data


def pickled(config: Any) -> None:
    next(iter(config["config"].values()))["use_pickle"] = True


def two_outputs(held: Any) -> None:
    held["graph_module"]["signature"]["output_specs"] *= 2


def old(held: Any) -> None:
    held["schema_version"]["major"] = 7


def beyond(config: Any) -> None:
    next(iter(config["config"].values()))["tensor_meta"]["storage_offset"]["as_int"] = 1 << 40


def backward(config: Any) -> None:
    next(iter(config["config"].values()))["tensor_meta"]["strides"][0]["as_int"] = -1


WEIGHTS_CONFIG, GRAPH = "model_weights_config.json", "models/model.json"
BROKEN: dict[str, tuple[Callable[[str, bytes], bytes | None], str]] = {
    "a pickle": (
        changed_json(WEIGHTS_CONFIG, pickled),
        "holds '1.weight' in a pickle, which is not opened; save plain",
    ),
    "two outputs": (changed_json(GRAPH, two_outputs), "has 1 inputs and 2 outputs; export one of each"),
    "an old version": (changed_json(GRAPH, old), "has schema version 7, and this ebpfnn reads 8; export it again"),
    "weights beyond the end": (changed_json(WEIGHTS_CONFIG, beyond), "holds less of '1.weight' than it says"),
    "weights before the start": (changed_json(WEIGHTS_CONFIG, backward), "holds less of '1.weight' than it says"),
    "no graph": (without(GRAPH), r"has 0 graphs models/model\.json, not one"),
    "no weights": (without("weight_0"), "whose contents are not as PyTorch writes them"),
    "no nodes": (
        changed_json(GRAPH, lambda held: held["graph_module"].pop("graph")),
        "whose contents are not as PyTorch writes",
    ),
    "no JSON": (lambda name, data: b"{" if name.endswith(GRAPH) else data, "whose contents are not as PyTorch writes them"),
    "big-endian": (lambda name, data: b"big" if name.endswith("byteorder") else data, "holds big-endian weights"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_archives_that_cannot_be_imported(kind: str, tmp_path: Path) -> None:
    change, fact = BROKEN[kind]
    path = archive(tmp_path)
    rewritten(path, change)
    with pytest.raises(ModelError, match=r"net\.pt2: .*" + fact) as caught:
        importers.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_archives_cut_short(share: float, tmp_path: Path) -> None:
    path = archive(tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ModelError, match=r"net\.pt2: (not a \.pt2 archive, or damaged|has 0 graphs .*); export it again"):
        importers.load(path)


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("net/models/model.json", bytes(65 << 20))
    with pytest.raises(ModelError, match=r"net\.pt2: holds [0-9]+ bytes, over 64 MiB; give a smaller network"):
        importers.load(tmp_path / "net.pt2")


@pytest.mark.filterwarnings("ignore:No complete tensor found in the group")
def test_weights_that_lie_otherwise_than_in_rows(tmp_path: Path) -> None:
    import torch

    module = plain()
    module[1].weight = torch.nn.Parameter(module[1].weight.detach().T.contiguous().T)
    network = importers.load_float(archive(tmp_path, module))
    assert np.abs(logits(network, PIXELS) - computed(module, PIXELS[:, None])).max() < 1e-4
    assert isinstance(network, Network)
    half = plain().to(torch.bfloat16)
    rounded = half[1].weight.detach().float().numpy()
    program = torch.export.export(half, (torch.zeros(2, 1, 12, 12, dtype=torch.bfloat16),))
    torch.export.save(program, tmp_path / "half.pt2")
    found = importers.load_float(tmp_path / "half.pt2").layers[0].weights
    assert np.array_equal(found, rounded)


def test_an_archive_is_read_without_pytorch(tmp_path: Path) -> None:
    """So nothing of it can be unpickled by it, sample inputs included."""
    path = archive(tmp_path)
    program = f"import sys; from ebpfnn import importers; importers.load({str(path)!r}); print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_pickle_among_the_sample_inputs_is_not_looked_at(tmp_path: Path) -> None:
    path = archive(tmp_path)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as evil:
        evil.writestr("x/data.pkl", b"cos\nsystem\n(S'touch owned'\ntR.")
    rewritten(path, lambda name, data: stream.getvalue() if "sample_inputs" in name else data)
    assert importers.load_float(path).input.shape == (12, 12)
    assert not Path("owned").exists()
