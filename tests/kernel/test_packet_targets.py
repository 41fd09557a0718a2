"""What the packet triggers are attached to."""

from __future__ import annotations

import pytest
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.socket_filter import SocketFilterTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from instances import ebpfnn, names

from ebpfnn.instance import Store
from ebpfnn.plugin import Trigger

pytestmark = pytest.mark.root


TRIGGERS = [XdpTrigger(), TcTrigger(), SocketFilterTrigger(), CgroupSkbTrigger()]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda each: each.name)
def test_nothing_is_loaded_to_stay_that_is_attached_nowhere(trigger: Trigger, store: Store) -> None:
    ran = ebpfnn(store, "load", "mnist", "--trigger", trigger.name)
    takes = "a cgroup, such as system.slice" if trigger.name == "cgroup_skb" else "an interface, such as eth0"
    assert (ran.returncode, ran.stderr) == (2, f"ebpfnn: trigger '{trigger.name}' requires a target; give --target: {takes}\n")
    assert not names(store)
