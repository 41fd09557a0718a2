"""PyTorch modules and exported programs: what they compute, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

if TYPE_CHECKING:
    import torch
    from torch import nn

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 12, 12)).astype(np.uint8)
FORM = InputFormat((12, 12))
NAMES = ("a", "b", "c", "d", "e")


def random_module(seed: int) -> nn.Module:
    """Some of everything that can be imported, ending with five logits."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    activations = [nn.ReLU(), nn.LeakyReLU(0.125), nn.ReLU6(), nn.Hardtanh(-0.5, 0.7), nn.Identity(), nn.PReLU(init=0.2)]

    def activation() -> nn.Module:
        return activations[random.integers(len(activations))]

    channels = int(random.choice([2, 4, 6]))
    layers: list[nn.Module] = [nn.BatchNorm2d(1)] if random.random() < 0.3 else []
    padding = [0, 1, (0, 1), "same"][random.integers(4)]
    stride = 1 if padding == "same" else (1, 2)
    layers.append(nn.Conv2d(1, channels, (3, int(random.integers(2, 4))), stride, padding, bias=bool(random.integers(2))))
    if random.random() < 0.5:
        layers.append(nn.BatchNorm2d(channels))
    pools = [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2), nn.AvgPool2d(2, 2, 1), nn.Identity()]
    layers += [activation(), pools[random.integers(len(pools))]]
    if random.random() < 0.5:
        layers += [nn.BatchNorm2d(channels), nn.Conv2d(channels, channels * 2, 2, groups=2, padding=int(random.integers(2)))]
        layers += [nn.Dropout2d(), activation(), nn.Conv2d(channels * 2, channels * 2, 3, groups=channels * 2, padding=1)]
        layers += [activation()]
    layers += [nn.AdaptiveAvgPool2d(1)] if random.random() < 0.3 else [nn.ZeroPad2d(1), nn.Conv2d(_channels(layers), 3, 3)]
    layers += [nn.Flatten(), nn.Dropout()]
    size = nn.Sequential(*layers).eval()(torch.zeros(1, 1, 12, 12)).shape[1]
    if random.random() < 0.5:
        layers += [nn.Linear(size, 16), nn.BatchNorm1d(16), activation(), nn.BatchNorm1d(16)]
        size = 16
    return trained(nn.Sequential(*layers, nn.Linear(size, 5)))


def _channels(layers: list[nn.Module]) -> int:
    return int([each.out_channels for each in layers if hasattr(each, "out_channels")][-1])


def trained(module: nn.Module) -> nn.Module:
    """Its batch normalizations as if they had seen something."""
    import torch
    from torch import nn

    for each in module.modules():
        if isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d)):
            with torch.no_grad():
                each.running_mean.normal_()
                each.running_var.uniform_(0.5, 2)
                each.weight.normal_()
                each.bias.normal_()
    return module


def computed(module: nn.Module, given: np.ndarray) -> np.ndarray:
    import torch

    module.eval()
    with torch.no_grad():
        found: np.ndarray = module(torch.tensor(given / 255).float()).numpy()
    return found


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("seed", range(12))
def test_random_modules_compute_what_pytorch_computes(seed: int) -> None:
    module = random_module(seed)
    network = importers.from_module(module, FORM, "random", NAMES)
    expected = computed(module, PIXELS[:, None])
    assert np.abs(logits(network, PIXELS) - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())
    integers = quantize(network, PIXELS)
    found = reference.scores(integers, PIXELS) * integers.score_scale
    assert np.sqrt(np.square(found - expected).mean()) < 0.1 * np.sqrt(np.square(expected).mean()) + 0.02


def functional() -> nn.Module:
    from torch import nn

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, stride=2)
            self.norm, self.last = nn.BatchNorm2d(8), nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = (x - 0.1307) / 0.3081
            x = nn.functional.relu(self.first(x), inplace=True)
            x = nn.functional.leaky_relu(self.norm(self.second(x)), 0.1).clamp(max=1.5).clamp_min(-0.25)
            x = nn.functional.dropout(nn.functional.max_pool2d(x, 2), training=self.training)
            x = x.mean((2, 3)) if x.shape[0] else x
            return nn.functional.log_softmax(self.last(x), dim=1)

    return trained(Functional())


