"""Evaluation: figures by hand, a page that stands alone, and the command with a kernel that is played."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from networks import conv2d, dense, input_format, network, random_network, samples
from PIL import Image
from prepared import plugins
from tablenets import cascade, table_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.compiler import Body
from ebpfnn.errors import Error, ModelError, NotSupported, PermissionDenied
from ebpfnn.evaluation import evaluate, metrics, pictures, plots, report
from ebpfnn.evaluation.detection import detect
from ebpfnn.evaluation.evaluate import Evaluation, KernelRun
from ebpfnn.evaluation.layer_table import layer_rows
from ebpfnn.evaluation.summary import summary
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import MaxPool, Window
from ebpfnn.plugin import Plugins
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.floats import FloatDense, Network

LABELS = ("left", "middle", "right")
TRUTH = np.array([0, 0, 0, 1, 1, 2])
SAMPLES = np.array([[9, 0, 0], [9, 5, 0], [3, 7, 0], [0, 8, 0], [0, 2, 6], [1, 5, 5]], np.uint8)
PREDICTED = [0, 0, 1, 1, 2, 1]


def thirds(**fields: Any) -> QuantizedNetwork:
    """A network that tells which of three pixels is the lightest."""
    made = network([dense(np.eye(3), np.zeros(3))], input_format((1, 3)))
    return replace(made, **{"name": "thirds", "labels": LABELS, "score_scale": 0.5, **fields})


def evaluation(**fields: Any) -> Evaluation:
    made = thirds()
    given = SAMPLES.reshape(6, 1, 3)
    return replace(Evaluation(made, "six samples", given, TRUTH, reference.scores(made, given)), **fields)


def kernel(off: dict[int, int] | None = None) -> KernelRun:
    """What a kernel gives that adds ``off[index]`` to the last score of a sample."""
    scores = SAMPLES.astype(np.int32)
    for index, by in (off or {}).items():
        scores[index, 2] += by
    return KernelRun("run", scores, scores.argmax(axis=1))


def test_confusion_and_the_figures_of_each_class() -> None:
    counts = metrics.confusion(TRUTH, np.array(PREDICTED), 3)
    assert counts.tolist() == [[2, 1, 0], [0, 1, 1], [0, 1, 0]]
    left, middle, right = metrics.per_class(counts, LABELS)
    assert (left.label, left.samples, left.claimed, left.correct) == ("left", 3, 2, 2)
    assert (left.precision, left.recall, left.f1) == (1, 2 / 3, 0.8)
    assert (middle.precision, middle.recall, middle.f1) == (1 / 3, 1 / 2, 0.4)
    assert (right.precision, right.recall, right.f1) == (0, 0, 0)
    assert [(each.missed, each.wrongly_claimed) for each in (left, middle, right)] == [(1, 0), (1, 2), (1, 1)]


def test_a_share_of_nothing_is_none() -> None:
    absent = metrics.ClassFigures("absent", samples=0, claimed=0, correct=0)
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)


def test_margins() -> None:
    assert metrics.margins(SAMPLES, TRUTH).tolist() == [9, 4, -4, 8, -4, 0]
    assert metrics.margins(np.array([[3], [4]]), np.array([0, 0])).tolist() == [0, 0]


def test_an_evaluation() -> None:
    done = evaluation(logits=SAMPLES[:, ::-1].astype(float), kernel=kernel())
    assert done.predicted.tolist() == PREDICTED
    assert {column: done.correct(column) for column in done.columns} == {"float": 1, "reference": 3, "kernel": 3}
    assert done.margins.tolist() == [4.5, 2, -2, 4, -2, 0]
    assert done.mistakes.tolist() == [2, 4, 5]  # of equal certainty the first comes first
    assert not len(done.disagreements)


@pytest.mark.parametrize(("off", "different"), [({}, []), ({0: 1}, [0]), ({1: -1, 4: 9, 5: 1}, [1, 4, 5])])
def test_one_score_that_differs_is_a_disagreement(off: dict[int, int], different: list[int]) -> None:
    assert evaluation(kernel=kernel(off)).disagreements.tolist() == different


def test_a_label_that_differs_is_a_disagreement() -> None:
    run = kernel()
    done = evaluation(kernel=replace(run, labels=np.where(np.arange(6) == 3, 0, run.labels)))
    assert done.disagreements.tolist() == [3]


def test_summary() -> None:
    found = json.loads(json.dumps(summary(evaluation(logits=SAMPLES[:, ::-1].astype(float), kernel=kernel({4: 9})))))
    assert found == {
        "model": "thirds",
        "architecture": "3-3",
        "data": "six samples",
        "images": 6,
        "float": 1 / 6,
        "stages": None,
        "wraps": None,
        "reference": 0.5,
        "kernel": 0.5,
        "trigger": "run",
        "agreement": 5,
        "disagreements": [4],
        "float_agreement": 2,
        "per_class": [
            {"label": "left", "images": 3, "precision": 1, "recall": 2 / 3, "f1": 0.8},
            {"label": "middle", "images": 2, "precision": 1 / 3, "recall": 0.5, "f1": 0.4},
            {"label": "right", "images": 1, "precision": 0, "recall": 0, "f1": 0},
        ],
        "detection": None,
        "confusion": [[2, 1, 0], [0, 1, 1], [0, 1, 0]],
        "mistakes": [
            {"index": 2, "label": "left", "predicted": "middle", "margin": -2},
            {"index": 4, "label": "middle", "predicted": "right", "margin": -2},
            {"index": 5, "label": "right", "predicted": "middle", "margin": 0},
        ],
    }
    absent = summary(evaluation())
    assert [absent[key] for key in ("float", "kernel", "agreement", "float_agreement", "trigger")] == [None] * 5


def test_the_colors_of_the_confusion_matrix() -> None:
    cells = plots.heat(evaluation().confusion)
    assert [[cell.count for cell in row] for row in cells] == evaluation().confusion.tolist()
    assert [cell.right for cell in cells[1]] == [False, True, False]
    assert [cell.share for cell in cells[1]] == [0, 0.5, 0.5]
    assert [cell.strength for cell in cells[0]] == [2 / 3, 1 / 3, 0]  # a third, where the commonest mistake is all of a row
    assert plots.heat(np.zeros((2, 2), np.int64))[0][0].share == 0


def test_the_histogram_holds_every_margin_and_splits_at_0() -> None:
    done = evaluation(logits=SAMPLES[:, ::-1] * 0.7)
    histogram = plots.margin_histogram(done)
    assert histogram.floats is not None
    assert (sum(histogram.integers), sum(histogram.floats)) == (6, 6)
    edges = np.linspace(histogram.low, histogram.high, plots.BINS + 1)
    assert np.abs(edges).min() < 1e-9
    assert sum(count for count, edge in zip(histogram.integers, edges, strict=False) if edge < -1e-9) == 2
    assert (histogram.place(histogram.low), histogram.place(histogram.high)) == (0, 1)
    assert (histogram.height(0), histogram.height(max(*histogram.integers, *histogram.floats))) == (0, 1)
    assert 0 in histogram.ticks
    assert plots.margin_histogram(evaluation()).floats is None


def test_a_histogram_of_one_margin() -> None:
    done = evaluation(samples=SAMPLES[:1, None], truth=TRUTH[:1], scores=np.zeros((1, 3), np.int32))
    assert sum(plots.margin_histogram(done).integers) == 1


def test_the_table_of_layers() -> None:
    made = random_network("conv4x3s2p1-pool2-dw3p1-5", 1, (2, 12, 12))
    rows = layer_rows(replace(made, density=(0.1, 0.2, 0.3, 0.4)))
    assert [row.kind for row in rows] == ["convolution", "max pool", "convolution, 4 groups", "dense"]
    assert [(row.given, row.gives) for row in rows] == [
        ("2x12x12", "4x6x6"),
        ("4x6x6", "4x3x3"),
        ("4x3x3", "4x3x3"),
        ("4x3x3", "5"),
    ]
    assert [row.window for row in rows] == ["3x3, stride 2x2, padding 1", "2x2, stride 2x2", "3x3, padding 1", ""]
    assert [row.macs for row in rows] == [72 * 36, 0, 36 * 9, 36 * 5]
    assert [row.parameters for row in rows] == [72 + 4, 0, 36 + 4, 180 + 5]
    assert [row.size for row in rows] == [72 + 48, 0, 36 + 48, 180 + 60]
    assert [row.density for row in rows] == [0.1, 0.2, 0.3, 0.4]
    assert rows[1].bound is None
    assert rows[-1].values == "int32"
    assert {row.density for row in layer_rows(made)} == {None}


def test_padding_of_each_side_is_told() -> None:
    layer = conv2d(np.ones((2, 1, 3, 3)), [0, 0], Window((3, 3), (1, 2), (1, 0, 2, 0)))
    assert layer_rows(network([layer], input_format((1, 3, 3))))[0].window == "3x3, stride 1x2, padding 1 0 2 0"


def test_weights_as_pictures() -> None:
    layer = dense([[127, -127, 0, 64], [0, 0, 0, 0]], [0, 0])
    first, second = (np.asarray(each) for each in pictures.weight_images(network([layer], input_format((2, 2)))))
    assert first[0].tolist() == [[*pictures.POSITIVE, 255], [*pictures.NEGATIVE, 255]]
    assert first[1, :, 3].tolist() == [0, 129]
    assert not second[..., 3].any()


def test_the_weights_of_a_filter_lie_side_by_side() -> None:
    made = random_network("conv4x3-5", 1, (3, 6, 6))
    tiles = list(pictures.weight_images(made))
    assert [tile.size for tile in tiles] == [(3 * 3 + 2, 3)] * 4
    assert not np.asarray(tiles[0])[:, 3, 3].any()


def test_layers_whose_weights_are_no_pictures() -> None:
    assert not list(pictures.weight_images(random_network((9, 5), 1)))
    assert not list(pictures.weight_images(random_network("pool2-5", 1, (4, 4))))


@pytest.mark.parametrize(
    ("shape", "count", "size"), [((28, 28), 3, (400, 178)), ((3, 8, 4), 9, (1040, 340)), ((1, 5, 5), 1, (144, 178))]
)
def test_the_sheet_of_mistakes(shape: tuple[int, ...], count: int, size: tuple[int, int]) -> None:
    given = np.full((count, *shape), 200, np.uint8)
    sheet = pictures.grid(given, [("a" * 60, "b")] * count)
    assert (sheet.mode, sheet.size) == ("RGB", size)
    assert sheet.getpixel((16 + 56, 16 + 56)) == (200, 200, 200)
    assert {sheet.getpixel((x, 5)) for x in range(size[0])} == {(255, 255, 255)}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "action", "data")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def full() -> Evaluation:
    """An evaluation that has everything, with words that a page must not take for its own."""
    card = {"data": "<script>alert(1)</script>", "recipe": "a & b"}
    made = thirds(name='<b>"thirds"</b>', labels=("<left>", "middle", "right"), density=(0.5,), card=card)
    return evaluation(network=made, logits=SAMPLES * 1.0, kernel=kernel())


def test_the_page_stands_alone() -> None:
    text = report.render(full())
    page = Page(text)
    assert not page.open
    assert "script" not in page.tags
    assert "left" not in page.tags
    assert '<b>"thirds"</b>' not in text
    assert {address.partition(",")[0] for address in page.addresses} == {"data:image/png;base64"}
    assert not re.search(r"https?:|@import|url\(", text)
    words = "".join(page.words)
    assert '<b>"thirds"</b>' in words
    assert "<script>alert(1)</script>" in words


def test_what_the_page_shows() -> None:
    page = Page(report.render(full()))
    assert page.tags.count("svg") == 3
    assert page.tags.count("img") == 3 + 3  # mistakes, and outputs of the first layer
    text = " ".join(" ".join(page.words).split())
    assert "Float network 50.00% 3 of 6 right" in text
    assert "the kernel's scores are the reference's, bit for bit, for 6 of 6 samples" in text
    assert "Floats and integers give the same label for 6 ." in text
    assert "0 dense 1x3 3 int32 1 12 45 9 255 50%" in text
    assert "data <script>alert(1)</script> recipe a & b" in text


@pytest.mark.parametrize("made", [random_network((9, 5, 4), 1), random_network("conv3x3-pool2-40", 2, (3, 8, 8))])
def test_pages_of_other_networks(made: QuantizedNetwork) -> None:
    given = samples(made.input_shape, 1)
    scores = reference.scores(made, given)
    for truth in (scores.argmax(axis=1), scores.argmin(axis=1)):
        page = Page(report.render(Evaluation(made, "noise", given, truth, scores)))
        assert not page.open
        text = " ".join("".join(page.words).split())
        assert ("The worst mistakes" in text) == (truth[0] != scores[0].argmax())
        assert ("What the first layer looks for" in text) == (len(made.input_shape) > 1)
        assert "The kernel was not asked." in text


def test_the_page_says_when_the_kernel_differs() -> None:
    text = report.render(evaluation(kernel=kernel({0: 1})))
    assert 'class="verdict bad"' in text
    assert "5 of 6" in text


def test_a_report_is_three_files(tmp_path: Path) -> None:
    report.write(full(), tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "mistakes.png", "eval.json"}
    assert json.loads((tmp_path / "report" / "eval.json").read_text()) == json.loads(json.dumps(summary(full())))
    with Image.open(tmp_path / "report" / "mistakes.png") as picture:
        assert picture.size == (400, 178)
    flat = network([dense(np.eye(3), np.zeros(3))])
    report.write(replace(full(), network=flat, samples=SAMPLES), tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"index.html", "eval.json"}


def test_a_report_replaces_nothing_but_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "report"
    report.write(full(), directory)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}

    def full_disk(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(Error, match=r"report: cannot be written \(No space left on device\)"):
            report.write(evaluation(), directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    (directory / "thesis.txt").write_text("precious")
    with pytest.raises(Error, match=r"contains 'thesis.txt', which is not part of a report; give another directory"):
        report.write(evaluation(), directory)
    assert (directory / "thesis.txt").read_text() == "precious"
    assert list(tmp_path.iterdir()) == [directory]


def test_without_jinja_nothing_is_evaluated(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    monkeypatch.setattr("ebpfnn.evaluation.evaluate.run_kernel", lambda *_arguments: pytest.fail("it was evaluated"))
    done = CliRunner().invoke(main, ["eval", "thirds.safetensors", "--data", "six.npz", "--report", "page"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "ebpfnn: a report: jinja2 is not installed; pip install 'ebpfnn[report]'\n"


def test_a_float_network_of_another_shape_is_refused() -> None:
    layer = FloatDense(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    for shape, labels in (((3,), LABELS), ((1, 3), (*LABELS, "none"))):
        with pytest.raises(ModelError, match=r"the float network 'f' takes .* but 'thirds' 1x3 to 3; give the one it was made"):
            evaluate.run_floats(Network("f", InputFormat(shape), labels, (layer,)), thirds(), SAMPLES.reshape(6, 1, 3))


class PlayedSession:
    """Computes in numpy what the kernel would."""

    off_by: dict[int, int]
    refusal: Error | None = None

    bodies: list[Body | None]

    def __init__(
        self, made: QuantizedNetwork, _trigger: object, target: str | None, body: Body | None, *, plugins: object
    ) -> None:
        if self.refusal:
            raise self.refusal
        self.network, self.count = made, 0
        self.bodies.append(body)

    def __enter__(self) -> PlayedSession:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def infer(self, sample: np.ndarray) -> Any:
        scores = reference.scores(self.network, sample)
        scores[2] += self.off_by.get(self.count, 0)
        self.count += 1
        return SimpleNamespace(label=int(scores.argmax()), scores=scores, elapsed_ns=820)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The network of thirds in a file, six samples in another, and a kernel that is played."""
    played = type("Session", (PlayedSession,), {"off_by": {}, "bodies": []})
    monkeypatch.setattr(evaluate, "Session", played)
    offered = SimpleNamespace(trigger=lambda name: SimpleNamespace(name=name), wanted=plugins().wanted)
    monkeypatch.setattr(Plugins, "installed", classmethod(lambda _plugins, **_files: offered))
    monkeypatch.chdir(tmp_path)
    modelfile.save(thirds(), "thirds.safetensors")
    np.savez("six.npz", samples=SAMPLES.reshape(6, 1, 3), labels=TRUTH)
    return played


