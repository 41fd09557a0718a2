"""Programs that serve a whole network namespace."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from fixtures import loaded
from netspace import namespace, send

from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.kernel import Hook, LinkType, attach_flow_dissector, attach_netfilter, attach_sk_lookup
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import AttachType

pytestmark = pytest.mark.root
DROPS = 'SEC("{section}") int drop(void *context) {{ HIT(1); return 0; }}'
IPV4 = 0x0800


def test_sk_lookup_turns_connections_away(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        namespace() as name,
        loaded(build_spec, DROPS.format(section="sk_lookup")) as held,
        socket.create_server(("", 0)) as server,
    ):
        address = ("127.0.0.1", server.getsockname()[1])
        socket.create_connection(address).close()
        with attach_sk_lookup(held.program, Path("/run/netns") / name) as link:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            assert held.hits > 0
            info = link.info()
            assert (info.type, info.attach_type) == (LinkType.NETNS, AttachType.SK_LOOKUP)
            assert info.target == {"netns_ino": Path("/run/netns", name).stat().st_ino}
        socket.create_connection(address).close()


def test_a_flow_dissector_sees_packets(build_spec: Callable[[str], ObjectSpec]) -> None:
    drops = DROPS.format(section="flow_dissector")
    with namespace(), loaded(build_spec, drops) as held, attach_flow_dissector(held.program) as link:
        send(1, IPV4)
        assert held.hits > 0
        assert link.info().attach_type is AttachType.FLOW_DISSECTOR
        link.detach()
        before = held.hits
        send(1, IPV4)
        assert held.hits == before


def test_netfilter_drops_what_goes_out(build_spec: Callable[[str], ObjectSpec]) -> None:
    with namespace(), ExitStack() as resources:
        try:
            held = resources.enter_context(loaded(build_spec, DROPS.format(section="netfilter")))
        except NotSupported as lack:
            pytest.skip(str(lack))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", 9))
            with attach_netfilter(held.program, Hook.LOCAL_OUT, priority=-7) as link:
                with pytest.raises(PermissionError):
                    sender.sendto(b"x", ("127.0.0.1", 9))
                assert held.hits == 1
                assert link.info().type is LinkType.NETFILTER
                assert link.info().target == {"pf": socket.AF_INET, "hooknum": Hook.LOCAL_OUT, "priority": -7, "flags": 0}
                with pytest.raises(KernelError, match="priority -7: another program has this priority"):
                    attach_netfilter(held.program, Hook.LOCAL_OUT, priority=-7)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", 9))
        assert held.hits == 1


def test_a_namespace_that_is_not_there(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, DROPS.format(section="sk_lookup")) as held,
        pytest.raises(KernelError, match="No such file or directory; see `ip netns list`"),
    ):
        attach_sk_lookup(held.program, Path("/run/netns/none"))
