"""State dicts, as PyTorch's .pt and as safetensors: keys matched with an architecture, and what is refused."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.importers.state_dict import to_chain
from ebpfnn.quantize.float_reference import logits

if TYPE_CHECKING:
    from torch import nn

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 12, 12)).astype(np.uint8)
CONV = "conv4x3-pool2-dw3p1-gap-16-5"
DENSE = "144-16-5"


def options(architecture: str, **more: Any) -> ImportOptions:
    return ImportOptions(shape=(12, 12), architecture=architecture, **more)


def conv_module(slope: float) -> nn.Module:
    import torch
    from torch import nn

    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(slope), nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.LeakyReLU(slope), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 16), nn.BatchNorm1d(16), nn.LeakyReLU(slope), nn.Dropout(), nn.Linear(16, 5),
    )  # fmt: skip
    for each in module.modules():
        if isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d)):
            each.running_mean.normal_()
            each.running_var.uniform_(0.5, 2)
    return module.eval()


def computed(module: nn.Module, given: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        found: np.ndarray = module(torch.tensor(given / 255).float()).numpy()
    return found


@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
@pytest.mark.parametrize("slope", [0.0, 0.125])
def test_a_convolutional_network(suffix: str, slope: float, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    module, path = conv_module(slope), tmp_path / f"net.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(module.state_dict(), path)
    network = importers.load_float(path, options(CONV, slope=slope))
    assert np.abs(logits(network, PIXELS) - computed(module, PIXELS[:, None])).max() < 1e-4
    assert len(network.layers) == 6


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model"])
def test_a_checkpoint_that_holds_more_than_the_state_dict(name: str, tmp_path: Path) -> None:
    import torch
    from torch import nn

    module = nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 5))
    torch.save({"epoch": 3, name: module.half().state_dict()}, tmp_path / "net.pt")
    network = importers.load_float(tmp_path / "net.pt", options(DENSE))
    assert np.abs(logits(network, PIXELS) - computed(module.float(), PIXELS)).max() < 1e-4


def tensors(**named: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Of these shapes; two underscores stand for a dot."""
    random = np.random.default_rng(0)
    return {name.replace("__", "."): random.normal(size=shape).astype(np.float32) for name, shape in named.items()}


DENSES = {"a__weight": (16, 144), "a__bias": (16,), "b__weight": (5, 16), "b__bias": (5,)}


def test_weights_are_found_by_shape_where_the_order_of_names_is_another(tmp_path: Path) -> None:
    """As in safetensors, whose keys are sorted: ``classifier`` before ``features``."""
    held = tensors(classifier__weight=(5, 16), classifier__bias=(5,), features__weight=(16, 144), features__bias=(16,))
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(held))
    network = importers.load_float(tmp_path / "net.safetensors", options(DENSE))
    hidden = np.maximum(PIXELS.reshape(20, -1) / 255 @ held["features.weight"].T.astype(float) + held["features.bias"], 0)
    assert np.allclose(logits(network, PIXELS), hidden @ held["classifier.weight"].T.astype(float) + held["classifier.bias"])


def test_numbers_in_names_count_by_value(tmp_path: Path) -> None:
    names = [f"layers.{number}.weight" for number in (2, 10, 9)]
    held = {name: np.full((4, 4), number, np.float32) for number, name in enumerate(names)}
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(held))
    network = importers.load_float(tmp_path / "net.safetensors", ImportOptions(shape=(4,), architecture="4-4-4-4"))
    assert [float(layer.weights[0, 0]) for layer in network.layers] == [0, 2, 1]


@pytest.mark.parametrize("order", ["by module", "by name"])
def test_normalizations_find_their_layers(order: str) -> None:
    one, two = (tensors(weight=(4,), bias=(4,), running_mean=(4,)) | {"running_var": np.full(4, 1.0 + n)} for n in range(2))
    named = {"norm1": one, "norm2": two, "conv1": tensors(weight=(4, 1, 3, 3)), "conv2": tensors(weight=(4, 4, 3, 3))}
    names = ["conv1", "norm1", "conv2", "norm2"] if order == "by module" else ["conv1", "conv2", "norm1", "norm2"]
    held = {f"{name}.{key}": array for name in names for key, array in named[name].items()}
    chain = to_chain(held, "conv4x3-conv4x3-gap", (8, 8), 0.0)
    kinds = [type(step).__name__ for step in chain.steps]
    assert kinds == ["Conv", "Scale", "Activate", "Conv", "Scale", "Activate", "Pool"]
    factors = [step.factor for step in chain.steps if type(step).__name__ == "Scale"]
    assert np.allclose(factors[0], one["weight"] / np.sqrt(1 + 1e-5))
    assert np.allclose(factors[1], two["weight"] / np.sqrt(2 + 1e-5))