def centered(array: np.ndarray) -> np.ndarray:
    """Logits, of which a softmax leaves all but a common part."""
    return array - array.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("any_batch", [False, True])
def test_programs_and_archives(decomposed: bool, any_batch: bool, tmp_path: Path) -> None:
    import torch

    module = functional().eval()
    expected = centered(computed(module, PIXELS[:, None]))
    shapes = ({0: torch.export.Dim("n", min=2, max=64)},) if any_batch else None
    program = torch.export.export(module, (torch.zeros(3, 1, 12, 12),), dynamic_shapes=shapes)
    if decomposed:
        program = program.run_decompositions()
    network = importers.from_exported(program, FORM, "program", NAMES)
    assert np.abs(centered(logits(network, PIXELS)) - expected).max() < 1e-4
    torch.export.save(program, tmp_path / "net.pt2")
    loaded = importers.load_float(tmp_path / "net.pt2")
    assert np.array_equal(logits(loaded, PIXELS), logits(network, PIXELS))
    assert (loaded.name, loaded.labels, loaded.input.shape) == ("net", ("0", "1", "2", "3", "4"), (12, 12))


def test_a_module_keeps_its_mode_and_weights() -> None:
    module = random_module(1)
    module.train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    importers.from_module(module, FORM, "n", NAMES)
    assert all(each.training for each in module.modules())
    assert all(bool((before[key] == value).all()) for key, value in module.state_dict().items())


@pytest.mark.parametrize("shape", [(144,), (12, 12), (1, 12, 12), (3, 4, 12)])
def test_the_shapes_that_modules_take(shape: tuple[int, ...]) -> None:
    from torch import nn

    module = nn.Sequential(nn.Flatten(), nn.Linear(144, 5)) if len(shape) > 1 else nn.Sequential(nn.Linear(144, 5))
    network = importers.from_module(module, InputFormat(shape), "n", NAMES)
    given = PIXELS.reshape(-1, *shape)
    assert np.abs(logits(network, given) - computed(module, given.reshape(20, 144) if len(shape) == 1 else given)).max() < 1e-4
    assert network.input.shape == shape


def test_the_input_of_a_module_is_kept() -> None:
    from torch import nn

    form = InputFormat((2,), 1, (), True, "little", ((9,), (256,)))
    assert importers.from_module(nn.Sequential(nn.Linear(2, 5)), form, "n", NAMES).input == form


def test_images_without_an_axis_of_channels() -> None:
    from torch import nn

    module = nn.Sequential(nn.Unflatten(1, (1, 12)), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 5))
    network = importers.from_module(module, FORM, "n", NAMES)
    assert np.abs(logits(network, PIXELS) - computed(module, PIXELS)).max() < 1e-4


