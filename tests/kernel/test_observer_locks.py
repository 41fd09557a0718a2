"""Locked states: refused with a reason where kernels refuse them, and behind the other triggers they load."""

from __future__ import annotations

from typing import Any

import pytest
from rigs import REDUCERS

from ebpfnn.collect.programs import Programs
from ebpfnn.collect.sources import find
from ebpfnn.errors import NotSupported, VerifierError
from ebpfnn.events import bind, build
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.observer import Mode, check_locks, compile_observer
from ebpfnn.plugin import Plugins, why_not

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
WITH_LOCKS = ("xdp", "tc", "cgroup_skb")
WITHOUT = ("socket_filter", "tracepoint", "raw_tracepoint", "kprobe", "kretprobe", "uprobe", "perf")
ON_SOME_KERNELS = ("fentry", "fexit", "lsm")


def described(name: str, field: str) -> dict[str, Any]:
    column = {"name": "sum", "reduce": "sum", "of": field}
    return {
        "name": "t",
        "key": [field],
        "event": [{"trigger": name}],
        "state": {"map": "hash", "locked": True},
        "column": [column],
    }


@pytest.mark.parametrize("name", [*WITH_LOCKS, *WITHOUT, *ON_SOME_KERNELS])
def test_the_kernel_agrees(name: str) -> None:
    trigger = Plugins.installed().trigger(name).observer()
    if reason := why_not(trigger):
        pytest.skip(reason)
    fields = trigger.fields(None)
    spec = build(described(name, "cpu" if any(each.name == "cpu" for each in fields) else "protocol"))
    bound = bind(spec, {each.name: fields for each in spec.events}, REDUCERS)
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    trigger.prepare(shell, None)
    made = link(shell, compile_observer(bound, 0, Mode.ROWS))
    if name in WITH_LOCKS:
        check_locks(bound, 0, shell)
        Object.load(made).close()
        return
    with pytest.raises(NotSupported, match=f"^spec 't': trigger '{name}': the kernel takes no locks .*; leave out 'locked'"):
        check_locks(bound, 0, shell)
    if name in ON_SOME_KERNELS:
        return
    with pytest.raises(VerifierError, match="cannot use bpf_spin_lock"):
        Object.load(made)


def test_what_is_collected() -> None:
    """Rows need states in the kernel, and records do not."""
    sources = find(build(described("tracepoint", "cpu")), Plugins.installed())
    with pytest.raises(NotSupported, match="takes no locks"):
        Programs(sources, Mode.ROWS)
    Programs(sources, Mode.RECORD).close()
