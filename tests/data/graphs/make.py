"""Makes the files beside it: modules whose graphs branch and join, by PyTorch's exporters, and by onnxruntime's quantization.

pip install torch onnx onnxruntime; python make.py

``wanted.npz`` has the samples of each file, and what PyTorch or onnxruntime computes of them.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
IMAGE, LINE = (3, 8, 8), (4, 12)
COUNT = 40


class Module(nn.Module):
    def __init__(self, body: Callable[[Any, torch.Tensor], torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts, self.body = nn.ModuleList(parts), body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.parts, x)


def conv(inputs: int, outputs: int, size: int = 3) -> nn.Module:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


def residual(parts: Any, x: torch.Tensor) -> torch.Tensor:
    """As torchvision's ResNet writes it: in place."""
    first = functional.relu(parts[1](parts[0](x)), inplace=True)
    out = functional.relu(parts[2](first), inplace=True)
    out = parts[4](parts[3](out))
    out += first
    return parts[5](functional.max_pool2d(functional.relu(out, inplace=True), 2).flatten(1))


def joined(parts: Any, x: torch.Tensor) -> torch.Tensor:
    a, b, c = (functional.relu(part(x)) for part in parts[:3])
    difference = functional.leaky_relu(a - b * 0.5, 0.1)
    total = torch.add(a + b + c, difference, alpha=-0.25)
    return parts[4](parts[3](torch.cat([total, c, x], 1)).flatten(1))


def functions(parts: Any, x: torch.Tensor) -> torch.Tensor:
    """PReLU with a slope for each channel, and SiLU, behind sums."""
    a, b = parts[0](x), parts[1](x)
    return parts[3](functional.silu(parts[2](a + b) + a).flatten(1))


def lines(parts: Any, x: torch.Tensor) -> torch.Tensor:
    a = functional.relu(parts[1](parts[0](x)))
    a = functional.max_pool1d(a + functional.relu(parts[2](a)), 2)
    return parts[3](functional.adaptive_avg_pool1d(a, 3).flatten(1))


def plain(parts: Any, x: torch.Tensor) -> torch.Tensor:
    """What onnxruntime quantizes throughout."""
    a = functional.relu(parts[0](x))
    a = functional.relu(a + parts[2](functional.relu(parts[1](a))))
    b = functional.max_pool2d(torch.cat([a, functional.relu(parts[3](x)), x], 1), 2)
    b = functional.relu(parts[4](b) - parts[5](b))
    return parts[6](b.flatten(1))


def rounded(x: torch.Tensor, scale: float, point: int = 0, low: int = 0, high: int = 255) -> torch.Tensor:
    return torch.fake_quantize_per_tensor_affine(x, scale, point, low, high)


class Aware(Module):
    """Trained with fake quantization, as PyTorch exports it."""

    def layer(self, number: int, x: torch.Tensor) -> torch.Tensor:
        weights = rounded(self.parts[number].weight, 0.004, 0, -128, 127)
        return functional.conv2d(x, weights, self.parts[number].bias, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = rounded(functional.relu(self.layer(0, rounded(x, 1 / 255))), 0.007)
        b = rounded(self.layer(1, a), 0.01, 0, -128, 127)
        c = rounded(functional.relu(a + b), 0.012)
        last = rounded(self.parts[2].weight, 0.002, 0, -128, 127)
        return functional.linear(c.flatten(1), last, self.parts[2].bias)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (
        lambda: Module(residual, conv(3, 6), nn.BatchNorm2d(6), conv(6, 6), conv(6, 6), nn.BatchNorm2d(6), nn.Linear(96, 5)),
        IMAGE,
    ),
    "joined": (lambda: Module(joined, conv(3, 4), conv(3, 4), conv(3, 4, 1), conv(11, 3), nn.Linear(192, 5)), IMAGE),
    "functions": (lambda: Module(functions, conv(3, 4), conv(3, 4), nn.PReLU(4), nn.Linear(256, 5)), IMAGE),
    "lines": (
        lambda: Module(
            lines, nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6), nn.Conv1d(6, 6, 5, padding=2), nn.Linear(18, 5)
        ),
        LINE,
    ),
}
QUANTIZED: dict[str, dict[str, Any]] = {
    "signed": {},
    "unsigned": {"activation_type": QuantType.QUInt8, "per_channel": True},
    "pairs": {"extra_options": {"DedicatedQDQPair": True}},
}


class Reader(CalibrationDataReader):
    def __init__(self, given: np.ndarray) -> None:
        self.left = iter(given)

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self.left, None)
        return None if sample is None else {"x": sample[None]}


def seen(module: nn.Module) -> nn.Module:
    """In eval mode, its normalizations and slopes as if they had seen something."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
        if isinstance(part, nn.PReLU):
            part.weight.data.copy_(torch.linspace(0, 1, part.num_parameters))
    return module.eval()


def samples(shape: tuple[int, ...]) -> np.ndarray:
    """Blank, full, sparse, and noise of several widths."""
    random = np.random.default_rng(3)
    found = random.integers(0, 256, (COUNT, *shape)).astype(np.uint8)
    found[0], found[1], found[2:8] = 0, 255, found[2:8] * (random.random((6, *shape)) < 0.1)
    found[8:16] //= 16
    return found


def export(module: nn.Module, given: torch.Tensor, path: Path) -> None:
    torch.onnx.export(
        module, (given[:1],), str(path), dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "n"}}
    )


def run(path: Path, given: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": given})
    return found


def main() -> None:
    warnings.simplefilter("ignore")
    wanted: dict[str, np.ndarray] = {"image": samples(IMAGE), "line": samples(LINE)}
    with torch.no_grad():
        for number, (name, (make, shape)) in enumerate(MODULES.items()):
            torch.manual_seed(number)
            module = seen(make())
            given = torch.from_numpy(wanted["image" if shape == IMAGE else "line"].astype(np.float32) / 255)
            wanted[name] = module(given).numpy()
            program = torch.export.export(module, (given[:2],), strict=False)
            for node in program.graph.nodes:  # of the machine that exports
                for kept in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
                    node.meta.pop(kept, None)
            program.example_inputs = None
            torch.export.save(program, HERE / f"{name}.pt2")
            export(module, given, HERE / f"{name}.onnx")
        torch.manual_seed(9)
        given = torch.from_numpy(wanted["image"].astype(np.float32) / 255)
        parts = conv(3, 4), conv(4, 4), conv(4, 4), conv(3, 3, 1), conv(10, 4, 1), conv(10, 4, 1), nn.Linear(64, 5)
        export(seen(Module(plain, *parts)), given, HERE / "float.onnx")
        for name, options in QUANTIZED.items():
            path = HERE / f"{name}.qdq.onnx"
            quantize_static(HERE / "float.onnx", path, Reader(given.numpy()), **options)
            wanted[name] = run(path, given.numpy())
        (HERE / "float.onnx").unlink()
        export(Aware(plain, conv(3, 4), conv(4, 4), nn.Linear(256, 5)).eval(), given, HERE / "aware.qdq.onnx")
        wanted["aware"] = run(HERE / "aware.qdq.onnx", given.numpy())
    np.savez_compressed(HERE / "wanted.npz", **wanted)
    for path in itertools.chain(HERE.glob("*.pt2"), HERE.glob("*.onnx"), HERE.glob("*.npz")):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
