"""A TCP congestion control made of programs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from fixtures import HELPERS, loaded

from ebpfnn.errors import NotSupported, ObjectError, PermissionDenied
from ebpfnn.kernel import LinkType, Object, attach_struct_ops
from ebpfnn.kernel.link import HeldLink
from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
NAME = b"ebpfnn_test"
CONTROL = """
struct sock;
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};
SEC("struct_ops") int ssthresh(void *context) { return 2; }
SEC("struct_ops") int cong_avoid(void *context) { return 0; }
SEC("struct_ops") int undo_cwnd(void *context) { return 2; }
SEC("%s") struct tcp_congestion_ops control = {
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
	.name = "ebpfnn_test",
};
"""


def is_offered() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, NAME)
        except FileNotFoundError:
            return False
        return probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).startswith(NAME)


@pytest.mark.parametrize("section", [".struct_ops", ".struct_ops.link"])
def test_it_is_offered_until_its_link_is_closed(build_spec: Callable[[str], ObjectSpec], section: str) -> None:
    spec = build_spec(HELPERS + CONTROL % section)
    with ExitStack() as resources:
        try:
            held = resources.enter_context(Object.load(spec))
        except PermissionDenied as refused:
            pytest.skip(f"this kernel lets nobody load programs of section struct_ops ({refused.code})")
        except NotSupported as lack:
            assert section == ".struct_ops.link"
            pytest.skip(str(lack))
        assert not is_offered()
        with attach_struct_ops(held, "control") as link:
            assert is_offered()
            if section == ".struct_ops.link":
                assert link.info().type is LinkType.STRUCT_OPS
                assert link.info().target == {"map_id": held.maps["control"].info().id}
            else:
                assert isinstance(link, HeldLink)
        assert not is_offered()


def test_a_struct_that_is_not_there(build_spec: Callable[[str], ObjectSpec]) -> None:
    with (
        loaded(build_spec, 'SEC("socket") int idle(void *context) { return 0; }') as held,
        pytest.raises(ObjectError, match="no struct_ops map 'control'; there are: none"),
    ):
        attach_struct_ops(held.held, "control")
