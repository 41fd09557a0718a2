"""Programs of every kind of section: what they are bound to, and what is said of those that cannot be."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from declarations import DECLARATIONS

from ebpfnn.errors import KernelError, NotSupported, ObjectError, PermissionDenied
from ebpfnn.kernel import Object, attach_freplace, attach_iterator, attach_tracing
from ebpfnn.kernel.link.struct_ops_link import attach_struct_ops
from ebpfnn.obj import ObjectSpec, ProgramType

Build = Callable[..., ObjectSpec]
pytestmark = pytest.mark.root
ALGORITHMS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


@pytest.fixture
def build(build_spec: Build) -> Build:
    return lambda source, name="test.o": build_spec(DECLARATIONS + source, name)


@pytest.mark.parametrize(
    "section",
    [
        *("socket", "sk_reuseport", "sk_reuseport/migrate", "tc", "classifier", "action", "tcx/ingress", "tc/egress"),
        *("netkit/primary", "netkit/peer", "xdp", "xdp.frags", "xdp/devmap", "xdp.frags/cpumap", "perf_event"),
        *("lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "sockops", "sk_skb", "sk_skb/stream_parser", "sk_skb/verdict"),
        *("sk_msg", "flow_dissector", "cgroup/skb", "cgroup_skb/ingress", "cgroup_skb/egress", "cgroup/sock"),
        *("cgroup/sock_create", "cgroup/sock_release", "cgroup/post_bind4", "cgroup/dev", "cgroup/getsockopt"),
        *("cgroup/setsockopt", "kprobe/getppid", "kretprobe", "uprobe.s", "kprobe.multi/a*", "ksyscall/getcpu", "usdt"),
        *("tp/syscalls/sys_enter_getcpu", "tracepoint", "raw_tp/sys_enter", "raw_tracepoint.w/nbd_send_request", "syscall"),
        *("uprobe.multi.s", "kprobe.session", "uprobe.session.s"),
    ],
)
def test_sections_that_any_program_may_be_in(build: Build, section: str) -> None:
    result = 1 if section == "lwt_in" else 0
    spec = build(f'SEC("{section}") int run(void *context) {{ return {result}; }}')
    with Object.load(spec) as loaded:
        assert loaded.programs["run"].info().type == spec.programs["run"].type


@pytest.mark.parametrize(
    "section",
    [
        *(f"cgroup/{what}{kind}" for what in ("bind", "connect", "sendmsg") for kind in (4, 6)),
        *(f"cgroup/{what}{kind}" for what in ("recvmsg", "getpeername", "getsockname") for kind in (4, 6, "_unix")),
        *("cgroup/connect_unix", "cgroup/sysctl", "sk_lookup", "netfilter"),
    ],
)
def test_sections_whose_programs_must_return_one(build: Build, section: str) -> None:
    with Object.load(build(f'SEC("{section}") int run(void *context) {{ return 1; }}')) as loaded:
        assert loaded.programs["run"].info().type


def test_an_unknown_section_is_named_when_it_is_loaded(build: Build) -> None:
    spec = build('SEC("xpd") int run(void *context) { return 0; } SEC("socket") int fine(void *context) { return 0; }')
    assert spec.programs["run"].type == ProgramType.UNSPEC
    with pytest.raises(ObjectError, match=r'program \'run\': section \'xpd\' has no known program type; is it meant .*"xdp"'):
        Object.load(spec)
    spec.keep_programs("fine")
    Object.load(spec).close()


def test_a_section_of_another_convention_is_given_its_type(build: Build) -> None:
    spec = build('SEC("xdp_drops") int run(struct xdp_md *packet) { return XDP_PASS; }')
    told = "If not, give it a type: spec.programs['run'] = replace(spec.programs['run'], type=ProgramType.XDP)"
    with pytest.raises(ObjectError, match=re.escape(told)):
        Object.load(spec)
    spec.programs["run"] = replace(spec.programs["run"], type=ProgramType.XDP)
    with Object.load(spec) as loaded:
        assert loaded.programs["run"].info().type == ProgramType.XDP


def test_a_name_behind_a_section_that_has_none(build: Build) -> None:
    spec = build(
        'SEC("perf_event/x") int run(void *context) { return 0; } SEC("classifier/x") int filter(void *c) { return 0; }'
    )
    with Object.load(spec) as loaded:
        types = [loaded.programs[name].info().type for name in ("run", "filter")]
    assert types == [ProgramType.PERF_EVENT, ProgramType.SCHED_CLS]


def test_optional_programs_are_loaded_where_they_are_asked_for(build: Build) -> None:
    spec = build('SEC("?socket") int one(void *context) { return 0; } SEC("socket") int two(void *context) { return 0; }')
    with Object.load(spec) as loaded:
        assert list(loaded.programs) == ["two"]
    spec.keep_programs("one")
    with Object.load(spec) as loaded:
        assert list(loaded.programs) == ["one"]


def test_an_iterator(build: Build) -> None:
    spec = build("""
        static long (*const bpf_seq_write)(void *seq, const void *data, __u32 size) = (void *)127;
        struct bpf_iter_meta { void *seq; } __attribute__((preserve_access_index));
        struct bpf_iter__bpf_map { struct bpf_iter_meta *meta; void *map; } __attribute__((preserve_access_index));
        SEC("iter/bpf_map") int dump(struct bpf_iter__bpf_map *context)
        {
            char mark = '.';
            if (context->map)
                bpf_seq_write(context->meta->seq, &mark, 1);
            return 0;
        }
        struct { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } one SEC(".maps");""")
    with Object.load(spec) as loaded, attach_iterator(loaded.programs["dump"]) as link:
        assert set(link.read()) == {ord(".")}


def test_a_tracepoint_with_types(build: Build) -> None:
    spec = build('SEC("tp_btf/sys_enter") int enter(void *context) { return 0; }')
    with Object.load(spec) as loaded:
        assert loaded.programs["enter"].info().attach_btf_id


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("tp_btf/unheard", "the kernel has no tracepoint 'unheard' in its types"),
        ("fentry/unheard", "the kernel has no function 'unheard' in its types"),
        ("fexit.s/module:unheard", "module 'module' has no function 'unheard' in its types"),
        ("lsm/unheard", "the kernel has no LSM hook 'unheard' in its types"),
        ("iter/unheard", "the kernel has no iterator 'unheard' in its types"),
        ("fentry", 'SEC("fentry") does not name a target; write SEC("fentry/NAME")'),
        ("freplace/part", "replaces a function of another program; name that program with targets={'run': ...}"),
        ("struct_ops/part", 'is a member of no struct; name it in a variable of SEC(".struct_ops")'),
    ],
)
def test_targets_that_are_not_there(build: Build, section: str, words: str) -> None:
    with pytest.raises(ObjectError) as caught:
        Object.load(build(f'SEC("{section}") int run(void *context) {{ return 0; }}'))
    assert words in str(caught.value)


@pytest.mark.parametrize("section", ["fentry/bpf_fentry_test1", "fexit/bpf_fentry_test1", "fmod_ret/bpf_modify_return_test"])
def test_functions_of_the_kernel(build: Build, section: str) -> None:
    spec = build(f'int ran; SEC("{section}") int run(void *context) {{ ran++; return 0; }}')
    try:
        loaded = Object.load(spec)
    except PermissionDenied as refusal:
        pytest.skip(str(refusal))
    with loaded, attach_tracing(loaded.programs["run"]):
        loaded.programs["run"].run()
        assert loaded.maps[".bss"].lookup(bytes(4)) == struct.pack("<I", 1)


MAIN = """
    __attribute__((noinline)) int part(struct xdp_md *context) { volatile int result = 1; return result; }
    SEC("xdp") int whole(struct xdp_md *context) { return part(context); }"""


def test_a_function_of_another_program_is_replaced(build: Build) -> None:
    replacement = build('SEC("freplace/part") int mine(struct xdp_md *context) { return 2; }')
    with Object.load(build(MAIN)) as first:
        whole = first.programs["whole"]
        assert whole.run(data=bytes(64)).return_value == 1
        try:
            loaded = Object.load(replacement, targets={"mine": whole})
        except PermissionDenied as refusal:
            pytest.skip(str(refusal))
        with loaded, attach_freplace(loaded.programs["mine"]):
            assert whole.run(data=bytes(64)).return_value == 2


def test_a_function_that_the_other_program_does_not_have(build: Build) -> None:
    replacement = build('SEC("freplace/unheard") int mine(struct xdp_md *context) { return 2; }')
    with (
        Object.load(build(MAIN)) as first,
        pytest.raises(ObjectError, match="program 'whole' has no function 'unheard'"),
    ):
        Object.load(replacement, targets={"mine": first.programs["whole"]})


TCP = """
    struct sock;
    struct tcp_congestion_ops {
        __u32 (*ssthresh)(struct sock *sk);
        void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
        __u32 (*undo_cwnd)(struct sock *sk);
        char name[16];
        %s
    };
    SEC("struct_ops/ssthresh") __u32 ssthresh(__u64 *context) { return 5; }
    SEC("struct_ops/cong_avoid") void cong_avoid(__u64 *context) { }
    SEC("struct_ops/undo_cwnd") __u32 undo_cwnd(__u64 *context) { return 6; }
    SEC("%s") struct tcp_congestion_ops mine = {
        .ssthresh = (void *)ssthresh, .cong_avoid = (void *)cong_avoid, .undo_cwnd = (void *)undo_cwnd,
        .name = "ebpfnn_test", %s
    };"""


@pytest.mark.parametrize("section", [".struct_ops", ".struct_ops.link"])
def test_a_struct_of_the_kernels(build: Build, section: str) -> None:
    try:
        loaded = Object.load(build(TCP % ("int of_no_kernel;", section, "")))
    except PermissionDenied as refusal:
        pytest.skip(str(refusal))
    with loaded:
        with attach_struct_ops(loaded, "mine"):
            assert "ebpfnn_test" in ALGORITHMS.read_text().split()
        assert "ebpfnn_test" not in ALGORITHMS.read_text().split()


def test_a_struct_that_is_optional(build: Build) -> None:
    with Object.load(build(TCP % ("", "?.struct_ops", ""))) as loaded:
        assert not loaded.programs
        assert not loaded.maps
        with pytest.raises(ObjectError, match="no struct_ops map 'mine'; there are: none"):
            attach_struct_ops(loaded, "mine")


def test_a_member_that_the_kernel_does_not_have(build: Build) -> None:
    with pytest.raises(
        ObjectError, match="the kernel's struct tcp_congestion_ops has no member 'of_no_kernel'; leave it empty"
    ):
        Object.load(build(TCP % ("int of_no_kernel;", ".struct_ops", ".of_no_kernel = 1,")))


def test_a_struct_that_nobody_may_implement(build: Build) -> None:
    spec = build("""
        struct task_struct { int (*hook)(void); };
        SEC("struct_ops/hook") int hook(void *context) { return 0; }
        SEC(".struct_ops") struct task_struct mine = { .hook = (void *)hook };""")
    with pytest.raises(NotSupported, match="this kernel does not let programs implement struct task_struct"):
        Object.load(spec)


def test_nothing_is_left_open_where_a_program_is_refused(build: Build) -> None:
    spec = build("""
        struct { __uint(type, 2); __uint(max_entries, 1); __type(key, __u32); __type(value, __u32); } one SEC(".maps");
        SEC("socket") int fine(void *context) { return 0; }
        SEC("socket") int refused(void *context) { return *(volatile int *)8; }""")
    with pytest.raises(KernelError, match="program 'refused'"):
        Object.load(spec)


def test_a_target_for_a_program_that_is_not_there(build: Build) -> None:
    with Object.load(build(MAIN)) as first, pytest.raises(ObjectError, match="no program 'mine'; there are: whole"):
        Object.load(build(MAIN), targets={"mine": first.programs["whole"]})
