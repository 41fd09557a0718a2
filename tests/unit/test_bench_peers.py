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
from networks import conv2d, dense, input_format, network, random_network, requantization, samples
from tablenets import cascade, table, table_network

from ebpfnn.bench import native, torch_module
from ebpfnn.bench.float_rows import FloatRunner, float_runners
from ebpfnn.bench.native import KINDS, NativeRunner, native_runners
from ebpfnn.bench.native_tables import TABLE_KINDS, table_runners
from ebpfnn.bench.plain import as_floats
from ebpfnn.bench.table_form import packed_form, selects_rows
from ebpfnn.bench.table_rows import table_rows
from ebpfnn.bench.weights import grouped, in_halves, unsaturated
from ebpfnn.bodies import modelfile
from ebpfnn.datasets import mnist
from ebpfnn.errors import NotSupported
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.cascades import unpacked
from ebpfnn.network.encoding import encode, levels
from ebpfnn.network.layers import Add, ByteLanes, Concat, Layer, MaxPool, SquaredError, Table, Window
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
    left_out: dict[str, str] = {}
    found = list(native_runners(net, left_out))
    assert {runner.name for runner in found} | set(left_out) == {kind.name for kind in KINDS}
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
    native.build.cache_clear()
    with pytest.raises(NotSupported, match=r"avx2-autovec: the C compiler failed \(.*\); install gcc 9 or clang 9, or newer"):
        NativeRunner(KINDS[0], random_network((9, 3), 1))


def test_rows_that_this_machine_cannot_run_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def reasons() -> set[str]:
        left_out: dict[str, str] = {}
        assert list(native_runners(random_network((9, 3), 1), left_out)) == []
        assert list(table_runners(table_network(1), left_out)) == []
        assert set(left_out) == {kind.name for kind in (*KINDS, *TABLE_KINDS)}
        return set(left_out.values())

    monkeypatch.setattr(native, "_cpu_flags", lambda: {"avx2", "avx512bw"})
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert reasons() == {"this CPU has no avx512_vnni", "there is no C compiler; install gcc or clang as `cc`"}
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert reasons() == {"this CPU has no avx2", "this CPU has no avx512_vnni"}


TABLES = [
    table_network(1),
    table_network(2, (28, 28), (32, 10), tile=None, shift=0),
    table_network(3, (28, 28), (64, 10), shift=2, largest=127),
    table_network(4, (5, 7), (100, 3), tile=None, shift=1),
    table_network(5, (8, 8), (8, 17), packed=False),
    table_network(6, (8, 8), (13, 10), packed=False, tile=None),
]


@pytest.mark.parametrize("net", TABLES, ids=lambda net: f"{net.name}-{net.architecture}")
def test_tables_are_exact(net: QuantizedNetwork) -> None:
    held_tables(net)


def held_tables(net: QuantizedNetwork) -> None:
    """Runs every row of a network of tables that there is: each is exact."""
    given = np.concatenate([samples(net.input_shape, seed) for seed in range(4)])
    expected = reference.scores(net, given).tolist()
    left_out: dict[str, str] = {}
    for runner in (*table_runners(net, left_out), *table_rows(net, left_out)):
        runner.load(given)
        assert runner.exact
        assert runner.run(len(given) + 3) > 0
        assert runner.scores(len(given)).tolist() == expected, runner.name
        runner.load(given)
        runner.aim(2)
        assert runner.run_one() > 0
    able = {kind.name for kind in TABLE_KINDS if kind.flags <= native._cpu_flags()} if shutil.which("cc") else set()
    installed = {"onnxruntime"} if find_spec("onnxruntime") and find_spec("onnx") else set()
    found = {kind.name for kind in TABLE_KINDS} | {"numpy", "onnxruntime"}
    assert found - set(left_out) == able | installed | {"numpy"}


def test_scores_that_16_bits_do_not_hold() -> None:
    first, last = table_network(1, widths=(20, 4)).layers
    assert isinstance(last, Table)
    large = replace(last, tables=(last.tables.astype(np.int32) * 1000).astype(np.int16))
    net = replace(table_network(1, widths=(20, 4)), layers=(first, large))
    given = samples(net.input_shape, 1)
    assert np.abs(reference.scores(net, given)).max() > 1 << 15
    held_tables(net)


@pytest.mark.parametrize("margin", [1, 60, 100_000])
def test_cascades_are_exact(margin: int) -> None:
    networks = [table_network(seed, (8, 8), (widths, 5)) for seed, widths in enumerate((9, 16, 40, 64))]
    for count in (2, 3, 4):
        held_tables(cascade(*networks[:count], margin=margin))


