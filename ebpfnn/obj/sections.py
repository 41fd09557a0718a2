"""Section names, and their program types (libbpf's docs, "Program Types and ELF Sections", libbpf 1.5)."""

from __future__ import annotations

from typing import NamedTuple

from .uapi import SLEEPABLE, XDP_HAS_FRAGS, AttachType, ProgramType

__all__ = ["Section", "SectionKind", "known_sections", "read_section", "section_kind"]


class SectionKind(NamedTuple):
    """The properties of programs in a section. ``extras`` says whether ``/...``, the attach target, may follow the name."""

    type: ProgramType
    expected_attach_type: int = 0
    flags: int = 0
    extras: bool = False


class Section(NamedTuple):
    """A parsed section name. ``kind`` is None if it is unknown."""

    kind: SectionKind | None
    attach_to: str
    autoload: bool


_UNIX = ("connect", "sendmsg", "recvmsg", "getpeername", "getsockname")
_A = AttachType

# By program type: the names that end there, with the attach type that each expects.
_EXACT: dict[ProgramType, dict[str, int]] = {
    ProgramType.SOCKET_FILTER: {"socket": 0},
    ProgramType.SK_REUSEPORT: {
        "sk_reuseport": _A.SK_REUSEPORT_SELECT,
        "sk_reuseport/migrate": _A.SK_REUSEPORT_SELECT_OR_MIGRATE,
    },
    ProgramType.SCHED_CLS: {
        "tc": 0,
        "classifier": 0,
        "tc/ingress": _A.TCX_INGRESS,
        "tc/egress": _A.TCX_EGRESS,
        "tcx/ingress": _A.TCX_INGRESS,
        "tcx/egress": _A.TCX_EGRESS,
        "netkit/primary": _A.NETKIT_PRIMARY,
        "netkit/peer": _A.NETKIT_PEER,
    },
    ProgramType.SCHED_ACT: {"action": 0},
    ProgramType.XDP: {"xdp": _A.XDP, "xdp/devmap": _A.XDP_DEVMAP, "xdp/cpumap": _A.XDP_CPUMAP},
    ProgramType.PERF_EVENT: {"perf_event": 0},
    ProgramType.LWT_IN: {"lwt_in": 0},
    ProgramType.LWT_OUT: {"lwt_out": 0},
    ProgramType.LWT_XMIT: {"lwt_xmit": 0},
    ProgramType.LWT_SEG6LOCAL: {"lwt_seg6local": 0},
    ProgramType.SOCK_OPS: {"sockops": _A.CGROUP_SOCK_OPS},
    ProgramType.SK_SKB: {
        "sk_skb": 0,
        "sk_skb/stream_parser": _A.SK_SKB_STREAM_PARSER,
        "sk_skb/stream_verdict": _A.SK_SKB_STREAM_VERDICT,
        "sk_skb/verdict": _A.SK_SKB_VERDICT,
    },
    ProgramType.SK_MSG: {"sk_msg": _A.SK_MSG_VERDICT},
    ProgramType.LIRC_MODE2: {"lirc_mode2": _A.LIRC_MODE2},
    ProgramType.FLOW_DISSECTOR: {"flow_dissector": _A.FLOW_DISSECTOR},
    ProgramType.CGROUP_SKB: {
        "cgroup/skb": 0,
        "cgroup_skb/ingress": _A.CGROUP_INET_INGRESS,
        "cgroup_skb/egress": _A.CGROUP_INET_EGRESS,
    },
    ProgramType.CGROUP_SOCK: {
        "cgroup/sock": _A.CGROUP_INET_SOCK_CREATE,
        "cgroup/sock_create": _A.CGROUP_INET_SOCK_CREATE,
        "cgroup/sock_release": _A.CGROUP_INET_SOCK_RELEASE,
        "cgroup/post_bind4": _A.CGROUP_INET4_POST_BIND,
        "cgroup/post_bind6": _A.CGROUP_INET6_POST_BIND,
    },
    ProgramType.CGROUP_SOCK_ADDR: {
        "cgroup/bind4": _A.CGROUP_INET4_BIND,
        "cgroup/bind6": _A.CGROUP_INET6_BIND,
        "cgroup/connect4": _A.CGROUP_INET4_CONNECT,
        "cgroup/connect6": _A.CGROUP_INET6_CONNECT,
        "cgroup/sendmsg4": _A.CGROUP_UDP4_SENDMSG,
        "cgroup/sendmsg6": _A.CGROUP_UDP6_SENDMSG,
        "cgroup/recvmsg4": _A.CGROUP_UDP4_RECVMSG,
        "cgroup/recvmsg6": _A.CGROUP_UDP6_RECVMSG,
        "cgroup/getpeername4": _A.CGROUP_INET4_GETPEERNAME,
        "cgroup/getpeername6": _A.CGROUP_INET6_GETPEERNAME,
        "cgroup/getsockname4": _A.CGROUP_INET4_GETSOCKNAME,
        "cgroup/getsockname6": _A.CGROUP_INET6_GETSOCKNAME,
        **{f"cgroup/{each}_unix": getattr(_A, f"CGROUP_UNIX_{each.upper()}") for each in _UNIX},
    },
    ProgramType.CGROUP_SYSCTL: {"cgroup/sysctl": _A.CGROUP_SYSCTL},
    ProgramType.CGROUP_SOCKOPT: {
        "cgroup/getsockopt": _A.CGROUP_GETSOCKOPT,
        "cgroup/setsockopt": _A.CGROUP_SETSOCKOPT,
    },
    ProgramType.CGROUP_DEVICE: {"cgroup/dev": _A.CGROUP_DEVICE},
    ProgramType.SK_LOOKUP: {"sk_lookup": _A.SK_LOOKUP},
    ProgramType.NETFILTER: {"netfilter": _A.NETFILTER},
}

