"""Training of table networks: what is written is what the module computed, bit for bit, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.encoding import encode, levels
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import ByteLanes, Requantization, Table
from ebpfnn.training import Options, Precision, Teaching, train
from ebpfnn.training.groups import groups, row_numbers, terms
from ebpfnn.training.splitting import thirds

pytest.importorskip("torch")
ONE_BIT = Precision(input_bits=1, thresholds=(100,), packed=True)


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [count, 8, 8], of a bar in one of four quarters, and which quarter."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    images = random.integers(0, 130, (count, 8, 8)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label * 2 : label * 2 + 2, 1:7] = 230
    return images, labels


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "bars").mkdir()
    for seed, (name, count) in enumerate({"train": 600, "test": 100}.items()):
        samples, labels = bars(count, seed)
        np.savez(tmp_path / "bars" / f"{name}.npz", samples=samples, labels=labels)
    return tmp_path / "bars"


def options(tmp_path: Path, data: Path, **fields: Any) -> Options:
    given = {"architecture": "table12-4", "epochs": 6, "batch_size": 32, "precision": ONE_BIT, "learning_rate": 2e-2}
    return Options(tmp_path / "out.safetensors", data, **{**given, "threads": 1, "device": "cpu", **fields})


def numbers_plainly(form: InputFormat, order: np.ndarray, samples: np.ndarray) -> list[list[int]]:
    """Equation 19, as it is written."""
    found = []
    for sample in levels(form, samples).reshape(len(samples), -1).tolist():
        row = []
        for group in order.tolist():
            digits = [f"{0 if member < 0 else sample[member]:0{form.bits}b}" for member in group]
            row.append(int("".join(digits), 2))
        found.append(row)
    return found


@pytest.mark.parametrize(
    ("precision", "tiles"),
    [
        (ONE_BIT, (2, 4)),
        (ONE_BIT, None),
        (Precision(input_bits=1), (1, 2)),
        (Precision(input_bits=2), (2, 2)),
        (Precision(input_bits=4, packed=True), None),
        (Precision(), None),
    ],
)
def test_what_runs_is_what_the_module_computes(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision, tiles: tuple[int, int] | None
) -> None:
    import torch

    from ebpfnn.training import tablerun

    kept, made = [], tablerun.build
    monkeypatch.setattr(tablerun, "build", lambda *given: kept.append(made(*given)) or kept[0])
    network = modelfile.load(train(options(tmp_path, data, precision=precision, tiles=tiles)))
    images, labels = bars(100, seed=1)
    assert (reference.labels(network, images) == labels).mean() > 0.85
    first, last = network.layers
    assert isinstance(first, Table)
    assert isinstance(last, Table)
    assert isinstance(first.requantization, ByteLanes)
    assert isinstance(last.requantization, Requantization)
    random = np.random.default_rng(3).integers(0, 256, (200, 8, 8)).astype(np.uint8)
    for samples in (images, random):
        rows = torch.from_numpy(row_numbers(network.input, first.order, samples))
        assert kept[0](rows).int().tolist() == reference.scores(network, samples).tolist()
    assert (network.input.packed, network.input.bits) == (precision.packed, precision.input_bits)
    assert len(first.occupied) == 512


def test_sums_that_wrap_are_the_same_integers(tmp_path: Path) -> None:
    import torch

    from ebpfnn.training.tables import lanes

    sums = np.random.default_rng(0).integers(-400, 400, (500, 13))
    assert lanes(torch.from_numpy(sums)).tolist() == reference.byte_lanes(ByteLanes(), sums).tolist()


def test_rows_that_no_sample_selects_are_0(tmp_path: Path, data: Path) -> None:
    network = modelfile.load(train(options(tmp_path, data, distortion=None, tiles=(2, 4), epochs=2)))
    first = network.layers[0]
    assert isinstance(first, Table)
    samples = np.load(data / "train.npz")["samples"]
    seen = np.zeros(first.tables.shape[:2], bool)
    for number, group in enumerate(row_numbers(network.input, first.order, samples).T):
        seen[number, group] = True
    assert not first.tables[~seen].any()
    assert not first.tables[:, 0].any()
    assert first.tables[seen].any(axis=1).mean() > 0.5


@pytest.mark.parametrize("precision", [replace(ONE_BIT, idle=0.25), Precision(input_bits=2, idle=0.25)])
def test_groups_that_are_nearly_always_blank_get_no_table(tmp_path: Path, precision: Precision) -> None:
    random = np.random.default_rng(0)
    samples = random.integers(101, 256, (1_200, 8, 8)).astype(np.uint8)  # not blank, by one bit and by two
    labels = (samples[:, 0, :4].sum(axis=1, dtype=int) > 700).astype(np.intp)
    for group, often in enumerate((1_200, 500, 320, 280, 40, 0)):
        rows, columns = group // 2 * 2, group % 2 * 4
        samples[often:, rows : rows + 2, columns : columns + 4] = 0
    np.savez(tmp_path / "some.npz", samples=samples, labels=labels)
    tiles = (2, 4) if precision.input_bits == 1 else (2, 2)
    given = options(tmp_path, tmp_path / "some.npz", architecture="table9-2", precision=precision, tiles=tiles, distortion=None)
    network = modelfile.load(train(replace(given, epochs=2)))
    first = network.layers[0]
    assert isinstance(first, Table)
    learned, *_ = thirds(len(samples), testing=True)
    numbers = np.array(numbers_plainly(network.input, first.order, samples[learned]))
    shares = (numbers != 0).mean(axis=0)
    assert [bool(table.any()) for table in first.tables] == [share > 0.25 for share in shares]
    assert {bool(table.any()) for table in first.tables} == {True, False}
    assert "no tables for groups above 0 in at most 25.00% of the samples" in network.card["recipe"]


def test_a_packed_sample_is_the_numbers_of_its_rows(tmp_path: Path, data: Path) -> None:
    network = modelfile.load(train(options(tmp_path, data, tiles=(2, 4), epochs=1)))
    first, images = network.layers[0], bars(100, seed=1)[0]
    assert isinstance(first, Table)
    assert encode(network.input, images).tolist() == row_numbers(network.input, first.order, images).tolist()


def test_interactions_learn_what_a_linear_network_cannot(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    samples = random.integers(0, 2, (2_000, 8)).astype(np.uint8)
    labels = (samples[:, 0::2] == samples[:, 1::2]).sum(axis=1) >= 3
    np.savez(tmp_path / "alike.npz", samples=samples * 255, labels=labels.astype(np.intp))
    found = {}
    for most in (1, 2):
        given = options(tmp_path, tmp_path / "alike.npz", architecture="table1-2", interactions=most, epochs=20)
        network = modelfile.load(train(given))
        found[most] = float((reference.labels(network, samples * 255) == labels).mean())
    assert found[1] < 0.9
    assert found[2] > 0.99


def test_the_same_seed_makes_the_same_file_and_an_interrupted_run_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ebpfnn.training.views import Views

    given, shown = options(tmp_path, data, tiles=(2, 4), epochs=4), Views.shown
    whole = train(given).read_bytes()
    assert train(given).read_bytes() == whole
    assert train(replace(given, seed=2)).read_bytes() != whole

    def interrupted(views: Views, epoch: int) -> object:
        if epoch == 2:
            raise KeyboardInterrupt
        return shown(views, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Views, "shown", interrupted)
        assert modelfile.load(train(given)).card["interrupted"] == "after 2 of 4 epochs"
    assert train(replace(given, resume=True)).read_bytes() == whole
    assert not list(tmp_path.glob("*.checkpoint"))


def test_a_table_network_has_no_file_of_floats_and_may_have_a_teacher(tmp_path: Path, data: Path) -> None:
    teacher = train(Options(tmp_path / "teacher.safetensors", data, architecture="64-16-4", epochs=8, threads=1))
    floats = teacher.with_name("teacher.float.safetensors")
    (tmp_path / "out.float.safetensors").write_bytes(floats.read_bytes())
    train(options(tmp_path, data, teaching=Teaching(floats), views=2, cache=tmp_path / "views", epochs=2))
    assert not (tmp_path / "out.float.safetensors").exists()
    network = modelfile.load(tmp_path / "out.safetensors")
    assert "float accuracy" not in network.card
    assert "taught by teacher" in network.card["recipe"]
    assert "tables of terms of up to 2 inputs" in network.card["recipe"]


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"tiles": (4, 4)}, r"--tiles 4x4: 16 1-bit values, 16 bits in all, and a table takes 8; give smaller tiles"),
        ({"tiles": (2, 2), "precision": Precision(input_bits=4)}, r"--tiles 2x2: 4 4-bit values, 16 bits in all"),
        ({"tiles": (3, 2)}, r"--tiles 3x2: do not divide an image of 8x8; give tiles that do"),
        ({"architecture": "64-table12"}, r"architecture '64-table12': end with the number of classes, or gap"),
        ({"architecture": "table12-8-4"}, r"a table stands alone before the number of classes; give one such as table32-10"),
        ({"architecture": "8-table12-4"}, r"a sample has 64 values \(8x8\); begin with 64"),
        ({"architecture": "table12-5"}, r"gives 5 scores, but there are 4 classes; end it with 4"),
        ({"optimizer": "sgd"}, r"--optimizer sgd: a table network, 'table12-4', has no use for it; leave it out"),
        ({"dropout": 0.1}, r"--dropout: a table network, 'table12-4', has no use for it; leave it out"),
        (
            {"precision": replace(ONE_BIT, shared_steps=True)},
            r"--shared-steps: a table network, 'table12-4', has no use for it",
        ),
        (
            {"precision": replace(ONE_BIT, idle=1.0)},
            r"--trim-idle 1: all 8 groups are 0 but in at most 100.00% of the training samples; give a smaller share",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, data: Path, fields: dict[str, Any], fact: str) -> None:
    with pytest.raises(ModelError, match=fact) as caught:
        train(options(tmp_path, data, **fields))
    assert "\n" not in str(caught.value)


def test_tiles_need_tables_and_rows(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ModelError, match=r"--tiles: the network has no tables; give --arch, such as table32-10"):
        options(tmp_path, data, architecture="64-12-4", tiles=(2, 4))
    with pytest.raises(ModelError, match=r"--interactions: the network has no tables; give --arch, such as table32-10"):
        options(tmp_path, data, architecture="64-12-4", interactions=1)
    with pytest.raises(ModelError, match=r"--tiles 2x4: samples of 9 values have no rows and columns; leave --tiles out"):
        groups((9,), 1, (2, 4))


def test_the_command_line(tmp_path: Path, data: Path) -> None:
    from ebpfnn.cli.train import command

    given = ["--data", str(data), "--arch", "in-table9-4", "--bits", "1", "--packed", "--tiles", "1x8", "--epochs", "1"]
    given += ["--interactions", "3", "--aware", "--hidden-bits", "7", "--threads", "1", "--output", str(tmp_path / "a")]
    ran = CliRunner().invoke(command, given, catch_exceptions=False)
    assert ran.exit_code == 0, ran.stderr
    assert "architecture: 64-table9-4" in ran.stdout
    assert "tables of terms of up to 3 inputs in tiles of 1x8" in ran.stdout
    network = modelfile.load(tmp_path / "a")
    assert network.layers[0].requantization == ByteLanes(1)
    assert network.architecture == "64-table9-4"
    ran = CliRunner().invoke(command, ["--data", str(data), "--arch", "table9-4", "--tiles", "2by4"])
    assert ran.exit_code == 2
    assert "'2by4' are no tiles; give rows and columns, such as 2x4" in ran.stderr


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rows_are_numbered_as_the_equation_says(bits: int) -> None:
    spread = tuple(range(1, 2**bits)) if bits < 8 else ()
    form, random = InputFormat((3, 7), bits, spread), np.random.default_rng(bits)
    samples = random.integers(0, 256, (50, 3, 7)).astype(np.uint8)
    order = groups(form.shape, bits, None)
    assert sorted(order[order >= 0].tolist()) == list(range(21))
    found = row_numbers(form, order, samples)
    assert found.tolist() == numbers_plainly(form, order, samples)


def test_tiles_go_right_then_down_channel_by_channel() -> None:
    assert groups((2, 2, 4), 1, (1, 2)).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15]]
    assert groups((2, 4), 1, (2, 2)).tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert groups((10,), 1, None).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, -1, -1, -1, -1, -1, -1]]


@pytest.mark.parametrize(("bits", "members"), [(1, 8), (2, 4), (4, 2), (8, 1), (1, 3), (3, 2)])
def test_all_terms_make_any_table_without_row_0(bits: int, members: int) -> None:
    basis, sizes = terms(bits, members, members)
    assert basis.shape == (2 ** (bits * members), 2 ** (bits * members) - 1)
    assert np.linalg.matrix_rank(basis[1:]) == len(basis) - 1
    assert not basis[0].any()
    single = basis[:, sizes == 1].sum(axis=1)
    digits = [sum(row >> bits * place & 2**bits - 1 for place in range(members)) for row in range(len(basis))]
    assert single.tolist() == digits
