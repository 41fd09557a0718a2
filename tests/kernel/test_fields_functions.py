"""The arguments of a kernel function are where its fields say: by registers, and by a trampoline."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from ebpfnn_plugins.fentry import FentryTrigger
from ebpfnn_plugins.kprobe import KprobeTrigger
from observed import observing

from ebpfnn.events import Field, Place
from ebpfnn.kernel import attach_kprobe, attach_kretprobe, attach_tracing, lacks_probes
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Trigger

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
FUNCTION = "find_task_by_vpid"  # struct task_struct *find_task_by_vpid(pid_t), which getpgid(2) calls
NOBODY = 4_000_001
KPROBES = {"kprobe": attach_kprobe, "kretprobe": attach_kretprobe}


def equals(field: Field, value: int) -> str:
    """An expression in C."""
    assert field.place is Place.CONTEXT
    return f"*({'__s' if field.signed else '__u'}{8 * field.size} *)(context + {field.offset}) == {value}"


def condition(trigger: Trigger) -> str:
    """Nobody is looked for, and nobody found, as far as the trigger shows it; by this thread."""
    own = [field for field in trigger.fields(FUNCTION) if field.place is Place.CONTEXT]
    values = [NOBODY if field.name != "returned" else 0 for field in own]
    shown = [equals(field, value) for field, value in zip(own, values, strict=True)]
    return " && ".join([f"fields->pid == {threading.get_native_id()}", *shown])


@pytest.mark.parametrize("name", KPROBES)
def test_by_registers(build_spec: Callable[..., ObjectSpec], name: str) -> None:
    if lacks_probes("kprobe"):
        pytest.skip("this kernel has no kprobes (CONFIG_KPROBES)")
    trigger = KprobeTrigger(name, "", KPROBES[name])
    assert trigger.fields(FUNCTION)[0].type == ("s32" if name == "kprobe" else "u64")
    with observing(build_spec, "task_events", "ebpfnn_probe_events", condition(trigger)) as seen:
        with KPROBES[name](seen.program, FUNCTION), pytest.raises(ProcessLookupError):
            os.getpgid(NOBODY)
        assert seen.count == 1


@pytest.mark.parametrize("name", ["fentry", "fexit"])
def test_by_a_trampoline(build_spec: Callable[..., ObjectSpec], name: str) -> None:
    trigger = FentryTrigger(name, "")
    if trigger.supported():
        pytest.skip(f"this kernel lets nobody load programs of section {name}")
    types = [field.type for field in trigger.fields(FUNCTION) if field.place is Place.CONTEXT]
    assert types == (["s32"] if name == "fentry" else ["s32", "u64"])
    with observing(build_spec, "task_events", f"ebpfnn_{name}_events", condition(trigger), FUNCTION) as seen:
        with attach_tracing(seen.program), pytest.raises(ProcessLookupError):
            os.getpgid(NOBODY)
        assert seen.count == 1
