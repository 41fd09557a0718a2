"""What networks are measured beside: the same numbers in C, and in floats by numpy, PyTorch and onnxruntime."""

from __future__ import annotations

import platform
import shutil
import subprocess
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from networks import dense, network, random_network, samples

from ebpfnn.bench import native, torch_module
from ebpfnn.bench.float_rows import FloatRunner, float_runners
from ebpfnn.bench.native import KINDS, NativeRunner, native_runners
from ebpfnn.bench.plain import as_floats
from ebpfnn.bench.weights import grouped, in_halves, unsaturated
from ebpfnn.datasets import mnist
from ebpfnn.errors import NotSupported
from ebpfnn.network import QuantizedNetwork, modelfile, reference
from ebpfnn.network.layers import MaxPool, Window
from ebpfnn.quantize.floats import FloatConv2d


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """Loads what keeps files of its own open."""
    for name in ("torch", "onnxruntime"):
        if find_spec(name):
            import_module(name)


needs_cc = pytest.mark.skipif(
    not shutil.which("cc") or platform.machine() != "x86_64", reason="needs a C compiler, and an x86-64 CPU"
)


@needs_cc
@pytest.mark.parametrize("widths", [(784, 32, 10), (7, 3), (100, 17, 9, 5), (64, 130, 64, 10), (33, 8)], ids=str)
def test_rows_in_c_are_exact(widths: tuple[int, ...]) -> None:
    for seed in range(3):
        held(random_network(widths, seed))


def held(net: QuantizedNetwork) -> list[str]:
    """Runs every row in C that there is; their names."""
    given = samples(net.input_shape, 1)
    expected = reference.scores(net, given).tolist()
    found = list(native_runners(net))
    for runner in found:
        runner.load(given)
        assert runner.run(len(given) + 3) > 0
        assert runner.scores(len(given)).tolist() == expected, runner.name
        runner.load(given)
        runner.aim(2)
        assert runner.run_one() > 0
        assert runner.scores(3)[2].tolist() == expected[2], runner.name
    return [runner.name for runner in found]


@needs_cc
def test_sums_that_16_bits_do_not_hold() -> None:
    """Every weight at its largest: each pair of products is past what VPMADDUBSW can add."""
    for sign in (1, -1):
        held(network([dense(np.full((9, 40), 127 * sign), np.zeros(9))]))


@needs_cc
def test_networks_that_no_row_in_c_takes() -> None:
    for net in (random_network("conv2x3-3", 1), random_network((9, 3), 1, bits=1), random_network((5000, 3), 1)):
        assert held(net) == []
    with pytest.raises(NotSupported, match="avx2-autovec: 'test' has other layers than dense ones over 8-bit samples"):
        NativeRunner(KINDS[0], random_network("conv2x3-3", 1))


@needs_cc
def test_a_compiler_that_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SOURCES", tmp_path)
    native.library.cache_clear()
    with pytest.raises(NotSupported, match=r"avx2-autovec: the C compiler failed \(.*\); install gcc 9 or clang 9, or newer"):
        NativeRunner(KINDS[0], random_network((9, 3), 1))


def test_rows_that_this_cpu_cannot_run_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_cpu_flags", lambda: {"sse2"})
    assert list(native_runners(random_network((9, 3), 1))) == []
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert list(native_runners(random_network((9, 3), 1))) == []


@needs_cc
def test_the_sources_are_clean(tmp_path: Path) -> None:
    for kind in KINDS:
        command = [
            "cc",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            *kind.options,
            "-fsyntax-only",
            str(native.SOURCES / kind.source),
        ]
        subprocess.run(command, check=True)


def test_what_is_taken_out_of_pairs_is_kept_apart() -> None:
    random = np.random.default_rng(1)
    rows = random.integers(-127, 128, (9, 32)).astype(np.int8)
    rows[:, ::2] //= 4
    rows[:, 8:12] = 1
    weights = grouped(rows, 4, 16)
    kept, left, groups = unsaturated(weights)
    restored = kept.astype(int)
    restored[groups] += left
    assert restored.tolist() == weights.tolist()
    for some in (kept, left):
        pairs = some.astype(int).reshape(-1, 2)
        assert np.where(pairs > 0, pairs, 0).sum(axis=1).max() * 255 < 1 << 15
        assert np.where(pairs < 0, pairs, 0).sum(axis=1).min() * 255 >= -(1 << 15)
    assert 0 < len(groups) < len(weights)


def test_halves_are_interleaved() -> None:
    row = np.arange(20, dtype=np.int8)[None]
    assert in_halves(row)[0, :8].tolist() == [0, 16, 1, 17, 2, 18, 3, 19]
    assert in_halves(row).shape == (1, 32)
    assert in_halves(row).sum() == row.sum()


def test_floats_agree_on_digits() -> None:
    """Without rounding a few labels in a thousand are others."""
    net = modelfile.load(modelfile.resolve("mnist"))
    given = mnist.read_test()[0]
    expected = reference.scores(net, given).argmax(axis=1)
    for runner in float_runners(net):
        assert np.mean(ran(runner, given).argmax(axis=1) == expected) > 0.99, runner.name


def ran(runner: FloatRunner, given: np.ndarray) -> np.ndarray:
    runner.load(given)
    assert runner.run(len(given)) > 0
    return runner.scores(len(given))


@pytest.mark.parametrize("architecture", ["144-9", "conv3x3p1-pool2-dw3s2-5", "144-7-3"])
@pytest.mark.parametrize("bits", [1, 8])
def test_floats_of_every_layer_say_the_same(architecture: str, bits: int) -> None:
    net = random_network(architecture, 1, bits=bits)
    given = samples(net.input_shape, 1)
    scores = {runner.name: ran(runner, given) for runner in float_runners(net)}
    first = next(iter(scores.values()))
    for name, each in scores.items():
        assert np.allclose(each, first, rtol=1e-3, atol=1e-3 * np.abs(first).max()), name


def test_windows_that_pytorch_does_not_have() -> None:
    layers = as_floats(random_network("pool2p1-conv3x3p1-3", 1, (8, 8)))
    assert torch_module.takes(layers)
    pool, convolution = layers[:2]
    assert isinstance(pool, MaxPool)
    assert isinstance(convolution, FloatConv2d)
    uneven = replace(convolution, window=Window((3, 3), padding=(1, 1, 0, 1)))
    assert not torch_module.takes([uneven])
    assert torch_module.takes([replace(convolution, window=Window((3, 3), padding=(2, 2, 2, 2)))])
    assert not torch_module.takes([MaxPool(Window((3, 3), padding=(2, 2, 2, 2)))])


def test_the_float_rows_there_are() -> None:
    installed = {"torch": ["torch"], "onnxruntime": ["onnxruntime", "ort-iobinding"]}
    expected = ["numpy", *(name for library, names in installed.items() if find_spec(library) for name in names)]
    assert [runner.name for runner in float_runners(random_network((9, 3), 1))] == expected
    assert [runner.name for runner in float_runners(random_network("conv2x3-3", 1))] == expected[1:]
