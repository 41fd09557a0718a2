"""A forest through every trigger and verb, in turn with networks, and what it finds in events."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forests import grown, random_forest, samples_of
from guards import ENCODED, FLOW, guard
from instances import ebpfnn, names, started
from netspace import namespace
from networks import random_network

from ebpfnn import Instance, Observation, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.errors import NotSupported
from ebpfnn.events import build, describe
from ebpfnn.instance import Store
from ebpfnn.instance.proof import proving
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.events import carried
from ebpfnn.network.model import Model
from ebpfnn.plugin import Trigger, why_not
from ebpfnn.preparation.tables.collected import SPEC, encode_about
from ebpfnn.session import Session
from ebpfnn.session.verdicts import read
from ebpfnn.trees import Forest, Tree

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
EVERY = [
    "run",
    "tracepoint",
    "raw_tracepoint",
    "kprobe",
    "uprobe",
    "fentry",
    "fexit",
    "perf",
    "xdp",
    "tc",
    "cgroup_skb",
    "socket_filter",
]
NETWORK, FOREST = random_network((9, 5, 3), seed=1), random_forest(2, 6, 5, 9, 3)
SAMPLES = np.concatenate([samples_of(FOREST, 3, 20), proving(FOREST.input)])


def leaf(tree: Tree, sample: np.ndarray) -> list[int]:
    """What ``tree`` gives, as docs/trees.md tells: equation 1 in Python alone."""
    at = 0 if len(tree.values) else -1
    while at >= 0:
        right = int(sample[tree.values[at]]) >= int(tree.thresholds[at])
        at = int(tree.children[at][int(right)])
    found: list[int] = tree.leaves[-1 - at].tolist()
    return found


def scores_of(model: Model, sample: np.ndarray) -> list[int]:
    """By code that shares none with the compiler; of trees, none with the reference either."""
    if isinstance(model, QuantizedNetwork):
        return [int(score) for score in reference.scores(model, sample)]
    assert isinstance(model, Forest)
    return [sum(column) for column in zip(model.base, *(leaf(tree, sample) for tree in model.trees), strict=True)]


def of_value(labels: tuple[str, ...] = ("price",), *, result: str = "value", scale: float = 0.25, seed: int = 4) -> Forest:
    made = random_forest(seed, 5, 4, 9, 1)
    return replace(made, name="priced", labels=labels, result=result, score_scale=scale)


def of_vector() -> Forest:
    made = random_forest(6, 5, 4, 9, 3)
    return replace(made, name="turning", labels=("x", "y", "z"), result="vector", score_scale=0.25)


@pytest.fixture(params=EVERY)
def trigger(request: pytest.FixtureRequest) -> Trigger:
    found = Plugins.installed().triggers.get(request.param)
    lack = f"no trigger '{request.param}' is installed" if found is None else why_not(found)
    if found is None or lack:
        pytest.skip(lack or "")
    return found


def test_an_instance_goes_from_a_network_to_a_forest_and_back(trigger: Trigger, store: Store) -> None:
    few = SAMPLES[:3] if trigger.name == "perf" else SAMPLES  # whose events take long
    with Instance.load(NETWORK, trigger, name="one") as instance, instance.session() as session:
        for count, served in enumerate([NETWORK, FOREST, NETWORK]):
            if count:
                instance.swap(served)
            for sample in few:
                found, wanted = session.infer(sample), scores_of(served, sample)
                assert found.scores.tolist() == wanted
                assert (found.label, found.value) == (wanted.index(max(wanted)), None)
            about = instance.about()
            assert (about.kind, about.result, about.architecture) == (served.kind, "label", served.architecture)
        assert instance.statistics().swaps == 2
        instance.unload()


def test_a_value_has_its_unit(trigger: Trigger) -> None:
    made = of_value()
    few = SAMPLES[:3] if trigger.name == "perf" else SAMPLES
    with Session(made, trigger) as session:
        wanted = [scores_of(made, sample)[0] for sample in few]
        for sample, score in zip(few, wanted, strict=True):
            found = session.infer(sample)
            assert (found.label, found.scores.tolist(), found.value) == (0, [score], score * 0.25)
        many = session.infer_many(few)
        assert many.values is not None
        assert many.values.tolist() == [score * 0.25 for score in wanted]


def test_a_vector_has_a_value_for_each_component(store: Store) -> None:
    wanted = [[score * 0.25 for score in scores_of(of_vector(), sample)] for sample in SAMPLES]
    with Session(of_vector(), Plugins.installed().trigger("run")) as session:
        one, many = session.infer(SAMPLES[0]), session.infer_many(SAMPLES)
    assert one.vector is not None
    assert many.vectors is not None
    assert (one.vector.tolist(), one.value) == (wanted[0], None)
    assert (many.vectors.tolist(), many.values) == (wanted, None)
    with Instance.load(of_vector(), Plugins.installed().trigger("tracepoint"), name="one") as instance:
        with instance.session() as session, instance.watch() as watch:
            found = session.infer(SAMPLES[1]).vector
            (event,) = watch.read()
            with pytest.raises(NotSupported, match="its results are of kind 'label', and the instance's callers read 'vector'"):
                instance.swap(replace(of_vector(), result="label"))
        instance.unload()
    assert found is not None
    assert found.tolist() == wanted[1]
    assert (event.label, event.value) == ("xyz"[wanted[1].index(max(wanted[1]))], max(wanted[1]))


def test_results_of_one_kind_do_not_take_the_place_of_another(store: Store) -> None:
    run = Plugins.installed().trigger("run")
    with Instance.load(of_value(), run, name="one") as instance:
        with pytest.raises(NotSupported, match="its results are of kind 'anomaly', and the instance's callers read 'value'"):
            instance.swap(of_value(result="anomaly"))
        instance.swap(of_value(scale=3.0, seed=5))
        with instance.session() as session:
            assert session.infer(SAMPLES[0]).value == 3 * scores_of(of_value(seed=5), SAMPLES[0])[0]
        instance.unload()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models, and data for them, in the current directory."""
    monkeypatch.chdir(tmp_path)
    for name, model in {
        "net": NETWORK,
        "woods": replace(FOREST, name="woods"),
        "priced": of_value(),
        "odd": odd(),
        "turning": of_vector(),
    }.items():
        modelfile.save(model, f"{name}.safetensors")
    labels = [max(range(3), key=scores_of(FOREST, sample).__getitem__) for sample in SAMPLES]
    values = np.array([scores_of(of_value(), sample)[0] * 0.25 for sample in SAMPLES])
    np.savez("labels.npz", samples=SAMPLES, labels=np.array(labels))
    np.savez("values.npz", samples=SAMPLES, targets=values + 2.0 * (np.arange(len(values)) == 7))
    vectors = np.array([scores_of(of_vector(), sample) for sample in SAMPLES]) * 0.25
    np.savez("vectors.npz", samples=SAMPLES, targets=vectors + np.outer(np.arange(len(vectors)) == 7, [0, 0, 3]))
    np.savez("unusual.npz", samples=SAMPLES, labels=(values >= np.sort(values)[-4]).astype(int))
    SAMPLES.tofile("samples.raw")
    return tmp_path