# The same for names behind which ``/`` and what to attach to may stand.
_WITH_EXTRAS: dict[ProgramType, dict[str, int]] = {
    ProgramType.KPROBE: {
        **dict.fromkeys(("kprobe", "kretprobe", "uprobe", "uretprobe", "ksyscall", "kretsyscall", "usdt"), 0),
        "kprobe.multi": _A.TRACE_KPROBE_MULTI,
        "kretprobe.multi": _A.TRACE_KPROBE_MULTI,
        "kprobe.session": _A.TRACE_KPROBE_SESSION,
        "uprobe.multi": _A.TRACE_UPROBE_MULTI,
        "uretprobe.multi": _A.TRACE_UPROBE_MULTI,
        "uprobe.session": _A.TRACE_UPROBE_SESSION,
    },
    ProgramType.TRACEPOINT: {"tracepoint": 0, "tp": 0},
    ProgramType.RAW_TRACEPOINT: {"raw_tracepoint": 0, "raw_tp": 0},
    ProgramType.RAW_TRACEPOINT_WRITABLE: {"raw_tracepoint.w": 0, "raw_tp.w": 0},
    ProgramType.TRACING: {
        "tp_btf": _A.TRACE_RAW_TP,
        "fentry": _A.TRACE_FENTRY,
        "fexit": _A.TRACE_FEXIT,
        "fmod_ret": _A.MODIFY_RETURN,
        "iter": _A.TRACE_ITER,
    },
    ProgramType.EXT: {"freplace": 0},
    ProgramType.LSM: {"lsm": _A.LSM_MAC, "lsm_cgroup": _A.LSM_CGROUP},
    ProgramType.STRUCT_OPS: {"struct_ops": 0},
}
_MAY_SLEEP = (
    *("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session", "usdt"),
    *("fentry", "fexit", "fmod_ret", "iter", "lsm", "struct_ops"),
)


def _table() -> dict[str, SectionKind]:
    kinds = {name: SectionKind(kind, attach) for kind, names in _EXACT.items() for name, attach in names.items()}
    for kind, names in _WITH_EXTRAS.items():
        kinds.update({name: SectionKind(kind, attach, extras=True) for name, attach in names.items()})
    kinds.update({f"{name}.s": kinds[name]._replace(flags=SLEEPABLE) for name in _MAY_SLEEP})
    for place in ("", "/devmap", "/cpumap"):
        kinds[f"xdp.frags{place}"] = kinds[f"xdp{place}"]._replace(flags=XDP_HAS_FRAGS)
    kinds["syscall"] = SectionKind(ProgramType.SYSCALL, flags=SLEEPABLE)
    return kinds


_KINDS = _table()
# Names that stand alone for libbpf, but behind which other loaders and older sources write a name of their own: `perf_event/x`.
# One that has longer names of its own (`xdp/devmap`) is not among them: a misspelling of those must not pass for it.
_FREE = _KINDS.keys() - {
    "/".join(parts[:count]) for parts in (name.split("/") for name in _KINDS) for count in range(1, len(parts))
}


def read_section(name: str) -> Section:
    """Takes ``SEC(name)`` apart: ``?tp/syscalls/sys_enter_getcpu`` is a ``tp``, for that event, not loaded unless asked for."""
    autoload = not name.startswith("?")
    name = name.removeprefix("?")
    if name in _KINDS:
        return Section(_KINDS[name], "", autoload)
    head, _, extras = name.partition("/")
    kind = _KINDS.get(head)
    return Section(kind if kind and (kind.extras or head in _FREE) else None, extras, autoload)


def section_kind(name: str) -> SectionKind | None:
    """The program type and other properties of ``SEC(name)``, None if it is unknown."""
    return read_section(name).kind


def known_sections(like: str) -> list[str]:
    """The known section names nearest to ``like``, or that it begins with, for an error's remedy."""
    import difflib  # late: names that are known need none like them

    name = like.removeprefix("?")
    near = difflib.get_close_matches(name, _KINDS, n=3) or difflib.get_close_matches(name.partition("/")[0], _KINDS, n=3)
    return near or sorted((known for known in _KINDS if name.startswith(known)), key=len)[-1:]