def run(*arguments: str, model: str = "thirds.safetensors", data: str = "six.npz") -> Result:
    return CliRunner().invoke(main, ["eval", model, "--data", data, *arguments])


def test_the_command_prints_columns_side_by_side(world: Any) -> None:
    done = run()
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines == [
        "thirds (3-3) on 6 test samples of six.npz",
        "",
        "accuracy right",
        "float - -",
        "reference 50.00% 3",
        "kernel 50.00% 3",
        "",
        "float: no file beside the model; give one with --float FILE",
        "reference and kernel (trigger run) give the same scores for 6 of 6",
        "",
        "class samples precision recall F1 most often taken for",
        "left 3 100.00% 66.67% 80.00% middle (1)",
        "middle 2 33.33% 50.00% 40.00% right (1)",
        "right 1 0.00% 0.00% 0.00% middle (1)",
        "",
        "3 mistakes; the worst: #2 left as middle, #4 middle as right, #5 right as middle",
    ]


def test_the_twin_runs_where_it_is_asked_for(world: Any) -> None:
    assert run().exit_code == run("--twin").exit_code == 0
    compiled, twin = world.bodies
    assert compiled is None
    assert "nn_hidden_weights" in twin.spec.maps


def test_the_command_as_json(world: Any) -> None:
    done = run("--json")
    assert (done.exit_code, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["float"], told["reference"], told["kernel"], told["agreement"], told["images"]) == (None, 0.5, 0.5, 6, 6)
    told = json.loads(run("--json", "--no-kernel").stdout)
    assert (told["reference"], told["kernel"], told["agreement"], told["trigger"]) == (0.5, None, None, None)


