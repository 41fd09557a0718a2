"""Networks of tables and cascades behind triggers, as instances, over packets, and as observers of events."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import guards
import numpy as np
import pytest
from click.testing import CliRunner
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from guards import guard
from networks import random_network, requantization, samples
from tablenets import cascade, table, table_network
from test_observing_tasks import CALLS, UID, in_child

from ebpfnn import Instance, Plugins, Session
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import NotSupported, SessionError
from ebpfnn.instance import Store
from ebpfnn.instance.proof import reaching
from ebpfnn.network import QuantizedNetwork, cascades, reference
from ebpfnn.network.layers import ByteLanes
from ebpfnn.plugin import Trigger
from ebpfnn.session.compiling import compile_here

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
TILES = table_network(1, score_scale=0.5, name="tiles")
MADE = cascade(TILES, table_network(3, score_scale=0.25, name="second"), margin=60)
SAMPLES = np.concatenate([samples((8, 8), seed) for seed in range(4)])


@pytest.mark.parametrize("trigger", [RunTrigger(), TracepointTrigger()], ids=["run", "tracepoint"])
def test_samples_are_packed_in_tiles(trigger: Trigger) -> None:
    with Session(MADE, trigger) as session:
        found = [session.infer(sample).scores.tolist() for sample in SAMPLES[:20]]
    assert found == reference.scores(MADE, SAMPLES[:20]).tolist()
    assert set(cascades.deciding(MADE, SAMPLES[:20]).tolist()) == {0, 1}


def test_an_instance_tells_its_order_and_its_units(store: Store) -> None:
    instance = Instance.load(MADE, TracepointTrigger(), name="one")
    about = instance.about()
    assert about.input == MADE.input
    assert about.score_scales == (0.5, 0.25)
    assert about.architecture == "64-table11-4 then 64-table11-4"
    with instance.watch() as watch, instance.session() as session:
        found = [session.infer(sample).scores.tolist() for sample in SAMPLES]
        events = list(watch.read())
    assert found == reference.scores(MADE, SAMPLES).tolist()
    assert [event.score for event in events] == [max(each) for each in found]
    assert {event.score_scale for event in events} == {None}


@pytest.mark.parametrize("tile", [(4, 2), None])
def test_samples_of_another_order_are_refused(tile: tuple[int, int] | None, store: Store) -> None:
    """Who packs samples goes by the order that is told."""
    instance = Instance.load(TILES, RunTrigger(), name="one")
    with pytest.raises(NotSupported, match=r"its input is .* packed.*, and the instance's .* packed in 2x4 tiles, .*; load"):
        instance.swap(table_network(3, tile=tile))
    other = tuple(reversed(TILES.input.order))
    one, two = (replace(TILES, input=replace(TILES.input, order=each)) for each in (other, (*other[1:], other[0])))
    instance = Instance.load(one, RunTrigger(), name="two")
    with pytest.raises(NotSupported, match="packed in an order of their own, and the instance's in another one; load it"):
        instance.swap(two)
    instance.swap(replace(one, name="same"))
    assert instance.statistics().swaps == 1


def test_a_cascade_takes_the_place_of_a_network(store: Store) -> None:
    instance = Instance.load(TILES, TracepointTrigger(), name="one")
    instance.swap(MADE)
    with instance.session() as session:
        assert session.infer(SAMPLES[3]).scores.tolist() == reference.scores(MADE, SAMPLES[3]).tolist()
    instance.swap(TILES)
    assert instance.about().score_scales == (0.5,)


def test_a_check_reaches_each_network(store: Store) -> None:
    """The samples of the check alone reach the second network hardly ever, where the margin is small."""
    first, second = table_network(1), table_network(5)
    made = cascade(first, second, margin=2)
    found = reaching(made)
    assert cascades.deciding(made, found).tolist() == [1]
    bent = replace(second.layers[-1], bias=second.layers[-1].bias + 1)  # type: ignore[union-attr, call-arg]
    wrong = cascade(first, replace(second, layers=(second.layers[0], bent)), margin=2)
    with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
        Instance.load(made, RunTrigger(), name="one", body=compile_here(wrong))
    assert len(reaching(first)) == 0


def ran(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments, prog_name="ebpfnn")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    modelfile.save(MADE, "made.safetensors")
    np.save("x.npy", SAMPLES)
    np.savez("data.npz", samples=SAMPLES, labels=np.arange(len(SAMPLES)) % 4)
    return tmp_path


def told(*arguments: str) -> list[dict[str, Any]]:
    done = ran("infer", "x.npy", "--json", "--check", *arguments)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def expected(each: dict[str, Any], stage: int) -> float:
    """The softmax at the label, in the unit of the network that decided."""
    powers = np.exp((np.array(each["scores"]) - max(each["scores"])) * MADE.score_scales[stage])
    return round(float(powers.max() / powers.sum()), 4)


def test_infer_tells_who_decided(files: Path) -> None:
    stage = cascades.deciding(MADE, SAMPLES).tolist()
    assert set(stage) == {0, 1}
    found = told("--model", "made.safetensors")
    assert [each["stage"] for each in found] == stage
    assert all(each["confidence"] == expected(each, number) for each, number in zip(found, stage, strict=True))


def test_infer_on_an_instance_whose_file_is_gone(files: Path, store: Store) -> None:
    Instance.load(MADE, RunTrigger(), name="one", file=files / "made.safetensors")
    found = told("--instance", "one")
    assert {each["stage"] for each in found} == {0, 1}
    modelfile.save(TILES, "made.safetensors")
    done = ran("infer", "x.npy", "--json", "--instance", "one")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["scores"] for each in lines] == [each["scores"] for each in found]
    assert {(each["stage"], each["confidence"]) for each in lines} == {(None, None)}
    done = ran("infer", "x.npy", "--instance", "one", "--min-margin", "1")
    assert done.exit_code == 1
    assert "which network of the cascade 'tiles' decided is not known" in done.output


def test_eval_counts_for_each_network(files: Path) -> None:
    done = ran("eval", "made.safetensors", "--data", "data.npz", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["agreement"] == len(SAMPLES)
    assert sum(each["decided"] for each in found["stages"]) == len(SAMPLES)
    assert found["kernel"] == found["reference"]


@pytest.mark.usefixtures("small_caches")
def test_inspect_shows_all_networks(files: Path) -> None:
    deep = random_network("conv2x3-4", 2, (8, 8))
    modelfile.save(cascades.join(cascades.unpacked(MADE.stages[1]), deep, 9, 0.1), "deep.safetensors")
    for name in ("made.safetensors", "deep.safetensors"):
        done = ran("inspect", name)
        assert done.exit_code == 0, done.output
        assert "cascade of 2 networks: " in done.stdout
        assert "network 2, plan: the first layer reads " in done.stdout
        found = json.loads(ran("inspect", name, "--json").stdout)
        assert found["plan"]["then"]["then"] is None
        assert [each["stage"] for each in found["plans"]] == sorted(each["stage"] for each in found["plans"])
        assert "network 2, layer 0: " in ran("inspect", name, "--asm").stdout
    assert "packed in 2x4 tiles, 8 bytes a sample" in ran("inspect", "made.safetensors").stdout


THERMOMETER = {"encode": "thermometer", "bounds": [1, 2, 3, 4, 5, 8]}


def observer(then: bool) -> QuantizedNetwork:
    """A network of tables over 12 bits in an order of their own, perhaps with another one behind it."""
    columns = {column["name"]: THERMOMETER for column in CALLS["column"]}
    made, second = (guard(CALLS, columns, trigger="tracepoint", labels=("a", "b", "c"), seed=seed) for seed in (1, 5))
    order = tuple(np.random.default_rng(3).permutation(made.input.size).tolist())
    hidden = table(1, made.input.size, 9, order=order, requantization=ByteLanes(2))
    last = table(2, 9, 3, bits=6, members=1, sparse=0, requantization=requantization(3))
    made = replace(made, input=replace(made.input, order=order), layers=(hidden, last))
    return cascades.join(made, second, 40, 0.5) if then else made


@pytest.mark.parametrize("then", [False, True])
def test_an_observer_packs_samples_in_their_order(then: bool, store: Store) -> None:
    made, plugins = observer(then), Plugins.installed()
    trigger = plugins.trigger("tracepoint")
    instance = Instance.load(made, trigger, name="one", plugins=plugins, filters=[f"uid == {UID}"])
    assert instance.about().input.order == made.input.order
    child = in_child(lambda: [os.getppid() for _ in range(9)], UID)
    (verdict,) = instance.verdicts()
    label, margin = guards.expected(made, {"calls": 9, "number": 9})
    assert (verdict.key["tgid"], verdict.index, verdict.margin) == (child, label, margin)