def odd() -> Forest:
    return replace(of_value(("strangeness",), result="anomaly"), name="odd")


def verb(store: Store, *arguments: str) -> Any:
    """What it prints, as JSON."""
    ran = ebpfnn(store, *arguments)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_infer(files: Path, store: Store) -> None:
    raw = ("--raw", "samples.raw", "--check")
    for name, model in {"woods": FOREST, "priced": of_value(), "odd": odd()}.items():
        ran = ebpfnn(store, "infer", "--model", f"{name}.safetensors", "--json", *raw)
        assert ran.returncode == 0, ran.stderr
        told = [json.loads(line) for line in ran.stdout.splitlines()]
        assert [each["scores"] for each in told] == [scores_of(model, sample) for sample in SAMPLES]
        assert all(each["check"] for each in told)
        if model.result == "label":
            assert {"value", "result"}.isdisjoint(told[0])
        else:
            assert [each["value"] for each in told] == [each["scores"][0] * 0.25 for each in told]
            assert (told[0]["result"], told[0]["label"], "confidence" in told[0]) == (model.result, model.labels[0], False)
    text = ebpfnn(store, "infer", "--model", "priced.safetensors", *raw).stdout.splitlines()[0]
    score = scores_of(of_value(), SAMPLES[0])[0]
    assert text.split()[1:3] == ["price", f"{score * 0.25:.6g}"]
    assert "%" not in text
    ran = ebpfnn(store, "infer", "--model", "turning.safetensors", "--json", *raw)
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    wanted = [[score * 0.25 for score in scores_of(of_vector(), sample)] for sample in SAMPLES]
    assert [each["values"] for each in told] == wanted, ran.stderr
    assert (told[0]["result"], told[0]["label"], told[0]["labels"], told[0]["check"]) == ("vector", None, ["x", "y", "z"], True)
    text = ebpfnn(store, "infer", "--model", "turning.safetensors", *raw).stdout.splitlines()[0]
    assert text.split()[1:7] == [word for name, each in zip("xyz", wanted[0], strict=True) for word in (name, f"{each:.6g}")]
    quiet = ebpfnn(store, "infer", "--model", "turning.safetensors", "--quiet", "--raw", "samples.raw").stdout.splitlines()
    assert quiet[0].split("\t") == [f"{each:.6g}" for each in wanted[0]]
    quiet = ebpfnn(store, "infer", "--model", "priced.safetensors", "--quiet", "--raw", "samples.raw").stdout.splitlines()
    assert quiet[0] == f"{score * 0.25:.6g}"
    refused = ebpfnn(store, "infer", "--model", "priced.safetensors", "--min-margin", "1", *raw)
    assert refused.stderr.startswith("ebpfnn: 'priced' gives numbers, and no label leads another; leave out --min-margin")
    twin = ebpfnn(store, "infer", "--model", "woods.safetensors", "--twin", "--json", *raw)
    told = [json.loads(line) for line in twin.stdout.splitlines()]
    assert [each["scores"] for each in told] == [scores_of(FOREST, sample) for sample in SAMPLES], twin.stderr
    assert all(each["check"] for each in told)


