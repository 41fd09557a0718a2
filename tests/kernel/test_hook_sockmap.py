"""Programs on sockets that lie in a sockmap."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from fixtures import loaded
from kernelmaps import make, u32
from netspace import namespace
from waiting import wait_until

from ebpfnn.errors import KernelError
from ebpfnn.kernel import attach_sockmap
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import AttachType, MapType

pytestmark = pytest.mark.root
VERDICT = """
struct { __uint(type, 15); __type(key, __u32); __type(value, __u32); __uint(max_entries, 2); } sockets SEC(".maps");
SEC("sk_skb/stream_verdict") int verdict(void *context)
{
	HIT(1);
	return 1; /* SK_PASS */
}
"""


def test_a_stream_verdict_sees_what_arrives(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        namespace(),
        loaded(build_spec, VERDICT) as held,
        attach_sockmap(held.program, held.map("sockets"), AttachType.SK_SKB_STREAM_VERDICT),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        held.map("sockets").update(u32(0), u32(accepted.fileno()))
        client.send(b"hello")
        assert accepted.recv(5) == b"hello"
        assert wait_until(lambda: held.hits == 1)


def test_another_map_is_refused(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, VERDICT) as held,
        make(MapType.HASH) as other,
        pytest.raises(KernelError, match="the map is not a SOCKMAP or SOCKHASH"),
    ):
        attach_sockmap(held.program, other, AttachType.SK_SKB_STREAM_VERDICT)