def test_colors_normalized_each_its_own_way() -> None:
    import torch
    from torch import nn

    pixels = np.random.default_rng(1).integers(0, 256, (10, 3, 8, 8)).astype(np.uint8)
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    for padding in (0, 1):
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=padding), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
        )
        network = importers.from_module(module, InputFormat((3, 8, 8)), "n", NAMES, mean, std)
        given = (torch.tensor(pixels / 255).float() - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        with torch.no_grad():
            expected = module(given).numpy()
        assert np.abs(logits(network, pixels) - expected).max() < 1e-4
        assert len(network.layers) == 3 + padding, "what pads needs the normalization as a layer of its own"


def test_bytes_that_the_module_divides_itself() -> None:
    import torch
    from torch import nn

    class Bytes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(144, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(x.float().div(255).flatten(1))

    module = Bytes()
    program = torch.export.export(module, (torch.zeros(2, 12, 12, dtype=torch.uint8),))
    network = importers.from_exported(program, FORM, "n", NAMES)
    with torch.no_grad():
        assert np.abs(logits(network, PIXELS) - module(torch.tensor(PIXELS)).numpy()).max() < 1e-4
    same = importers.from_module(module, FORM, "n", NAMES)
    assert np.array_equal(logits(same, PIXELS), logits(network, PIXELS))


def gated(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1) * x.flatten(1).tanh()


REFUSED: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "dilation": (lambda: [_nn().MaxPool2d(3, dilation=2), *_end(9)], r"\(aten\.max_pool2d\), has a dilation of 2x2; only 1"),
    "an operator": (
        lambda: [_nn().Flatten(), _nn().LogSigmoid(), *_end(144)],
        r"\(aten\.log_sigmoid\), cannot be imported; Linear, Conv2d",
    ),
    "a softmax between": (
        lambda: [_nn().Flatten(), _nn().Softmax(1), *_end(144)],
        r"\(aten\.softmax\), is followed by more; a softmax must be the last",
    ),
    "a product": (lambda: [_function(gated), *_end(144)], r"\(aten\.mul\), takes several values; only add, sub and cat can"),
    "a broadcast": (
        lambda: [_function(lambda x: x + x.mean((2, 3), keepdim=True)), *_end(144)],
        r"\(aten\.add\), adds values of 1x12x12 and 1x1x1, which broadcasts; only values of one shape can be added",
    ),
    "joined rows": (
        lambda: [_function(lambda x: _torch().cat([x, x.relu()], 2)), *_end(288)],
        r"\(aten\.cat\), joins along another axis than channels",
    ),
    "joined constants": (
        lambda: [_function(lambda x: _torch().cat([x, _torch().ones(2, 1, 12, 12)], 1)), *_end(288)],
        r"\(aten\.(ones|cat)\), (makes a constant in a way that is not known|joins values and constants)",
    ),
    "an overlapping average": (lambda: [_nn().AdaptiveAvgPool2d(5), *_end(25)], r"makes 5x5 of 1x12x12; only divisors"),
    "padding left out": (
        lambda: [_nn().AvgPool2d(3, 2, 1, count_include_pad=False), *_end(36)],
        r"\(aten\.avg_pool2d\), leaves padding out of its averages",
    ),
    "a ceil mode": (
        lambda: [_nn().AvgPool2d(3, 2, ceil_mode=True), *_end(36)],
        r"\(aten\.avg_pool2d\), averages windows past the edge, in a ceil mode",
    ),
    "all axes": (
        lambda: [_function(lambda x: x - x.mean()), *_end(144)],
        r"\(aten\.mean\), averages over axes \[0, 1, 2, 3\]; only rows and columns",
    ),
    "slopes of channels": (
        lambda: [_nn().Conv2d(1, 2, 3), _nn().PReLU(2, init=2.0), *_end(200)],
        r"\(aten\.prelu\), has 2 slopes of 2\.\.2; only one for each channel, within 0\.\.1",
    ),
    "normalized flat values": (
        lambda: [_nn().Flatten(), _nn().Linear(144, 1025), _nn().ReLU(), _nn().BatchNorm1d(1025)],
        r"\(aten\.batch_norm\), changes flat values, 1025, where no layer with weights can take it in",
    ),
    "no layers": (lambda: [_nn().Flatten()], "has no layers; give a network with a Linear or Conv2d"),
}


def _nn() -> Any:
    from torch import nn

    return nn


def _torch() -> Any:
    import torch

    return torch


def _end(size: int) -> list[Any]:
    return [_nn().Flatten(), _nn().Linear(size, 5)]


def _function(body: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    from torch import nn

    class Function(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return body(x)

    return Function()


@pytest.mark.parametrize("kind", REFUSED)
def test_modules_that_cannot_be_imported(kind: str) -> None:
    make, fact = REFUSED[kind]
    with pytest.raises(ModelError, match=r"^network 'n': .*" + fact) as caught:
        importers.from_module(_nn().Sequential(*make()), FORM, "n", NAMES)
    assert "\n" not in str(caught.value)


def test_nan_is_refused_where_it_is() -> None:
    module = _nn().Sequential(_nn().Flatten(), _nn().Linear(144, 5))
    module[1].weight.data[2, 3] = float("nan")
    with pytest.raises(
        ModelError, match=r"'linear' \(aten\.linear\), has weights or a bias that hold NaN or infinity; train again"
    ):
        importers.from_module(module, FORM, "n", NAMES)


@pytest.mark.parametrize(("kind", "arguments"), [("Linear", (100, 5)), ("BatchNorm2d", (3,)), ("Unflatten", (1, (5, 5)))])
def test_modules_that_do_not_take_the_shape(kind: str, arguments: tuple[Any, ...]) -> None:
    module = _nn().Sequential(getattr(_nn(), kind)(*arguments))
    with pytest.raises(ModelError, match=r"network 'n': torch\.export refuses it for every input \(2x1x12x12: .*; give its"):
        importers.from_module(module, FORM, "n", NAMES)


def test_labels_that_are_not_as_many_as_the_classes() -> None:
    with pytest.raises(ModelError, match="network 'n': has 5 outputs but there are 2 labels; give one label an output"):
        importers.from_module(_nn().Sequential(*_end(144)), FORM, "n", ("a", "b"))


@pytest.mark.parametrize(
    "name",
    ["Tanh", "Sigmoid", "SiLU", "Hardswish", "Hardsigmoid", "GELU", "ELU", "SELU", "CELU", "Softplus", "Mish", "LeakyReLU"],
)
def test_activations_by_tables(name: str) -> None:
    import torch
    from torch import nn

    torch.manual_seed(1)
    by = nn.LeakyReLU(-0.2) if name == "LeakyReLU" else getattr(nn, name)()
    module = nn.Sequential(nn.Conv2d(1, 3, 3), by, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(75, 5)).eval()
    network = importers.from_module(module, FORM, "n", NAMES)
    with torch.no_grad():
        wanted = module(torch.from_numpy(PIXELS[:, None].astype(np.float32) / 255)).numpy()
    np.testing.assert_allclose(logits(network, PIXELS), wanted, atol=1e-4)
    integers = quantize(network, PIXELS)
    found = reference.scores(integers, PIXELS) * integers.score_scale
    assert np.abs(found - wanted).mean() < 0.05 * wanted.std() + 0.01
    assert len(integers.layers) == 3


def test_slopes_of_single_channels() -> None:
    import torch
    from torch import nn

    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.PReLU(4), nn.Flatten(), nn.Linear(400, 5)).eval()
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor([0.0, 0.1, 0.5, 1.0]))
        wanted = module(torch.from_numpy(PIXELS[:, None].astype(np.float32) / 255)).numpy()
    np.testing.assert_allclose(logits(importers.from_module(module, FORM, "n", NAMES), PIXELS), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 3, 0), (3, 3, 1), (5, 4, 2), (2, 3, 1)]
)
def test_windows_of_a_ceil_mode_are_those_of_pytorch(kernel: int, stride: int, padding: int) -> None:
    """Also where the last window would begin in the edge, which PyTorch leaves out."""
    import torch
    from torch import nn

    for size in range(6, 12):
        torch.manual_seed(size)
        module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(kernel, stride, padding, ceil_mode=True), nn.Flatten())
        shape = (size, size + 1)
        outputs = module(torch.zeros(1, 1, *shape)).shape[1]
        module = nn.Sequential(*module, nn.Linear(outputs, 3)).eval()
        samples = np.random.default_rng(size).integers(0, 256, (4, *shape)).astype(np.uint8)
        network = importers.from_module(module, InputFormat(shape), "net", ("a", "b", "c"))
        with torch.no_grad():
            wanted = module(torch.from_numpy(samples[:, None] / 255).float()).numpy()
        np.testing.assert_allclose(logits(network, samples), wanted, atol=1e-4)


def test_one_value_joined_is_that_value() -> None:
    import torch
    from torch import nn

    torch.manual_seed(4)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), _function(lambda x: torch.cat([x], 1)), nn.Flatten(), nn.Linear(72, 3)).eval()
    network = importers.from_module(module, InputFormat((8, 8)), "net", ("a", "b", "c"))
    samples = np.random.default_rng(4).integers(0, 256, (4, 8, 8)).astype(np.uint8)
    with torch.no_grad():
        wanted = module(torch.from_numpy(samples[:, None] / 255).float()).numpy()
    np.testing.assert_allclose(logits(network, samples), wanted, atol=1e-4)