def test_a_carry_crosses_the_bytes_of_a_word() -> None:
    """Every sum leaves -128..127, so lanes that were apart would give other scores."""
    net = table_network(7, (8, 8), (16, 5), shift=0, largest=127)
    given, (first, last) = samples(net.input_shape, 1), net.layers
    assert isinstance(first, Table)
    apart = (reference.accumulate(first, levels(net.input, given).astype(np.int64)) + 128) & 255
    assert not np.array_equal(reference.forward(last, apart), reference.scores(net, given))
    held_tables(net)


def test_networks_whose_tables_no_row_takes() -> None:
    mixed = table_network(1)
    first, last = mixed.layers
    assert isinstance(first, Table)
    assert isinstance(last, Table)
    dense_tail = replace(mixed, layers=(first, dense(np.ones((4, 11)), np.zeros(4))))
    scaled = replace(mixed, layers=(first, replace(last, requantization=requantization(4, shift=29))))
    other_order = replace(mixed, input=replace(mixed.input, order=()))
    small_groups = table_network(2, (8, 8), (11, 4), tile=None)
    small_groups = replace(small_groups, layers=(table(2, 64, 11, members=4, requantization=ByteLanes(1)), last))
    for net, fact in (
        (dense_tail, "'tables1' has other layers than a table with byte lanes and a table of scores"),
        (scaled, "'tables1' scales the scores of its last table"),
        (other_order, "'tables1': the bytes of its packed samples are not the rows of its groups"),
        (small_groups, "'tables2': the bytes of its packed samples are not the rows of its groups"),
    ):
        left_out: dict[str, str] = {}
        assert list(table_runners(net, left_out)) == []
        assert {name for name, reason in left_out.items() if reason == fact} >= {
            kind.name for kind in TABLE_KINDS if kind.flags <= native._cpu_flags()
        }, left_out
    left_out = {}
    assert "numpy" in {row.name for row in table_rows(small_groups, left_out)}
    assert "numpy" not in {row.name for row in table_rows(dense_tail, left_out)}
    assert "has other layers than a table" in left_out["numpy"]
    assert list(table_rows(random_network((9, 3), 1), {})) == []
    assert list(table_runners(random_network((9, 3), 1), {})) == []


def test_rows_of_products_leave_tables_and_cascades_out() -> None:
    dense_cascade = cascade(random_network((9, 3), 1), random_network((9, 3), 2))
    for net, fact in ((table_network(1), "tables"), (dense_cascade, "cascade")):
        left_out: dict[str, str] = {}
        assert list(float_runners(net, left_out)) == []
        assert set(left_out) == {"numpy", "torch", "onnxruntime", "ort-iobinding"}
        assert all(fact in reason for reason in left_out.values())
        assert list(native_runners(net, left_out)) == []
        assert {kind.name for kind in KINDS} < set(left_out)


def test_forms_of_packed_samples() -> None:
    """Packed and unpacked, a network and its cascade say the same; and the bytes select the rows."""
    net = cascade(table_network(5, packed=False), table_network(6, packed=False))
    packed, first = packed_form(net), net.layers[0]
    assert isinstance(first, Table)
    assert packed.input.order == tuple(first.order.ravel())
    assert [each.input.packed for each in packed.stages] == [True, True]
    assert selects_rows(packed)
    assert not selects_rows(net)
    assert packed_form(packed) is packed
    assert unpacked(packed).input == net.input
    given = samples(net.input_shape, 3)
    expected = reference.scores(net, given)
    assert np.array_equal(reference.scores_of_encoded(packed, encode(packed.input, given)), expected)
    others = replace(net.input, thresholds=(77,))
    assert net.then
    various = replace(net, then=replace(net.then, network=replace(net.then.network, input=others)))
    with pytest.raises(NotSupported, match="'tables5' see different levels, so that no packed sample serves all"):
        packed_form(various)
    natural = packed_form(table_network(5, packed=False, tile=None))
    assert (natural.input.packed, natural.input.order) == (True, ())
    plain = random_network((9, 3), 1)
    assert packed_form(plain) is plain