WRONG = {
    "another width": (
        {**DENSES, "a__weight": (12, 144), "a__bias": (12,)},
        r"no weights of 16x144 are left, which architecture 144-16-5 wants; left: 'a\.weight', 12x144; give the",
    ),
    "too few": (
        {"a__weight": (16, 144)},
        r"no weights of 5x16 are left, which architecture 144-16-5 wants; left: nothing;",
    ),
    "too many": (
        {**DENSES, "c__weight": (5, 5)},
        r"key 'c\.weight', 5x5, fits no layer of architecture 144-16-5; give",
    ),
    "a key of its own": ({**DENSES, "scale": ()}, r"key 'scale', a number, fits no layer of architecture 144-16-5"),
    "weights in two": ({**DENSES, "a__weight_g": (16, 1)}, "no weights of 16x144 are left"),
    "a bias of another size": ({**DENSES, "b__bias": (4,)}, "no weights of 5x16 are left"),
    "a normalization of another size": (
        {**DENSES, "n__running_mean": (7,), "n__running_var": (7,)},
        r"key 'n\.running_mean', 7, fits no layer of architecture 144-16-5",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_keys_that_do_not_fit(kind: str, tmp_path: Path) -> None:
    named, fact = WRONG[kind]
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(tensors(**named)))
    with pytest.raises(ModelError, match=r"net\.safetensors: " + fact) as caught:
        importers.load(tmp_path / "net.safetensors", options(DENSE))
    assert "\n" not in str(caught.value)


def test_nan_is_refused_where_it_is(tmp_path: Path) -> None:
    held = tensors(**DENSES)
    held["b.weight"][1, 2] = np.nan
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(held))
    with pytest.raises(ModelError, match=r"layer 2 of 144-16-5, 'b\.weight', has weights or a bias that hold NaN or infinity"):
        importers.load(tmp_path / "net.safetensors", options(DENSE))


@pytest.mark.parametrize(
    ("architecture", "fact"), [("144-16", "no weights"), ("784-5", "begin with"), ("144-x", "not a layer")]
)
def test_architectures_that_do_not_fit(architecture: str, fact: str, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(tensors(b__weight=(5, 16))))
    with pytest.raises(ModelError, match=fact):
        importers.load(tmp_path / "net.safetensors", options(architecture))


@pytest.mark.parametrize("given", [ImportOptions(), ImportOptions(architecture=DENSE), ImportOptions(shape=(12, 12))])
def test_tensors_alone_tell_no_network(given: ImportOptions, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(tensors(**DENSES)))
    with pytest.raises(ModelError, match=r"has tensors but no graph.*; give (--arch, such as 784-32-10, and )?--input-shape"):
        importers.load(tmp_path / "net.safetensors", given)


def test_a_network_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save({"x": np.zeros(1)}, {"format": "ebpfnn"}))
    with pytest.raises(ModelError, match="a network of ebpfnn's own; give it to `ebpfnn infer`"):
        importers.load(tmp_path / "net.safetensors", options(DENSE))


