"""What is attached where no network can be called: the event goes on as if nothing were there."""

from __future__ import annotations

import struct

import pytest
import wire
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.socket_filter import SocketFilterTrigger
from packetnets import ANSWERING, NETWORK, SAMPLE, ask

from ebpfnn.instance.stub import NETWORKS, load_stub
from ebpfnn.network import reference
from ebpfnn.plugin import Trigger
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.loading import load

pytestmark = pytest.mark.root
KEEPS_ALL = 0x7FFFFFFF  # what a socket filter lets through, in bytes
VERDICTS: dict[str, tuple[Trigger, int]] = {
    **{name: (trigger, passes) for name, (trigger, passes, _) in ANSWERING.items()},
    "cgroup_skb": (CgroupSkbTrigger(), 1),
    "cgroup_skb egress": (CgroupSkbTrigger().with_options({"direction": "egress"}), 1),
    "socket_filter": (SocketFilterTrigger(), KEEPS_ALL),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_stub_without_a_network_lets_packets_pass(name: str) -> None:
    trigger, passes = VERDICTS[name]
    frame = wire.build(ask())
    with (
        load(NETWORK, trigger, compile_here(NETWORK)) as shell,
        load_stub(trigger, None, shell.programs[trigger.program()]) as stub,
    ):
        program = stub.programs[trigger.program()]
        result = trigger.attached(program, None).exchange(SAMPLE.tobytes())
        assert list(result[1]) == reference.scores(NETWORK, SAMPLE).tolist()
        stub.maps[NETWORKS].delete(struct.pack("<I", 0))
        ran = program.run(data=frame)
        assert (ran.return_value, ran.data[14:]) == (passes, frame[14:])
