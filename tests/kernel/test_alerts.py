"""Alerts of a guard on real traffic: what they tell, who reads them, and what a swap and an end make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cgroups import end_of, start
from click.testing import CliRunner
from flooding import FOREVER, Senders
from instances import ebpfnn
from taskguards import POLICY as TASKS
from taskguards import calls
from taskguards import network as task_network
from test_actions_live import calibrated, loaded
from test_guard_instances import load

from ebpfnn import Instance, Plugins
from ebpfnn.cli import main
from ebpfnn.errors import NotSupported, SessionError
from ebpfnn.instance import Alert, AlertWatch, Store
from ebpfnn.session.guarding import Guard

pytestmark = pytest.mark.root


def waiting(watch: AlertWatch) -> list[Alert]:
    """What is there by now."""
    return list(watch.read(0))


def test_the_verb(store: Store, senders: Senders) -> None:
    with loaded("event") as instance:
        assert senders.send(0, 500, 450, 500, 600) == 4
        ran = CliRunner().invoke(main, ["alerts", "guard", "--count", "3"])
        assert (ran.exit_code, ran.stderr) == (0, "")
        told = [json.loads(line) for line in ran.stdout.splitlines()]
        port = senders.flows[0].getsockname()[1]
        for each in told:
            assert (each["event"], each["trigger"], each["target"]) == ("tc", "tc", "here")
            assert (each["label"], each["margin"], each["suppressed"], each["lost"]) == ("flood", 1500, 0, 0)
            assert each["key"] == f"10.77.0.1:5790-10.77.0.2:{port}/udp"
            assert (each["fields"]["source"], each["fields"]["destination"]) == ("10.77.0.2", "10.77.0.1")
            assert each["time"].endswith("+00:00")
        assert [each["fields"]["payload"] for each in told] == [500, 450, 500]
        ran = CliRunner().invoke(main, ["alerts", "--seconds", "0"])
        assert [json.loads(line)["fields"]["payload"] for line in ran.stdout.splitlines()] == [600]
        assert "alerts" not in json.loads(CliRunner().invoke(main, ["actions", "--json"]).stdout)
        instance.unload()


def test_only_what_is_acted_on_is_told(store: Store, senders: Senders) -> None:
    with loaded("event") as instance, instance.brakes() as brakes, instance.alerts() as watch:
        brakes.pause(True)
        senders.send(0, 500)
        brakes.pause(False)
        brakes.enforce(0)
        senders.send(0, 500)
        brakes.enforce(FOREVER)
        senders.send(1, 50)
        assert waiting(watch) == []
        senders.send(0, 500)
        assert [each.label for each in waiting(watch)] == ["flood"]
        instance.unload()


def test_a_swap_keeps_the_reader_and_what_nobody_has_read(store: Store, senders: Senders) -> None:
    with loaded("event:2") as instance, instance.alerts() as watch:
        senders.send(0, 500)
        instance.swap(replace(calibrated("tc"), name="second"))
        senders.send(1, 450)
        assert [each.fields["payload"] for each in waiting(watch)] == [500, 450]
        with pytest.raises(SessionError, match="is watched by another process, and only one can watch at a time"):
            instance.alerts()
        senders.send(2, *[500] * 50)
        found, counts = waiting(watch), watch.counts()
        assert counts.told == 2 + len(found)
        assert counts.told + counts.suppressed == 52
        assert counts.lost == 0
        instance.unload()
        with pytest.raises(SessionError, match="instance 'guard' was unloaded"):
            waiting(watch)


def test_a_ring_that_nobody_reads_loses_alerts_and_no_packets(store: Store, senders: Senders) -> None:
    with loaded("event:1000000") as instance:
        sent = 0
        for _ in range(30):
            assert senders.send(0, *[500] * 100) == 100
            sent += 100
        with instance.alerts() as watch:
            counts = watch.counts()
            assert counts.lost > 0
            assert (counts.told + counts.lost, counts.suppressed) == (sent, 0)
            braked = instance.snapshot().guard
            assert braked
            assert braked.alerts == {"told": counts.told, "suppressed": 0, "lost": counts.lost}
            assert len(waiting(watch)) == counts.told
            assert senders.send(0, 500) == 1
            assert len(waiting(watch)) == 1
        instance.unload()


def test_guards_with_another_action_and_what_is_no_guard(store: Store, senders: Senders) -> None:
    del senders
    with load(calibrated("tc")) as instance:
        with pytest.raises(
            NotSupported, match=r"'guard' has no alerts: its action 'drop' tells .*; load it with --action event"
        ):
            instance.alerts()
        instance.unload()
    with Instance.load(calibrated("tc"), Plugins.installed().trigger("tc"), "here", name="guard") as instance:
        ran = ebpfnn(store, "alerts", "guard")
        assert ran.returncode == 1
        assert "instance 'guard' has no alerts: it is no guard; load it with --action event" in ran.stderr
        instance.unload()


@pytest.mark.usefixtures("tracing", "perf_links")
def test_events_of_threads(store: Store) -> None:
    def work() -> None:
        Path("/proc/self/comm").write_text("one that calls")
        calls(7)()

    for action, told in (("pass", 0), ("event", 3)):
        guard = Guard(TASKS, Plugins.installed().action(action))
        with Instance.load(task_network(), Plugins.installed().trigger("tracepoint"), guard=guard) as instance:
            with instance.brakes() as brakes:
                brakes.enforce(FOREVER)
                child = start(work)
                assert end_of(child) == 0
                assert brakes.counts(("benign", "bad"))["bad"]["acted"] >= 3
            if told:
                with instance.alerts() as watch:
                    found = [each for each in waiting(watch) if each.fields["tgid"] == child]
                assert [(each.label, each.margin, each.trigger) for each in found] == [("bad", 500, "tracepoint")] * told
                assert {each.target for each in found} == {"syscalls:sys_enter_getppid"}
                assert {(each.key, each.fields["comm"]) for each in found} == {(f"tgid={child}", "one that calls")}
            instance.unload()