class Owned:
    """Its pickle runs a command when it is opened."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (open, ("owned", "w"))


def saved(what: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(what, stream)
    return stream.getvalue()


def test_tables_are_not_made_of_weights() -> None:
    weights = {"a.weight": np.ones((16, 144), np.float32), "b.weight": np.ones((5, 16), np.float32)}
    with pytest.raises(ModelError, match=r"'table16-5': tables are learned .*; train them with `ebpfnn train --arch table"):
        to_chain(weights, "table16-5", (12, 12), 0.0)


def test_code_in_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").write_bytes(saved({"a.weight": Owned()}))
    with pytest.raises(ModelError, match=r"net\.pt: contains objects other than tensors \(refused\), or is damaged; save"):
        importers.load(tmp_path / "net.pt", options(DENSE))
    assert not (tmp_path / "owned").exists()


def test_whole_modules_and_old_pickles(tmp_path: Path) -> None:
    import torch

    (tmp_path / "net.pt").write_bytes(saved(torch.nn.Linear(2, 2)))
    with pytest.raises(ModelError, match=r"net\.pt: contains objects other than tensors"):
        importers.load(tmp_path / "net.pt", options(DENSE))
    (tmp_path / "net.pt").write_bytes(pickle.dumps({"a.weight": 1}))
    with pytest.raises(ModelError, match=r"net\.pt: not a file that torch\.save\(\) of PyTorch 1\.6 or later wrote"):
        importers.load(tmp_path / "net.pt", options(DENSE))


@pytest.mark.parametrize(
    ("what", "fact"),
    [
        ([1, 2], "holds list where a state dict is wanted"),
        ({}, "holds dict where a state dict is wanted"),
        ({"a": 3}, "key 'a' is no plain tensor but int"),
    ],
)
def test_pt_files_of_something_else(what: Any, fact: str, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(saved(what))
    with pytest.raises(ModelError, match=rf"net\.pt: {fact}; save module\.state_dict\(\) with torch\.save"):
        importers.load(tmp_path / "net.pt", options(DENSE))


def test_a_tensor_that_is_larger_than_its_file(tmp_path: Path) -> None:
    import torch

    (tmp_path / "net.pt").write_bytes(saved({"a.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}))
    with pytest.raises(ModelError, match=r"net\.pt: key 'a\.weight' brings the file to 1099511627776 values, over 1677"):
        importers.load(tmp_path / "net.pt", options(DENSE))


def test_zips_that_unpack_to_more(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("net/data.pkl", bytes(1000))
    with pytest.raises(ModelError, match=r"net\.pt: is compressed, or unpacks to more than 64 MiB"):
        importers.load(tmp_path / "net.pt", options(DENSE))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_files_cut_short(suffix: str, share: float, tmp_path: Path) -> None:
    import torch

    held = tensors(**DENSES)
    whole = safetensors.numpy.save(held)
    data = whole if suffix == "safetensors" else saved({name: torch.tensor(array) for name, array in held.items()})
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=rf"net\.{suffix}: not a (safetensors file|file that torch\.save)") as caught:
        importers.load(path, options(DENSE))
    assert "\n" not in str(caught.value)


def odd_tensors() -> dict[str, Any]:
    import torch

    weights = torch.zeros(16, 144)
    return {
        "sparse": weights.to_sparse(),
        "sparse rows": weights.to_sparse_csr(),
        "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "quantized": torch.quantize_per_tensor(weights, 0.1, 0, torch.qint8),
        "meta": torch.zeros(16, 144, device="meta"),
        "complex": torch.zeros(16, 144, dtype=torch.complex64),
        "conjugated": torch.zeros(16, 144, dtype=torch.complex64).conj(),
        "negated": torch.zeros(16, 144, dtype=torch.complex64).conj().imag,
        "sub-byte": torch.zeros(16, 144, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
        "float8": torch.zeros(16, 144, dtype=torch.float8_e4m3fn),
    }


ODD = {
    "sparse": r"key 'a\.weight' is no plain tensor but sparse; save",
    "sparse rows": r"key 'a\.weight' is no plain tensor but sparse; save",
    "nested": r"key 'a\.weight' is no plain tensor but nested; save",
    "quantized": r"key 'a\.weight' is no plain tensor but quantized; save",
    "meta": r"key 'a\.weight' is no plain tensor but on the device 'meta', without values; save",
    "complex": r"key 'a\.weight' is of complex64, which is not read; give it as float32",
    "conjugated": r"key 'a\.weight' is no plain tensor but a view that negates or conjugates; save",
    "negated": r"key 'a\.weight' is no plain tensor but a view that negates or conjugates; save",
    "sub-byte": r"key 'a\.weight' is of float4_e2m1fn_x2, which is not read; give it as float32",
    "float8": r"key 'a\.weight' is of float8_e4m3fn, which is not read; give it as float32",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD)
def test_tensors_of_kinds_that_are_not_read(kind: str, tmp_path: Path) -> None:
    import torch

    others = {name: torch.tensor(array) for name, array in tensors(a__bias=(16,), b__weight=(5, 16), b__bias=(5,)).items()}
    (tmp_path / "net.pt").write_bytes(saved({"a.weight": odd_tensors()[kind], **others}))
    with pytest.raises(ModelError, match=r"net\.pt: " + ODD[kind]):
        importers.load(tmp_path / "net.pt", options(DENSE))


@pytest.mark.filterwarnings("ignore")
def test_every_plain_tensor_is_read_as_pytorch_reads_it(tmp_path: Path) -> None:
    import torch

    from ebpfnn.importers.torch_file import read_torch

    torch.manual_seed(0)
    drawn = torch.randn(6, 4) * 50
    integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    kinds = ["float16", "bfloat16", "float32", "float64", "bool", *integers]
    held = {kind: drawn.abs().to(getattr(torch, kind)) for kind in kinds}
    held |= {
        "turned": drawn.T,
        "a part": drawn[1:5:2, 1:3],
        "spread": drawn[0].expand(3, 4),
        "none": drawn[:0],
        "one": drawn[1, 1],
    }
    held |= {
        "parameter": torch.nn.Parameter(drawn),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    held["with an attribute"] = torch.nn.Parameter(drawn.clone())
    held["with an attribute"].note = 1
    for extra in ({}, {"_use_new_zipfile_serialization": True, "pickle_protocol": 4}):
        stream = io.BytesIO()
        torch.save(
            {"epoch": 1, "state_dict": held, "more": [torch.Size([1]), torch.float32, torch.device("cpu")]}, stream, **extra
        )
        found = read_torch(stream.getvalue())
        assert list(found) == list(held)
        for key, value in held.items():
            theirs = value.detach().float().numpy() if value.is_floating_point() else value.detach().numpy()
            assert found[key].dtype == theirs.dtype, key
            assert np.array_equal(found[key], theirs), key


def test_complex_weights_as_safetensors(tmp_path: Path) -> None:
    held = {**tensors(**DENSES), "a.weight": np.zeros((16, 144), np.complex64)}
    (tmp_path / "net.safetensors").write_bytes(safetensors.numpy.save(held))
    with pytest.raises(ModelError, match=r"key 'a\.weight' is of complex64, which is complex; save real"):
        importers.load(tmp_path / "net.safetensors", options(DENSE))


LIES: dict[str, Callable[[bytes], bytes]] = {
    "a storage that is larger": lambda data: data.replace(b"cpuq\x06K\x06t", b"cpuq\x06K\x60t"),
    "a start beyond the end": lambda data: data.replace(b"QK\x00K\x03K\x02\x86", b"QK\x05K\x03K\x02\x86"),
    "sizes beyond the end": lambda data: data.replace(b"QK\x00K\x03K\x02\x86", b"QK\x00K\x09K\x02\x86"),
    "strides beyond the end": lambda data: data.replace(b"K\x02K\x01\x86", b"K\x42K\x01\x86", 1),
    "no storage": lambda data: data.replace(b"X\x01\x00\x00\x000q\x05", b"X\x01\x00\x00\x009q\x05"),
}


@pytest.mark.parametrize("lie", LIES)
def test_tensors_that_say_they_are_larger(lie: str) -> None:
    import torch

    from ebpfnn.importers.torch_file import read_torch

    whole = saved({"a.weight": torch.ones(3, 2)})
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = LIES[lie](members["archive/data.pkl"])
    assert changed != members["archive/data.pkl"]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, data in {**members, "archive/data.pkl": changed}.items():
            made.writestr(name, data)
    with pytest.raises(ModelError, match=r"key 'a\.weight' is larger than what the file holds of it"):
        read_torch(stream.getvalue())


def test_a_pt_file_is_read_without_pytorch(tmp_path: Path) -> None:
    import torch

    (tmp_path / "net.pt").write_bytes(saved({name: torch.tensor(array) for name, array in tensors(**DENSES).items()}))
    program = (
        "import sys; from pathlib import Path; from ebpfnn import importers; from ebpfnn.importers import ImportOptions\n"
        f"importers.load({str(tmp_path / 'net.pt')!r}, ImportOptions(shape=(12, 12), architecture={DENSE!r}))\n"
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