def test_load_swap_watch_stats_and_list(files: Path, store: Store) -> None:
    loaded = ebpfnn(store, "load", "net.safetensors", "--name", "one")
    assert (loaded.returncode, loaded.stderr) == (0, "")
    swapped = ebpfnn(store, "swap", "one", "woods.safetensors")
    assert swapped.stdout == f"one: woods ({FOREST.architecture}) is now in place; checked by the event itself (tracepoint)\n"
    (about,) = verb(store, "list", "--json")
    assert (about["kind"], about["result"], about["swaps"]) == ("trees", "label", 1)
    ran = ebpfnn(store, "infer", "--instance", "one", "--check", "--json", "--raw", "samples.raw")
    assert ran.returncode == 0, ran.stderr
    assert [json.loads(line)["scores"] for line in ran.stdout.splitlines()] == [scores_of(FOREST, each) for each in SAMPLES]
    assert ebpfnn(store, "stats", "one", "--seconds", "0.2", "--json").returncode == 0
    assert ebpfnn(store, "swap", "one", "net.safetensors").returncode == 0
    refused = ebpfnn(store, "swap", "one", "priced.safetensors")
    assert "it has 1 labels, and the instance's callers read 3" in refused.stderr
    assert ebpfnn(store, "unload", "one").returncode == 0
    assert names(store) == set()


def test_a_watcher_is_told_values(files: Path, store: Store) -> None:
    with Instance.load(of_value(), Plugins.installed().trigger("run"), name="one") as instance:
        with instance.watch() as watch, instance.session() as session:
            session.infer(SAMPLES[0])
            session.infer(SAMPLES[1])
            told = list(watch.read(1))
        wanted = [scores_of(of_value(), sample)[0] for sample in SAMPLES[:2]]
        assert [(each.label, each.score, each.value) for each in told] == [("price", score, score * 0.25) for score in wanted]
        instance.unload()


