"""Guards that stay in the kernel: loaded, shown, braked, swapped and unloaded by the verbs."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from flooding import FOREVER, POLICY, Senders, network
from instances import ebpfnn, names
from netspace import run

from ebpfnn import Instance, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError, NotSupported, UsageError
from ebpfnn.instance import Store
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.layers import Dense
from ebpfnn.network.preparation import Preparation
from ebpfnn.session.guarding import Guard

pytestmark = pytest.mark.root
CALIBRATION = Calibration("benign", 500, 0.01, 1000, 4, 3, 0.008)


@pytest.fixture
def calibrated() -> QuantizedNetwork:
    return replace(network("tc"), calibration=CALIBRATION)


def load(calibrated: QuantizedNetwork, group: int = -1, **policy: object) -> Instance:
    plugins = Plugins.installed()
    guard = Guard(replace(POLICY, **policy), plugins.action("drop"))  # type: ignore[arg-type]
    return Instance.load(calibrated, plugins.trigger("tc"), "here", name="guard", guard=guard, group=group)


def test_a_guard_outlives_the_process_and_leaves_nothing(store: Store, senders: Senders, calibrated: QuantizedNetwork) -> None:
    with load(calibrated) as instance:
        assert " actions as the twin computes them" in instance.proof
        assert senders.send(0, *[500] * 4) == 4
        with instance.brakes() as brakes:
            brakes.enforce(FOREVER)
    again = Instance.open("guard")
    assert senders.send(0, *[500] * 4) == 0
    about = again.about()
    assert (about.guard["action"], about.guard["spared"], about.guard["margin"]) == ("drop", "benign", 500)
    with again.brakes() as brakes:
        assert brakes.counts(about.labels)["flood"] == {"acted": 4, "audited": 3, "paused": 0, "capped": 0, "allowed": 0}
    again.unload()
    assert senders.send(0, *[500] * 4) == 4
    assert names(store) == set()


def test_a_swap_keeps_the_brakes_and_takes_the_new_margin(store: Store, senders: Senders, calibrated: QuantizedNetwork) -> None:
    layer = calibrated.layers[0]
    assert isinstance(layer, Dense)
    calmer = replace(calibrated, layers=(replace(layer, bias=np.array([2000, 0], np.int32)),))
    with load(calibrated) as instance:
        with instance.brakes() as brakes:
            brakes.enforce(FOREVER)
        assert senders.send(0, *[500] * 4) == 1
        instance.swap(replace(calibrated, calibration=replace(CALIBRATION, margin=1501)))
        assert instance.about().guard["margin"] == 1501
        assert senders.send(1, *[500] * 4) == 4  # too weak now
        assert senders.send(0, 500) == 0  # what was kept of this key holds
        instance.swap(calmer)
        assert senders.send(2, *[500] * 4) == 4
        (case,) = instance.cases()  # the others were too weak, or of the label that is spared
        assert (case.label, case.margin, case.reason, case.number, case.swaps) == ("flood", 1500, "acted", 2, 0)
        assert case.columns == {"length": 528}
        with pytest.raises(UsageError, match="is not calibrated"):
            instance.swap(replace(calibrated, calibration=None))
        with pytest.raises(ModelError, match="was calibrated to spare 'flood', and the guard spares 'benign'"):
            instance.swap(replace(calibrated, calibration=replace(CALIBRATION, spared="flood")))
        with instance.brakes() as brakes:
            assert brakes.until_ns == FOREVER
        instance.unload()


def test_the_verbs(store: Store, senders: Senders, calibrated: QuantizedNetwork, tmp_path: Path) -> None:
    path = tmp_path / "guard.safetensors"
    modelfile.save(calibrated, path)
    policy = ("--action", "drop", "--after", "1", "--most", "1", "--enforce", "--for", "1h")
    ran = ebpfnn(store, "load", str(path), "--target", "here", *policy)
    assert ran.returncode == 0, ran.stderr
    told = r"observes every event and is a guard: drop, enforcing for 3[0-6]\d\d s more; see `ebpfnn actions guard`\n"
    assert re.search(told, ran.stdout), ran.stdout
    assert re.search(r"\(guard: drop, enforcing for 3[0-6]\d\d s more\)", ebpfnn(store, "list").stdout)
    assert senders.send(0, 500, 500) == 0
    assert re.fullmatch(r"guard: enforcing for 3[0-6]\d\d s more, paused\n", ebpfnn(store, "pause").stdout)
    assert senders.send(0, 500) == 1
    assert "paused" not in ebpfnn(store, "resume", "guard").stdout
    assert senders.send(0, 500) == 0
    table = r"case .* swaps\n1 +[\d:.]+ +acted +flood +1,500 +10\.77\.0\.1:5790-10\.77\.0\.2:\d+/udp +1 +0\n"
    assert re.fullmatch(table, ebpfnn(store, "cases").stdout), ebpfnn(store, "cases").stdout
    case = json.loads(ebpfnn(store, "cases", "guard", "--last", "1000", "--json").stdout)
    assert (case["reason"], case["columns"], case["event"]) == ("acted", {"length": 528}, "tc")
    assert ebpfnn(store, "audit").stdout == "guard: audit, acts on nothing\n"
    assert senders.send(0, 500) == 1
    told = json.loads(ebpfnn(store, "actions", "--json").stdout)
    assert told["counts"]["flood"] == {"acted": 3, "audited": 1, "paused": 1, "capped": 0, "allowed": 0}
    assert (told["enforcing"], told["paused"], told["after"], told["spared"]) == (False, False, 1, "benign")
    assert ebpfnn(store, "enforce", "--for", "200ms").returncode == 0
    time.sleep(0.4)
    assert senders.send(0, 500) == 1
    shown = ebpfnn(store, "actions").stdout
    assert "guard: drop, audit, acts on nothing" in shown
    assert "entries are allowed" in shown
    assert ebpfnn(store, "unload").returncode == 0
    assert names(store) == set()


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--enforce"], "--enforce is for guards; give --action too"),
        (["--allow", "source in 10.0.0.0/8"], "--allow is for guards; give --action too"),
        (["--after", "2"], "--after is for guards; give --action too"),
        (["--most", "1"], "--most is for guards; give --action too"),
        (["--no-usual-allowed"], "--no-usual-allowed is for guards; give --action too"),
        (["--action", "drop", "--for", "1h"], "--for limits how long a guard acts; give --enforce too"),
        (["--action", "drpo"], "did you mean 'drop'?"),
        (["--action", "drop", "--allow", "source in 10.0.0.1/8"], "has bits behind the prefix"),
        (["--action", "drop", "--allow", "surce == 1"], "has no field 'surce'; did you mean 'source'?"),
        (["--action", "drop", "--most", "0"], "0 is not in the range"),
        (["--action", "drop", "--after", "0"], "0 is not in the range"),
    ],
)
def test_what_is_refused_before_anything_is_attached(
    store: Store, senders: Senders, calibrated: QuantizedNetwork, tmp_path: Path, arguments: list[str], fact: str
) -> None:
    del senders
    modelfile.save(calibrated, tmp_path / "guard.safetensors")
    ran = ebpfnn(store, "load", str(tmp_path / "guard.safetensors"), "--target", "here", *arguments)
    assert ran.returncode != 0
    assert fact in ran.stderr.replace("\n", " "), ran.stderr
    assert len(ran.stderr.strip().splitlines()) <= 3
    assert names(store) == set()


def test_what_is_not_calibrated_and_what_observes_nothing(store: Store, senders: Senders, tmp_path: Path) -> None:
    del senders
    modelfile.save(network("tc"), tmp_path / "guard.safetensors")
    ran = ebpfnn(store, "load", str(tmp_path / "guard.safetensors"), "--target", "here", "--action", "drop", "--enforce")
    assert ran.returncode != 0
    assert "is not calibrated, so it is not known from which margin on its verdicts count; run `ebpfnn calibrate`" in ran.stderr
    for calibration in (CALIBRATION, None):
        plain = replace(network("tc"), events={}, calibration=calibration)
        modelfile.save(plain, tmp_path / "plain.safetensors")
        ran = ebpfnn(store, "load", str(tmp_path / "plain.safetensors"), "--trigger", "run", "--action", "drop")
        assert "observes no events, so there is nothing to act on; leave out the action" in ran.stderr
    assert names(store) == set()


def test_an_instance_that_only_observes_has_no_brakes(store: Store, senders: Senders, calibrated: QuantizedNetwork) -> None:
    del senders
    with Instance.load(calibrated, Plugins.installed().trigger("tc"), "here", name="guard") as instance:
        with (
            pytest.raises(NotSupported, match="instance 'guard' is no guard, since it was loaded without an action"),
            instance.brakes(),
        ):
            pass
        with pytest.raises(NotSupported, match="instance 'guard' is no guard, since it was loaded without an action"):
            instance.cases()
        for verb in ("pause", "cases"):
            ran = ebpfnn(store, verb, "guard")
            assert ran.returncode == 1
            assert "instance 'guard' is no guard, since it was loaded without an action; load it with --action" in ran.stderr
        instance.unload()


@pytest.mark.parametrize("own", [False, True], ids=["--target", "target of the spec"])
def test_an_interface_with_a_default_route_takes_a_deadline(
    store: Store, senders: Senders, calibrated: QuantizedNetwork, tmp_path: Path, own: bool
) -> None:
    del senders
    run("ip", "route", "add", "default", "via", "10.77.0.2", "dev", "here")
    spec = {**calibrated.events["spec"], "event": [{"trigger": "tc", **({"target": "here"} if own else {})}]}
    modelfile.save(replace(calibrated, events={**calibrated.events, "spec": spec}), tmp_path / "guard.safetensors")
    place = () if own else ("--target", "here")
    command = ("load", str(tmp_path / "guard.safetensors"), *place, "--action", "drop", "--enforce")
    ran = ebpfnn(store, *command)
    assert ran.returncode == 2
    assert "interface 'here' has a default route, so a wrong action may cut this machine off; give --for DURATION" in ran.stderr
    run("ip", "link", "property", "add", "dev", "here", "altname", "uplink")
    assert own or ebpfnn(store, *command, "--target", "uplink").returncode == 2
    assert names(store) == set()
    assert ebpfnn(store, *command, "--for", "1m").returncode == 0
    assert ebpfnn(store, "enforce").returncode == 2
    assert ebpfnn(store, "enforce", "--for", "1s").returncode == 0
    assert ebpfnn(store, "unload").returncode == 0


def called(*arguments: str) -> Result:
    """As :func:`ebpfnn`, in this process, which takes a tenth of the time."""
    return CliRunner().invoke(main, arguments, prog_name="ebpfnn")


def renamed(model: QuantizedNetwork) -> QuantizedNetwork:
    """The same network of a column of another name."""
    spec, columns = model.events["spec"], model.input.preparation.options["columns"]
    events = {**model.events, "spec": {**spec, "column": [{**each, "name": "size"} for each in spec["column"]]}}
    preparation = Preparation("columns", {"columns": [{**each, "name": "size"} for each in columns]})
    return replace(model, events=events, input=replace(model.input, prepared=preparation))


def test_cases_are_explained_by_the_model_that_decided(
    store: Store, senders: Senders, calibrated: QuantizedNetwork, tmp_path: Path
) -> None:
    del store  # its place is in the environment
    path, other = tmp_path / "guard.safetensors", tmp_path / "other.safetensors"
    typical = replace(calibrated, calibration=replace(CALIBRATION, typical=(0,)))
    modelfile.save(typical, path)
    modelfile.save(renamed(replace(typical, calibration=replace(CALIBRATION, typical=(1,)))), other)
    ran = called("load", str(path), "--target", "here", "--action", "drop", "--after", "1")
    assert ran.exit_code == 0, ran.output
    ran = called("explain")
    assert (ran.exit_code, "has no cases yet; `ebpfnn actions guard` shows" in ran.stderr) == (2, True)
    senders.send(0, 200)  # so that it is told apart from the next one, of another flow
    senders.send(1, 500)
    told = json.loads(called("explain", "guard", "--json").stdout)
    assert (told["equal"], told["case"]["columns"], told["lead"]) == (True, {"length": 528}, 1500)
    (column,) = told["columns"]
    assert (column["name"], column["value"], column["typical"], column["carried"]) == ("length", 528, [None, 200], 2000)
    assert column["below"] == {"low": None, "high": 200, "label": "benign", "counts": True}
    second = called("explain", "guard", "2").stdout
    assert re.match(r"guard: case 2, [\d:.]+: 10\.77\.0\.1:5790-10\.77\.0\.2:\d+/udp at its event 1, audited\n", second)
    assert "flood by 500; it counts: from 500 on" in second
    key = told["case"]["shown"]
    for which in (key, "1", "10.77.0.2"):
        assert called("explain", "guard", which).stdout.startswith("guard: case 1, "), which
    for which, fact in (
        ("3", "has no case '3' among its latest 2; see `ebpfnn cases guard`"),
        ("1.2.3.4", "no case '1.2.3.4'"),
    ):
        assert fact in called("explain", "guard", which).stderr
    assert called("swap", "guard", str(other)).exit_code == 0
    assert called("explain", "guard").exit_code == 0  # the former file is known
    path.unlink()
    told_ = called("explain", "guard").stderr
    assert f"the file of its network, {path}, is gone; give its file with --model" in told_
    ran = called("explain", "guard", "--model", str(other))  # which calls its column otherwise
    assert (ran.exit_code, "no column 'size'" in ran.stderr) == (1, True)
    layer = calibrated.layers[0]
    assert isinstance(layer, Dense)
    modelfile.save(replace(typical, layers=(replace(layer, bias=np.array([499, 0], np.int32)),)), path)
    assert "has another network now than the one that was loaded" in called("explain", "guard").stderr
    ran = called("explain", "guard", "--model", str(path))
    fact = (
        "the kernel recorded 'flood' by 1,500, and the model gives 'flood' by 1,501; give the model that decided with --model"
    )
    assert (ran.exit_code, fact in ran.stderr) == (1, True)
    assert called("swap", "guard", str(path)).exit_code == 0
    assert "its network of that time was replaced 2 swaps ago" in called("explain", "guard").stderr
    assert called("unload", "guard").exit_code == 0
