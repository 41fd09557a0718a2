"""Every shipped trigger as an observer: its event shell, attached, passes events on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from netspace import namespace, send
from observed import OBSERVER, Observed

from ebpfnn.errors import NotSupported, UsageError
from ebpfnn.events import fields_of
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.plugin import Plugins, Trigger, configured, why_not

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
PROVOKED = ("tracepoint", "raw_tracepoint", "kprobe", "kretprobe", "uprobe", "fentry", "fexit", "lsm")
ALL = ("xdp", "tc", "cgroup_skb", "socket_filter", *PROVOKED, "perf")
PACKETS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "xdp": ("xdp", {}, "here"),
    "native xdp": ("xdp", {"mode": "native"}, "here"),
    "tc ingress": ("tc", {}, "here"),
    "tc egress": ("tc", {"direction": "egress"}, "there"),
    "socket filter": ("socket_filter", {}, "here"),
}


@contextmanager
def observing(build: Build, trigger: Trigger, target: str | None, condition: str) -> Iterator[Observed]:
    """``trigger``, an observer, attached to ``target``. Fires are the attachment's own."""
    shell = ObjectSpec.from_file(trigger.object_path())
    fields = fields_of(shell)
    shell.keep_programs(trigger.program())
    for name, value in trigger.variables().items():
        shell.set_variable(name, value)
    trigger.prepare(shell, target)
    struct = "task" if any(field.name == "tgid" for field in fields) else "packet"
    observer = build(OBSERVER % {"struct": struct, "condition": condition}, "observer")
    with ExitStack() as held:
        loaded = held.enter_context(Object.load(link(shell, observer)))
        seen = Observed(loaded, trigger.program(), fields)
        seen.attachment = held.enter_context(trigger.attach(loaded, target))
        yield seen


@pytest.mark.parametrize("case", PACKETS)
def test_packets(build_spec: Build, case: str) -> None:
    name, options, target = PACKETS[case]
    trigger = configured(Plugins.installed().trigger(name).observer(), options)
    with namespace(), observing(build_spec, trigger, target, "fields->ethertype == 0x88b5") as seen:
        for number in range(3):
            send(number)
        assert seen.count == 3
        with pytest.raises(NotSupported, match="cannot be provoked"):
            seen.attachment.fire(0)


TO_ITSELF = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.bind(("127.0.0.1", 0))
    one.sendto(b"x" * 77, one.getsockname())
    one.recv(77)
"""


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((Path(entry[1]) for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    path = root / f"test-observers-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as refused:
        pytest.skip(f"no cgroup can be made here: {refused.strerror}")
    yield path
    path.rmdir()


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_cgroups_packets(build_spec: Build, cgroup: Path, direction: str) -> None:
    trigger = configured(Plugins.installed().trigger("cgroup_skb").observer(), {"direction": direction})
    with observing(build_spec, trigger, cgroup.name, "fields->payload == 77") as seen:
        enter = f"echo $$ > {cgroup}/cgroup.procs && exec {sys.executable} -c '{TO_ITSELF}'"
        subprocess.run(["sh", "-c", enter], check=True, timeout=30)
        assert (seen.count, seen.fields["direction"]) == (1, 1 + (direction == "egress"))


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("name", [*PROVOKED, "perf"])
def test_events_in_threads(build_spec: Build, name: str) -> None:
    trigger = Plugins.installed().trigger(name).observer()
    reason = why_not(trigger)
    if reason:
        pytest.skip(reason)
    with observing(build_spec, trigger, None, f"fields->tgid == {os.getpid()}") as seen:
        until = time.monotonic() + 10
        while not seen.count and time.monotonic() < until:
            seen.attachment.fire(0)
        assert seen.count


@pytest.mark.parametrize("name", ALL)
def test_an_observer_is_the_trigger_with_its_event_shell(name: str) -> None:
    trigger = Plugins.installed().trigger(name)
    before = (trigger.object_path(), trigger.program(), dict(trigger.options))
    observer = trigger.observer()
    assert (observer.name, observer.object_path()) == (name, trigger.events_path())
    assert observer.program() in ObjectSpec.from_file(trigger.events_path()).programs
    assert set(observer.options) <= {"direction", "mode"}
    assert (trigger.object_path(), trigger.program(), dict(trigger.options)) == before


def test_options_of_requests_are_none_of_an_observers() -> None:
    for name, option in (("xdp", "port"), ("tc", "answer"), ("raw_tracepoint", "nr")):
        with pytest.raises(UsageError, match=f"trigger '{name}' has no option '{option}'"):
            configured(Plugins.installed().trigger(name).observer(), {option: "1"})


def test_options_hold_in_either_order() -> None:
    trigger = Plugins.installed().trigger("tc")
    chosen = {"direction": "egress"}
    assert trigger.with_options(chosen).observer().program() == "ebpfnn_tc_egress"
    assert trigger.observer().with_options(chosen).program() == "ebpfnn_tc_egress"
    raw = Plugins.installed().trigger("raw_tracepoint").with_options({"nr": "39"}).observer()
    assert raw.with_options({}).program() == "ebpfnn_raw_events"


def test_a_trigger_without_fields_has_no_observer() -> None:
    with pytest.raises(NotSupported, match="trigger 'run' has no fields"):
        Plugins.installed().trigger("run").observer()