def test_eval(files: Path, store: Store) -> None:
    told = verb(store, "eval", "woods.safetensors", "--data", "labels.npz", "--json")
    assert (told["reference"], told["kernel"], told["agreement"], told["float"]) == (1, 1, len(SAMPLES), None)
    told = verb(store, "eval", "priced.safetensors", "--data", "values.npz", "--json")
    worst = {"mean": 2 / len(SAMPLES), "root_mean_square": (4 / len(SAMPLES)) ** 0.5, "worst": 2.0}
    assert told["kernel"] == told["reference"] == pytest.approx(worst)
    assert (told["agreement"], told["worst"][0]["index"], told["result"], told["label"]) == (len(SAMPLES), 7, "value", "price")
    told = verb(store, "eval", "odd.safetensors", "--data", "unusual.npz", "--json")
    assert (told["detection"]["auc"], told["detection"]["recall"], told["agreement"]) == (1.0, 1.0, len(SAMPLES))
    told = verb(store, "eval", "turning.safetensors", "--data", "vectors.npz", "--json")
    errors = [each["kernel"]["worst"] for each in told["components"]]
    assert (errors, told["kernel"]["worst"], told["agreement"]) == ([0.0, 0.0, 3.0], 3.0, len(SAMPLES))
    assert [each["label"] for each in told["components"]] == ["x", "y", "z"]
    text = ebpfnn(store, "eval", "priced.safetensors", "--data", "values.npz").stdout
    assert f"reference  {2 / len(SAMPLES):.6g}" in text
    assert f"give the same scores for {len(SAMPLES)} of {len(SAMPLES)}" in text
    for name, data in {"woods": "labels", "priced": "values", "odd": "unusual"}.items():
        ran = ebpfnn(store, "eval", f"{name}.safetensors", "--data", f"{data}.npz", "--no-kernel", "--report", f"of-{name}")
        assert ran.returncode == 0, ran.stderr
        assert "multiplications a sample" not in (files / f"of-{name}" / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("eval", "priced.safetensors"), "model 'priced' gives numbers, and no label; give samples with targets with --data"),
        (("eval", "priced.safetensors", "--positive", "price"), "--positive: model 'priced' gives numbers, and no classes"),
        (("eval", "woods.safetensors", "--float", "x"), "--float: model 'woods' is of kind 'trees', which has no float form"),
        (("export", "woods.safetensors", "--raw", "out"), "is of kind 'trees', and `ebpfnn export` takes networks alone"),
        (("cascade", "woods.safetensors", "mnist", "--data", "labels.npz"), "`ebpfnn cascade` takes networks alone"),
    ],
)
def test_what_it_does_not_have_is_refused_on_one_line(files: Path, store: Store, arguments: tuple[str, ...], fact: str) -> None:
    ran = ebpfnn(store, *arguments)
    assert ran.returncode
    assert fact in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (files / "out").exists()


@pytest.mark.usefixtures("small_caches")
def test_inspect_bench_and_models(files: Path, store: Store) -> None:
    told = verb(store, "inspect", "woods.safetensors", "--json")
    assert (told["kind"], told["result"], told["facts"] != {}) == ("trees", "label", True)
    assert told["kernel"]["verified"] > 0
    assert {"layers", "macs", "plan"}.isdisjoint(told)
    assert "of kind trees" in ebpfnn(store, "inspect", "woods.safetensors").stdout
    assert ebpfnn(store, "inspect", "woods.safetensors", "--asm").stdout.count("exit") == 1
    for plan in ("branches", "walk", "masks"):
        assert verb(store, "inspect", "woods.safetensors", "--json", "--plan", plan)["code"]["instructions"] > 0
    assert ebpfnn(store, "inspect", "woods.safetensors", "--plan", "rows").stderr.startswith("ebpfnn: plan 'rows' is not known")
    for name, data in {"woods": "labels", "priced": "values"}.items():
        given = ("--model", f"{name}.safetensors", "--data", f"{data}.npz", "--rounds", "1", "--json")
        ran = started(store, "bench", *given)
        assert ran.returncode == 0, ran.stderr
        rows = json.loads(ran.stdout)
        exact = {row["name"]: row["exact"] for row in rows}
        assert (exact["compiled"], exact["reference"], exact["session.infer"]) == (True, True, True)
        assert False not in exact.values()
        assert {row["accuracy"] for row in rows if row["name"] == "compiled"} == ({1.0, None} if name == "woods" else {None})
    listed = {each["name"]: each for each in verb(store, "models", "--json")}
    assert listed["woods"]["architecture"] == FOREST.architecture


def guarding(result: str = "label", seed: int = 7) -> Forest:
    """A forest over the rows of the spec that :func:`guard` carries."""
    like = guard(FLOW, ENCODED)
    random = np.random.default_rng(seed)
    labels = like.labels if result == "label" else ("strangeness",)
    trees = tuple(grown(random, 4, like.input.size, len(labels)) for _ in range(5))
    base = (0,) * len(labels)
    return Forest("watching", like.input, labels, trees, base, 0.5, events=like.events, result=result)


