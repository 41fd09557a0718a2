"""Guards on real traffic, in a network of the test's own: who is hit, who is not, and every brake."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flooding import FOREVER, POLICY, Senders, network

from ebpfnn import Observation, Plugins
from ebpfnn.errors import NotSupported, UsageError
from ebpfnn.events.policy import Policy, entry
from ebpfnn.network.calibration import Calibration
from ebpfnn.plugin import Trigger, configured, why_not
from ebpfnn.session.guarding import Guard, calibrated

pytestmark = pytest.mark.root


@pytest.fixture(params=["xdp", "tc"])
def trigger(request: pytest.FixtureRequest) -> Trigger:
    found = Plugins.installed().triggers[request.param]
    if lack := why_not(found):
        pytest.skip(lack)
    return found


Opened = Callable[..., Observation]


@pytest.fixture
def opened(senders: Senders, trigger: Trigger) -> Iterator[Opened]:
    """Opens guards at ``here``, which are closed at the end."""
    found: list[Observation] = []
    mode = "generic" if trigger.name == "xdp" else ""

    def opens(policy: Policy = POLICY, **options: Any) -> Observation:
        action = Plugins.installed().action("drop")
        found.append(Observation(network(trigger.name, mode), trigger, "here", guard=Guard(policy, action), **options))
        return found[-1]

    yield opens
    while found:
        found.pop().close()


def counts(guard: Observation, label: str = "flood") -> dict[str, int]:
    return {reason: count for reason, count in guard.brakes.counts(guard.network.labels)[label].items() if count}


def test_audit_lets_everything_pass_and_says_what_it_would_do(senders: Senders, opened: Opened) -> None:
    guard = opened()
    assert senders.send(0, *[500] * 6) == 6
    assert counts(guard) == {"audited": 5}


def test_what_is_enforced_hits_one_flow_and_no_other(senders: Senders, opened: Opened) -> None:
    guard = opened()
    guard.brakes.enforce(FOREVER)
    assert senders.send(0, *[500] * 6) == 1  # the first verdict alone does not count as enough
    assert senders.send(1, *[50] * 6) == 6
    assert senders.send(2, 500, 50, 500, 50, 500) == 5  # never two in a row
    assert senders.send(0, 50, 50) == 2  # a benign verdict ends it
    assert counts(guard) == {"acted": 5}


def test_a_weak_verdict_does_not_count(senders: Senders, opened: Opened) -> None:
    guard = opened(replace(POLICY, margin=501))
    guard.brakes.enforce(FOREVER)
    assert senders.send(0, *[250] * 6) == 6
    assert senders.send(1, *[500] * 6) == 1


def test_the_deadline_is_kept_by_bpf_itself(senders: Senders, opened: Opened) -> None:
    guard = opened(replace(POLICY, after=1))
    guard.brakes.enforce(time.monotonic_ns() + 2_000_000_000)
    assert senders.send(0, 500, 500) == 0
    time.sleep(2.1)
    assert senders.send(0, 500, 500) == 2
    assert counts(guard) == {"acted": 2, "audited": 2}


def test_pause_and_resume(senders: Senders, opened: Opened) -> None:
    guard = opened(replace(POLICY, after=1))
    guard.brakes.enforce(FOREVER)
    guard.brakes.pause(True)
    assert senders.send(0, 500, 500) == 2
    guard.brakes.pause(False)
    assert senders.send(0, 500, 500) == 0
    assert counts(guard) == {"acted": 2, "paused": 2}


def test_who_is_allowed_is_never_hit(senders: Senders, opened: Opened) -> None:
    guard = opened(replace(POLICY, after=1, allowed=(entry("source in 10.77.0.2/32"),)))
    guard.brakes.enforce(FOREVER)
    assert senders.send(0, *[500] * 4) == 4
    assert guard.counts()["created"] == 0
    assert counts(guard, "") == {"allowed": guard.counts()["observed"]}


def test_the_cap(senders: Senders, opened: Opened) -> None:
    guard = opened(replace(POLICY, after=1, most=0.25))
    guard.brakes.enforce(FOREVER)
    assert senders.send(0, *[500] * 100) >= 70
    assert counts(guard)["capped"] >= 70


def test_closing_it_lets_everything_pass(senders: Senders, opened: Opened) -> None:
    guard = opened(replace(POLICY, after=1))
    guard.brakes.enforce(FOREVER)
    assert senders.send(0, 500) == 0
    guard.close()
    assert senders.send(0, 500) == 1


def test_without_a_guard_there_are_no_brakes(senders: Senders, trigger: Trigger) -> None:
    del senders
    mode = "generic" if trigger.name == "xdp" else ""
    found = Observation(network(trigger.name, mode), trigger, "here")
    with found, pytest.raises(NotSupported, match="the observer is no guard, since it was loaded without an action"):
        _ = found.brakes


def test_a_trigger_that_cannot_act(senders: Senders) -> None:
    del senders
    plugins = Plugins.installed()
    socket_filter = configured(plugins.trigger("socket_filter"), {})
    with pytest.raises(
        UsageError, match="action 'drop' acts on no events of trigger 'socket_filter'; use another action, or trigger xdp or tc"
    ):
        Observation(network("socket_filter"), socket_filter, "here", guard=Guard(POLICY, plugins.action("drop")))


def test_what_is_not_calibrated() -> None:
    plain = network("xdp")
    with pytest.raises(UsageError, match="network 'guard' is not calibrated"):
        calibrated(plain)
    assert calibrated(replace(plain, calibration=Calibration("benign", 77, 0.1, 10, 1, 0, 0.3))) == (0, 77)