def test_a_kernel_that_differs_is_a_failure(world: Any) -> None:
    world.off_by = {1: 1, 4: -9}
    done = run("--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["disagreements"] == [1, 4]
    assert json.loads(done.stdout)["agreement"] == 4
    assert done.stderr.splitlines() == [
        "ebpfnn: sample 1: the reference gives left, the kernel left, by other scores",
        "ebpfnn: sample 4: the reference gives right, the kernel middle",
        "ebpfnn: the kernel differs from the reference for 2 of 6 samples; report this",
    ]


@pytest.mark.parametrize("refusal", [NotSupported("trigger 'run': none"), PermissionDenied("bpf(2): EPERM", 1)])
def test_without_a_kernel_the_way_out_is_told(world: Any, refusal: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.kernel.privilege.lack", lambda: "run as root (sudo)")
    world.refusal = refusal
    done = run()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"ebpfnn: {refusal}; or use --no-kernel\n"
    assert run("--no-kernel").exit_code == 0


def float_thirds(order: list[int]) -> Network:
    layer = FloatDense(np.eye(3, dtype=np.float32)[order], np.zeros(3, np.float32))
    return Network("thirds", InputFormat((1, 3)), LABELS, (layer,))


def test_the_float_network_is_found_beside_the_model_or_named(world: Any) -> None:
    floatfile.save(float_thirds([2, 1, 0]), "thirds.float.safetensors")
    told = json.loads(run("--json").stdout)
    assert (told["float"], told["float_agreement"]) == (1 / 6, 2)
    floatfile.save(float_thirds([0, 1, 2]), "other")
    told = json.loads(run("--json", "--float", "other").stdout)
    assert (told["float"], told["float_agreement"]) == (0.5, 6)
    Path("thirds.float.safetensors").write_bytes(b"damaged")
    assert "thirds.float.safetensors: not a safetensors file" in run("--json").stderr
    assert run("--float", "absent").exit_code == 1


def test_the_command_writes_a_report(world: Any) -> None:
    done = run("--report", "page")
    assert done.stdout.splitlines()[-1] == "report: page/index.html"
    Path("page", "thesis.txt").touch()
    refused = run("--report", "page", "--data", "absent")
    assert "contains 'thesis.txt'" in refused.stderr  # before anything else is looked at
    Path("page", "thesis.txt").unlink()
    assert "six.npz" in Path("page/index.html").read_text()
    assert json.loads(run("--json", "--report", "page").stdout)["images"] == 6


@pytest.mark.parametrize(
    ("write", "fact"),
    [
        (lambda: np.savez("six.npz", samples=SAMPLES, labels=TRUTH + 1), "labels reach 3, but there are 3 classes"),
        (lambda: np.savez("six.npz", samples=SAMPLES.T, labels=TRUTH[:3]), "a sample of 6, but the network takes 1x3"),
        (lambda: Path("six.npz").write_bytes(b"PK"), "not an .npz file, or damaged"),
        (lambda: Path("six.npz").unlink(), "no such data"),
    ],
)
def test_data_that_does_not_fit(world: Any, write: Callable[[], Any], fact: str) -> None:
    write()
    done = run()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("ebpfnn: six.npz: ")
    assert fact in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_bundled_digits_are_the_default_and_that_is_said(world: Any) -> None:
    done = CliRunner().invoke(main, ["eval", "--json", "--no-kernel"])
    assert (done.exit_code, done.stderr) == (0, "ebpfnn: no --data given; using the bundled digits\n")
    assert json.loads(done.stdout)["images"] == 512
    asked = CliRunner().invoke(main, ["eval", "mnist", "--json", "--no-kernel", "--data", "bundled"])
    assert (asked.stdout, asked.stderr) == (done.stdout, "")


def test_the_bundled_digits_are_not_for_networks_that_know_no_digits(world: Any) -> None:
    done = CliRunner().invoke(main, ["eval", "thirds.safetensors"])
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "ebpfnn: the bundled digits do not fit network 'thirds': it takes 1x3, and its first label is 'left'; "
        "give samples with --data"
    )


def test_data_that_training_split_is_told_with_the_rows_that_count(world: Any) -> None:
    modelfile.save(replace(thirds(), card={"data": "six"}), "thirds.safetensors")
    done = run()
    fact = "six.npz has no test part; measuring all 6 samples"
    assert done.stderr == f"ebpfnn: {fact}, including the 5 of every 6 used for training\n"
    assert " on all 6 samples of six.npz\n" in done.stdout
    Path("six").mkdir()
    Path("six/test.npz").write_bytes(Path("six.npz").read_bytes())
    done = run(data="six")
    assert " on 6 test samples of six\n" in done.stdout
    assert done.stderr == ""


def test_words_that_would_move_the_cursor_are_shown_as_they_are(world: Any) -> None:
    Path("a\x1b[2Jb.npz").write_bytes(Path("six.npz").read_bytes())
    done = run(data="a\x1b[2Jb.npz")
    assert (done.exit_code, "\x1b" in done.output) == (0, False)


def test_a_pool_has_no_activation_to_show() -> None:
    made = network([MaxPool(Window((1, 2), (1, 1))), dense(np.eye(2), [0, 0])], input_format((1, 3)))
    assert [row.slope for row in layer_rows(made)] == [None, 1.0]


def of_tables(**fields: Any) -> Evaluation:
    made = cascade(table_network(1, score_scale=0.5, **fields), table_network(3, score_scale=0.25), margin=40)
    given = np.concatenate([samples((8, 8), seed) for seed in range(9)])
    truth = np.arange(len(given)) % 4
    return Evaluation(made, "noise", given, truth, reference.scores(made, given))


def test_what_each_network_of_a_cascade_does() -> None:
    done = of_tables()
    told = summary(done)
    first, second = told["stages"]
    alone = reference.scores(replace(done.network, then=None), done.samples)
    on = reference.margins(alone) < 40
    assert 0 < on.sum() < len(on)
    assert (first["architecture"], first["margin"], first["reached"]) == ("64-table11-4", 40, len(on))
    assert (second["architecture"], second["margin"], second["reached"]) == ("64-table11-4", None, on.sum())
    assert first["decided"] == first["reached"] - on.sum()
    assert second["decided"] == on.sum()
    right = done.predicted == done.truth
    assert (first["correct"], second["correct"]) == (right[~on].sum(), right[on].sum())
    assert np.array_equal(done.margins, metrics.margins(done.scores, done.truth) * np.where(on, 0.25, 0.5))


def test_wraps_are_told() -> None:
    (told,) = summary(of_tables(largest=99))["wraps"]
    assert told["sums"] == 9 * 16 * 11
    assert 0 < told["wrapped"] < told["sums"]


def test_a_margin_in_scores_of_several_units_has_no_logits() -> None:
    done = of_tables()
    detected = detect(done.scores, done.truth, 1, 0.1)
    told = summary(replace(done, detection=detected))["detection"]
    assert told["margin"] is not None
    assert told["margin_logits"] is None


def test_a_page_of_a_cascade(tmp_path: Path) -> None:
    done = of_tables()
    report.write(replace(done, detection=detect(done.scores, done.truth, 1, 0.1)), tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Who decides" in page
    assert "Network 2, tables3" in page
    assert "What each pixel adds to each output by itself" in page
    assert page.count("2x4 tiles") == 2
    assert "logits)" not in page


def test_the_tables_of_a_cascade(capsys: pytest.CaptureFixture[str]) -> None:
    from ebpfnn.cli.eval_tables import print_tables

    done = of_tables()
    print_tables(replace(done, detection=detect(done.scores, done.truth, 1, 0.1)))
    told = capsys.readouterr().out
    assert re.search(r"^64-table11-4 +40 +144 +[0-9]+ ", told, re.MULTILINE)
    assert re.search(r"^layer 0: [0-9]+ of 1,584 sums wrapped$", told, re.MULTILINE)
    assert " in scores (of the network that decides)" in told