@pytest.mark.parametrize("result", ["label", "value", "anomaly"])
def test_a_forest_that_observes_events_is_rehearsed(result: str, store: Store) -> None:
    made = guarding(result)
    modelfile.save(made, store.root.parent / "watching.safetensors")
    with namespace():
        ran = ebpfnn(store, "load", str(store.root.parent / "watching.safetensors"), "--target", "here")
        assert ran.returncode == 0, ran.stderr
        assert "rows and verdicts as the twin computes them" in ran.stdout
        with Instance.open("watching") as instance:
            about = instance.about()
            assert (about.kind, about.result, about.observes) == ("trees", result, True)
            if result == "label":
                assert "as the twin computes them" in instance.swap(guard(FLOW, ENCODED))
            assert "as the twin computes them" in instance.swap(guarding(result, seed=8))
            if result != "label":
                other = {"label": "value", "value": "anomaly", "anomaly": "value"}[result]
                with pytest.raises(NotSupported, match=f"its results are of kind '{other}', and those of the verdicts"):
                    instance.swap(replace(guarding(result), result=other))
            assert instance.verdicts() == []
        assert ebpfnn(store, "unload", "watching").returncode == 0
    assert names(store) == set()


def test_a_verdict_on_a_value_keeps_the_score(store: Store) -> None:
    made, xdp = guarding("anomaly"), Plugins.installed().trigger("xdp")
    with namespace(), Observation(made, xdp, "lo", options={"mode": "generic"}) as observing:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(bytes(30), ("127.0.0.1", 9))
        found = [each for each in observing.verdicts() if each.key["protocol"] == 17]
        assert len(found) == 1
        assert (found[0].label, found[0].value) == ("strangeness", found[0].margin * 0.5)
        reached = {scores_of(made, np.array(row, np.uint8))[0] for row in _rows(made)}
        assert found[0].margin in reached


def _rows(made: Forest) -> Iterator[tuple[int, ...]]:
    """Samples of the first packet of a flow, whatever its length: of one length, of no gap and no reply, of UDP."""
    for length in range(0, 256, 51):
        yield length, 0, 0, 0, 0, 120


def test_the_unit_of_a_verdict_that_is_not_known_gives_no_value() -> None:
    record = np.zeros(1, "u8, u8, u4, i4, u4, u4")
    record[0] = (1, 0, 1, -12, 3, 1)
    data = record.tobytes()
    assert read(("price",), (), b"", data, {3: 0.5}).value == -6.0
    assert read(("price",), (), b"", data, {4: 0.5}).value is None
    assert read(("price",), (), b"", data).value is None


def test_collected_rows_train_a_forest_that_observes_their_events(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    spec = {**FLOW, "column": [{"name": "length", "reduce": "first", "of": "length", "n": 2}]}
    about = carried(describe(build(spec)), "xdp", "generic")
    lengths = np.random.default_rng(1).integers(0, 2000, (2, 120)).astype(np.uint64)
    columns = {"length.1": lengths[0], "length.2": lengths[1], "label": np.where(lengths[0] > 900, "big", "small")}
    own = {"key": [f"tgid={n}" for n in range(120)], "number": np.ones(120, np.uint64), "time": np.arange(120)}
    groups = {"group": np.arange(120) // 4, SPEC: np.frombuffer(encode_about(about), np.uint8)}
    np.savez(tmp_path / "rows.npz", **columns, **own, **groups)
    file = str(tmp_path / "sizes.safetensors")
    ran = started(store, "train", "--data", str(tmp_path / "rows.npz"), "--arch", "forest:4x4", "--output", file)
    assert ran.returncode == 0, ran.stderr
    with namespace():
        ran = ebpfnn(store, "load", file, "--target", "lo", "--option", "mode=generic")
        assert ran.returncode == 0, ran.stderr
        assert "rows and verdicts as the twin computes them" in ran.stdout
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for size in (30, 1300):
                sender.sendto(bytes(size), ("127.0.0.1", size))
        found = [each for each in lines(ebpfnn(store, "verdicts", "--json").stdout) if each["key"]["protocol"] == 17]
        labels = {port: each["label"] for each in found for port in (30, 1300) if port in each["key"].values()}
        assert labels == {30: "small", 1300: "big"}
        assert ebpfnn(store, "unload").returncode == 0


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]
