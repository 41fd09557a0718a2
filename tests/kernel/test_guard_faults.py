"""Whatever goes wrong with a guard, traffic flows: its loader is killed, an interface goes, a map is full, a model is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from click.testing import CliRunner
from flooding import FOREVER, POLICY, Senders
from instances import names
from netspace import run
from test_actions_live import calibrated, loaded
from test_instance_crash import killed_at

from ebpfnn import Instance, Plugins
from ebpfnn.cli import main
from ebpfnn.errors import DetachedError
from ebpfnn.instance import Store
from ebpfnn.instance.figures import counts
from ebpfnn.instance.pins import Pins
from ebpfnn.instance.ready import prepare
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Dense
from ebpfnn.session.guarding import Guard

pytestmark = pytest.mark.root


def guard(**policy: object) -> Guard:
    return Guard(replace(POLICY, after=1, **policy), Plugins.installed().action("drop"))  # type: ignore[arg-type]


def test_a_load_that_is_killed_at_any_step_drops_nothing(store: Store, senders: Senders) -> None:
    plugins = Plugins.installed()
    compiled = prepare(calibrated("tc"), plugins.trigger("tc"), "here", name="guard", guard=guard(), plugins=plugins).compiled()

    def loads_and_enforces() -> None:
        with Instance.make(compiled, -1, store) as instance, instance.brakes() as brakes:
            brakes.enforce(FOREVER)

    whole = set()
    for step in count(1, 2):
        killed = killed_at(step, loads_and_enforces)
        assert senders.send(0, 500, 500) == (2 if killed else 0)
        whole.add((killed, names(store) >= {"guard"}))
        if not killed:
            break
        store.sweep()
        if "guard" in names(store):
            assert flood("guard")["audited"] == 2
            Instance.open("guard").unload()
        assert names(store) == set()
    assert step > 30
    assert whole >= {(True, False), (False, True)}
    Instance.open("guard").unload()
    assert senders.send(0, 500, 500) == 2


def flood(name: str) -> dict[str, int]:
    with Instance.open(name).brakes() as brakes:
        return brakes.counts(("benign", "flood"))["flood"]


def test_an_interface_that_goes_leaves_a_guard_that_hits_nobody(store: Store, senders: Senders) -> None:
    with loaded("event") as instance, instance.alerts() as watch:
        assert senders.send(0, 500) == 1
        assert [each.target for each in watch.read(0)] == ["here"]
        run("ip", "link", "del", "here")
        for work in (lambda: list(watch.read(0)), lambda: instance.swap(calibrated("tc"))):
            with pytest.raises(DetachedError, match="instance 'guard' is detached: tc 'here' no longer exists"):
                work()
        with instance.brakes() as brakes:
            brakes.pause(True)
            assert brakes.paused
        [told] = json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)
        assert (told["attached"], told["guard"]["paused"], told["guard"]["enforcing"]) == (False, True, True)
        other = f"test-{os.getpid()}-other"
        run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", other)
        for before, interface, number in (((), "here", 1), (("-n", other), "there", 2)):
            run("ip", *before, "addr", "add", f"10.77.0.{number}/24", "dev", interface)
            run("ip", *before, "link", "set", interface, "up")
        assert senders.send(0, 500, 500) == 2
        assert flood("guard")["acted"] == 1
        instance.unload()
    assert names(store) == set()


def test_flows_for_which_a_full_map_has_no_room_pass(store: Store, senders: Senders) -> None:
    model = calibrated("tc")
    spec = {**model.events["spec"], "state": {"entries": 1, "map": "hash"}}
    model = replace(model, events={**model.events, "spec": spec})
    with Instance.load(model, Plugins.installed().trigger("tc"), "here", name="guard", guard=guard()) as instance:
        with instance.brakes() as brakes:
            brakes.enforce(FOREVER)
        assert senders.send(0, 500, 500) == 0
        assert senders.send(1, *[500] * 9) == 9
        assert senders.send(0, 500, 500) == 0
        assert flood("guard")["acted"] == 4
        with Pins(instance.path) as pins:
            assert counts(pins)["unstored"] == 9
        instance.unload()


def test_a_model_that_calls_everything_an_attack_is_held_by_the_cap(store: Store, senders: Senders) -> None:
    with Instance.load(always(), Plugins.installed().trigger("tc"), "here", name="guard", guard=guard(most=0.25)) as instance:
        with instance.brakes() as brakes:
            brakes.enforce(FOREVER)
        for flow in range(3):
            assert senders.send(flow, *[50, 500] * 20) >= 28
        found = flood("guard")
        assert found["acted"] + found["capped"] == 120
        assert 1 <= found["acted"] <= 36
        instance.unload()


def always() -> QuantizedNetwork:
    """The network whose label is 1 for whatever comes, by a margin of at least 3,000."""
    model = calibrated("tc")
    layer = model.layers[0]
    assert isinstance(layer, Dense)
    return replace(model, layers=(replace(layer, bias=np.array([0, 3000], np.int32)),))
