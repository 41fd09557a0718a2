"""An instance is detached when it was unloaded, or was not loaded after all: not when the kernel gets round to it.

The kernel drops the reference of a removed pin some time later. Here another descriptor of the link stands for that reference,
for as long as a test likes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ebpfnn_plugins.raw_tracepoint import RawTracepointTrigger
from guards import guard
from instances import names
from netspace import namespace
from networks import random_network

from ebpfnn import Instance, Plugins
from ebpfnn.errors import SessionError
from ebpfnn.instance import Store
from ebpfnn.instance.links import LINK, pins_of_links
from ebpfnn.kernel import Link
from ebpfnn.kernel.ids import Kind, ids
from ebpfnn.network import QuantizedNetwork

pytestmark = pytest.mark.root
SMALL = random_network((9, 5, 3), seed=1)


@pytest.fixture(params=["given", "observing"])
def instance(request: pytest.FixtureRequest, store: Store) -> Iterator[Instance]:
    network = SMALL if request.param == "given" else guard()
    with namespace(), Instance.load(network, Plugins.installed().trigger("xdp"), "here", name="one", store=store) as loaded:
        yield loaded


def test_unloading_detaches_whoever_has_the_link_open(instance: Instance, store: Store) -> None:
    with Link.open(instance.path / LINK) as link:
        assert link.info().is_attached
        instance.unload()
        assert not link.info().is_attached
    assert names(store) == set()


def test_what_cannot_be_detached_is_waited_for(store: Store) -> None:
    instance = Instance.load(SMALL, RawTracepointTrigger(), name="one", store=store)
    link = Link.open(instance.path / LINK)
    number, unloading = link.info().id, threading.Event()

    def let_go() -> None:
        unloading.wait()
        time.sleep(0.1)  # as the kernel's work queue may
        link.close()

    thread = threading.Thread(target=let_go)
    thread.start()
    unloading.set()
    instance.unload()
    remaining = set(ids(Kind.LINK))
    thread.join()
    assert number not in remaining
    assert names(store) == set()


@pytest.mark.parametrize("network", [SMALL, guard()], ids=["given", "observing"])
def test_what_is_not_loaded_after_all_is_detached(
    network: QuantizedNetwork, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as held:
        links = list[Link]()

        def taken(_store: Store, staged: Path, _name: str) -> Path:
            links.extend(held.enter_context(Link.open(pin)) for pin in pins_of_links(staged))
            assert [each.info().is_attached for each in links] == [True]
            raise SessionError("the name was taken meanwhile")

        held.enter_context(namespace())
        monkeypatch.setattr(Store, "publish", taken)
        with pytest.raises(SessionError, match="taken meanwhile"):
            Instance.load(network, Plugins.installed().trigger("xdp"), "here", name="one", store=store)
        assert [each.info().is_attached for each in links] == [False]
    assert names(store) == set()


def test_what_a_killed_process_left_is_detached(instance: Instance, store: Store) -> None:
    instance.path.rename(store.directory / "~1-0")  # as the first step of its unloading does
    with Link.open(store.directory / "~1-0" / LINK) as link:
        store.sweep()
        assert not link.info().is_attached
    assert names(store) == set()
