"""Instances whose interface or cgroup has gone: they are told from those that answer, and nothing is proved of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import ebpfnn_plugins.tc
import pytest
from click.testing import CliRunner
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from instances import ROOT, ebpfnn, environment, names
from netspace import inside, namespace, run
from networks import random_network, samples
from waiting import wait_until

from ebpfnn import Instance
from ebpfnn.cli import main
from ebpfnn.compiler import Body
from ebpfnn.errors import DetachedError, NotSupported, SessionError
from ebpfnn.instance import InstanceSession, Store
from ebpfnn.instance.links import LINK
from ebpfnn.instance.proof import prove
from ebpfnn.kernel import Link
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.plugin import Plugins, Trigger

pytestmark = pytest.mark.root
NETWORK, OTHER = random_network((60, 7, 5), seed=3), random_network((60, 9, 5), seed=4)
SAMPLE = samples(60, seed=3)[7]
PROOF = "by BPF_PROG_RUN of the program that is attached"
GONE = (
    r"^instance 'one' is detached: {0} '{1}' no longer exists, or the program was detached by force; "
    r"unload it \(`ebpfnn unload one`\)"
)


@dataclass
class Place:
    """Somewhere to attach to, and how it goes; ``again`` makes another one of its name."""

    trigger: Trigger
    options: dict[str, str]
    target: str
    remove: Callable[[], None]
    again: Callable[[], None]


def _remove_interface() -> None:
    run("ip", "link", "del", "here")


def _make_interface() -> None:
    run("ip", "link", "add", "here", "type", "veth", "peer", "name", "there")
    run("ip", "link", "set", "here", "up")


ON_INTERFACES = {
    "xdp native": ("xdp", {"mode": "native"}),
    "xdp generic": ("xdp", {"mode": "generic"}),
    "tc": ("tc", {}),
    "tc egress": ("tc", {"direction": "egress"}),
    "tc by clsact": ("tc", {}),
    "socket_filter": ("socket_filter", {}),
}


@pytest.fixture(params=[*ON_INTERFACES, "cgroup_skb"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "tc by clsact":
        pytest.importorskip("pyroute2")
        monkeypatch.setattr(ebpfnn_plugins.tc, "attach_tcx", _refuse)
    if request.param == "cgroup_skb":
        yield from _cgroups()
        return
    name, options = ON_INTERFACES[request.param]
    with namespace():
        yield Place(Plugins.installed().trigger(name), options, "here", _remove_interface, _make_interface)


def _refuse(*_arguments: object, **_options: object) -> Link:
    raise NotSupported("this kernel takes no such link")


def _cgroups() -> Iterator[Place]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    root = next((Path(entry[1]) for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    directory = root / f"ebpfnn-detached-{os.getpid()}"
    directory.mkdir()
    try:
        yield Place(Plugins.installed().trigger("cgroup_skb"), {}, directory.name, directory.rmdir, directory.mkdir)
    finally:
        if directory.exists():
            directory.rmdir()


def listed() -> list[bool]:
    """As an object for each instance says whether it is attached; the table says the same."""
    found = [each["attached"] for each in json.loads(CliRunner().invoke(main, ["list", "--json"]).stdout)]
    assert CliRunner().invoke(main, ["list"]).stdout.count(" (detached)") == found.count(False)
    return found


def test_what_it_was_attached_to_goes(place: Place, store: Store) -> None:
    error = GONE.format(place.trigger.name, place.target)
    with ExitStack() as held:
        instance = held.enter_context(Instance.load(NETWORK, place.trigger, place.target, name="one", options=place.options))
        session, watch = held.enter_context(instance.session()), held.enter_context(instance.watch())
        assert session.infer(SAMPLE).scores.tolist() == reference.scores(NETWORK, SAMPLE).tolist()
        assert instance.swap(OTHER).startswith(PROOF)
        assert (instance.is_attached(), listed()) == (True, [True])
        place.remove()
        assert wait_until(lambda: not instance.is_attached())  # a cgroup goes a little later than its directory
        for again in (False, True):
            if again:
                place.again()
            for work in (
                lambda: session.infer(SAMPLE),
                instance.session,
                lambda: instance.swap(NETWORK),
                lambda: list(watch.read()),
            ):
                with pytest.raises(DetachedError, match=error):
                    work()
            assert listed() == [False]
        assert instance.statistics().swaps == 1
        assert instance.about().architecture == OTHER.architecture
        instance.unload()
        assert names(store) == set()


def test_a_link_that_was_detached_by_force(place: Place, store: Store) -> None:
    with Instance.load(NETWORK, place.trigger, place.target, name="one", options=place.options) as instance:
        if instance.holding:
            pytest.skip("the kernel has no link for it")
        with Link.open(instance.path / LINK) as link:
            link.detach()
        assert listed() == [False]
        with pytest.raises(DetachedError, match=GONE.format(place.trigger.name, place.target)):
            instance.session()


def test_an_interface_that_moves_keeps_what_the_kernel_keeps(store: Store) -> None:
    """XDP moves along, a packet socket does not."""
    with namespace() as name:
        elsewhere = f"{name}-elsewhere"
        run("ip", "netns", "add", elsewhere)
        try:
            trigger = Plugins.installed().trigger
            with (
                Instance.load(NETWORK, trigger("xdp"), "here", name="moved") as moved,
                Instance.load(NETWORK, trigger("socket_filter"), "here", name="left") as left,
            ):
                run("ip", "link", "set", "here", "netns", elsewhere)
                assert (moved.is_attached(), left.is_attached()) == (True, False)
                with inside(f"/run/netns/{elsewhere}"):
                    assert left.is_attached()  # from here nobody can tell
        finally:
            run("ip", "netns", "del", elsewhere)


@pytest.mark.parametrize("trigger", [RunTrigger(), TracepointTrigger()], ids=["run", "tracepoint"])
def test_what_cannot_go_stays_attached(trigger: Trigger, store: Store) -> None:
    with Instance.load(NETWORK, trigger, name="one") as instance:
        assert (instance.is_attached(), listed()) == (True, [True])


def test_the_verbs(store: Store) -> None:
    digit = str(ROOT / "tests" / "data" / "digits" / "3.png")
    with namespace():
        assert ebpfnn(store, "load", "mnist", "--trigger", "xdp", "--target", "here", "--name", "one").returncode == 0
        assert ebpfnn(store, "infer", "--check", digit).returncode == 0
        _remove_interface()
        _make_interface()
        for verb in (["infer", "--check", digit], ["infer", "--instance", "one", digit], ["swap", "one", "mnist-1bit"]):
            ran = ebpfnn(store, *verb)
            *_, complaint = ran.stderr.splitlines()
            assert (ran.returncode, ran.stdout) == (1, "")
            assert complaint == (
                "ebpfnn: instance 'one' is detached: xdp 'here' no longer exists, or the program was detached by force; "
                "unload it (`ebpfnn unload one`) and load it again"
            )
        assert " xdp here (detached) " in ebpfnn(store, "list").stdout
        assert ebpfnn(store, "unload", "one").returncode == 0
        assert ebpfnn(store, "load", "mnist", "--trigger", "xdp", "--target", "here", "--name", "one").returncode == 0


def test_a_holder_ends_with_its_attachment(store: Store) -> None:
    with namespace():
        command = [sys.executable, "-m", "ebpfnn", "load", "mnist", "--trigger", "socket_filter", "--target", "here"]
        with subprocess.Popen(command, env=environment(store), stderr=subprocess.PIPE, text=True) as holder:
            try:
                assert holder.stderr is not None
                assert "it stays loaded until this command is stopped" in holder.stderr.readline()
                _remove_interface()
                assert holder.wait(30) == 1
                assert holder.stderr.read() == (
                    "ebpfnn: instance 'mnist' is detached: socket_filter 'here' no longer exists, "
                    "or the program was detached by force; it is unloaded now, so load it again\n"
                )
            finally:
                holder.kill()
    assert names(store) == set()


def test_an_interface_that_goes_while_a_network_is_loaded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(session: InstanceSession, network: QuantizedNetwork, body: Body, plugins: Plugins | None) -> str:
        _remove_interface()
        return prove(session, network, body, plugins)

    monkeypatch.setattr("ebpfnn.instance.loading.prove_uncounted", late)
    with (
        namespace(),
        pytest.raises(SessionError, match="instance 'one': its target disappeared while it was being loaded"),
    ):
        Instance.load(NETWORK, Plugins.installed().trigger("xdp"), "here", name="one")
    assert names(store) == set()


def test_a_swap_whose_instance_is_unloaded_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the swap is by then, it says so, and names no pin."""
    from ebpfnn.instance import swap

    for step in ("check_namespace", "_check_fits", "_load", "put_network", "set_swaps", "InstanceSession", "prove_uncounted"):
        instance = Instance.load(NETWORK, TracepointTrigger(), name="one")
        real = getattr(swap, step)

        def unloading(
            *arguments: object, _real: Callable[..., object] = real, _of: Instance = instance, **options: object
        ) -> object:
            if _of.is_loaded():
                Instance.open("one").unload()
            return _real(*arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(swap, step, unloading)
            with pytest.raises(SessionError, match=r"^instance 'one' was unloaded; `ebpfnn list` shows what is loaded$"):
                instance.swap(OTHER)
        assert names(store) == set()
        instance.close()