@needs_cc
def test_the_sources_are_clean(tmp_path: Path) -> None:
    sizes = ("GROUPS", "WORDS", "NEURONS", "SHIFT", "SCORES", "MARGIN")
    stages = [f"-D{name}{stage}={1 if name == 'SHIFT' else 8}" for stage in range(4) for name in sizes]
    stages += [f"-DSCORE{stage}=int16_t" for stage in range(4)]
    for kind in (*KINDS, *TABLE_KINDS):
        defined = [*stages, "-DSTAGES=4", "-DCLASSES=3", f"-DVECTOR={8 * kind.lanes}"] if kind in TABLE_KINDS else []
        command = [
            "cc",
            *defined,
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
    for runner in float_runners(net, {}):
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
    scores = {runner.name: ran(runner, given) for runner in float_runners(net, {})}
    first = next(iter(scores.values()))
    for name, each in scores.items():
        assert np.allclose(each, first, rtol=1e-3, atol=1e-3 * np.abs(first).max()), name


def test_floats_of_windows_with_uneven_edges_say_the_same() -> None:
    net = random_network("conv4x3p1-5", 1, (2, 8, 8))
    uneven = replace(net.layers[0], window=Window((3, 3), padding=(1, 2, 1, 0)))
    given = replace(net, layers=(uneven, net.layers[1]))
    scores = [ran(runner, samples(given.input_shape, 1)) for runner in float_runners(given, {})]
    assert len(scores) > 1
    for each in scores:
        assert np.allclose(each, scores[0], rtol=1e-3, atol=1e-3 * np.abs(scores[0]).max())


def joining() -> QuantizedNetwork:
    """A graph whose integers are exact: nothing is rounded, and nothing clipped but by a ReLU."""
    random, byte, one = np.random.default_rng(5), {"low": -128, "high": 127}, np.ones(1, np.int32)
    padded = Window((3, 3), padding=(1, 1, 1, 1))
    relu_of_a_quarter = requantization(1, positive=one << 28, negative=one * 0, slope=0, zero_point=2, low=2, high=127)
    layers: list[Layer] = [
        conv2d([[[[1]], [[-1]]], [[[2]], [[1]]], [[[-2]], [[0]]]], [1, 2, 3], Window((1, 1)), zero_point=5, **byte),
        conv2d(random.choice([-1, 0, 0, 0, 1], (3, 3, 3, 3)), [0, 1, -1], padded, pad_value=5, zero_point=-3, **byte),
        Add(np.array([8, -4], np.int32), one * 4, relu_of_a_quarter),
        Concat(np.array([-2, -6], np.int32), requantization(2, zero_point=1, **byte)),
        MaxPool(Window((2, 2), (2, 2))),
        dense(random.integers(-3, 4, (5, 24)), [9, 0, -9, 5, 1]),
    ]
    sources = ((-1,), (0,), (0, 1), (2, 0), (3,), (4,))
    return QuantizedNetwork("test", input_format((2, 4, 4), 2), tuple("abcde"), tuple(layers), sources=sources)


def comparing() -> QuantizedNetwork:
    """The error of a layer that gives what its inputs are not, in exact integers."""
    layers: list[Layer] = [dense([[1, 1, 0], [0, 1, 0], [1, 0, 2]], [0, 1, 0], low=0, high=255), SquaredError()]
    form = input_format((3,), 4)
    return QuantizedNetwork("test", form, ("error",), tuple(layers), sources=((-1,), (0, -1)), result="anomaly")


@pytest.mark.parametrize("net", [joining(), comparing()], ids=["joins", "error"])
def test_floats_of_graphs_are_the_integers_where_those_are_exact(net: QuantizedNetwork) -> None:
    given = samples(net.input_shape, 3)
    expected = reference.scores(net, given)
    assert len(np.unique(expected)) > 5
    for runner in float_runners(net, {}):
        assert np.allclose(ran(runner, given), expected, rtol=1e-5, atol=1e-3), runner.name


def test_images_that_are_joined_as_flat_values_have_no_float_rows() -> None:
    layers = (
        dense(np.ones((4, 4)), np.zeros(4), low=0, high=255),
        Add(np.ones(2, np.int32), np.zeros(1, np.int32), requantization(1)),
    )
    net = QuantizedNetwork("test", input_format((2, 2)), tuple("abcd"), layers, sources=((-1,), (0, -1)))
    left_out: dict[str, str] = {}
    assert list(float_runners(net, left_out)) == []
    assert set(left_out.values()) == {"'test' joins images as flat values"}


def test_windows_that_pytorch_does_not_have() -> None:
    layers = as_floats(random_network("pool2p1-conv3x3p1-3", 1, (8, 8))).layers
    assert torch_module.takes(layers)
    pool, convolution = layers[:2]
    assert isinstance(pool, MaxPool)
    assert isinstance(convolution, FloatConv2d)
    assert torch_module.takes([replace(convolution, window=Window((3, 3), padding=(1, 1, 0, 1)))])
    assert torch_module.takes([replace(convolution, window=Window((3, 3), padding=(2, 2, 2, 2)))])
    assert not torch_module.takes([replace(pool, window=Window((3, 3), padding=(1, 1, 0, 1)))])
    assert not torch_module.takes([MaxPool(Window((3, 3), padding=(2, 2, 2, 2)))])


def test_the_float_rows_there_are() -> None:
    installed = {"torch": ["torch"], "onnxruntime": ["onnxruntime", "ort-iobinding"]}
    expected = ["numpy", *(name for library, names in installed.items() if find_spec(library) for name in names)]
    assert [runner.name for runner in float_runners(random_network((9, 3), 1), {})] == expected
    assert [runner.name for runner in float_runners(random_network("conv2x3-3", 1), {})] == expected[1:]
