"""The fields of events in threads, attached: those of the thread, and where an event's own lie."""

from __future__ import annotations

import os
import platform
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from ebpfnn_plugins.raw_tracepoint import RawTracepointTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from netspace import namespace, run
from observed import observing

from ebpfnn.events import Field, Place, format_fields
from ebpfnn.kernel import attach_raw_tracepoint, attach_tcx, attach_tracepoint, tracefs
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Trigger

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
Build = Callable[..., ObjectSpec]
NOBODY = 4_000_001  # a process id that none has: the event comes, and the call changes nothing
EVENT = "syscalls:sys_enter_getpgid"


def own(field: Field) -> str:
    """An expression in C for a field of the event itself."""
    assert (field.place, field.refused) == (Place.CONTEXT, "")
    return f"*({'__s' if field.signed else '__u'}{8 * field.size} *)(context + {field.offset})"


def named(trigger: Trigger, target: str, name: str) -> Field:
    (found,) = [field for field in trigger.fields(target) if field.name == name]
    return found


def test_the_thread_at_a_tracepoint(build_spec: Build) -> None:
    condition = f"{own(named(TracepointTrigger(), EVENT, 'event_pid'))} == {NOBODY}"
    with observing(build_spec, "task_events", "ebpfnn_tracepoint_events", condition) as seen:
        with attach_tracepoint(seen.program, *EVENT.split(":")):
            told: dict[str, int] = {}

            def work() -> None:
                Path("/proc/thread-self/comm").write_text("a-thread-of-15c")
                told["pid"], told["before"] = threading.get_native_id(), time.monotonic_ns()
                with suppress(ProcessLookupError):
                    os.getpgid(NOBODY)
                told["after"] = time.monotonic_ns()

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert seen.count == 1
        fields = seen.fields
    comm = fields["comm"].to_bytes(8, "little") + fields["comm_rest"].to_bytes(8, "little")
    assert comm == b"a-thread-of-15c\0"
    assert (fields["pid"], fields["tgid"]) == (told["pid"], os.getpid())
    assert (fields["uid"], fields["gid"]) == (os.getuid(), os.getgid())
    assert told["before"] <= fields["time"] <= told["after"]
    assert fields["cpu"] in os.sched_getaffinity(0)
    assert fields["cgroup"] == cgroup()


def cgroup() -> int:
    """The id of this process's cgroup: the inode of its directory."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next(entry[1] for entry in mounts if entry[2] == "cgroup2")
    path = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    return Path(root, path.lstrip("/")).stat().st_ino


def test_another_users_and_groups(build_spec: Build) -> None:
    condition = f"{own(named(TracepointTrigger(), EVENT, 'event_pid'))} == {NOBODY}"
    with (
        observing(build_spec, "task_events", "ebpfnn_tracepoint_events", condition) as seen,
        attach_tracepoint(seen.program, *EVENT.split(":")),
    ):
        child = os.fork()
        if child == 0:
            os.setresgid(4321, 4322, 4323)
            os.setresuid(1234, 1235, 1236)
            with suppress(OSError):
                os.getpgid(NOBODY)
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        assert (seen.count, seen.fields["uid"], seen.fields["gid"]) == (1, 1234, 4321)
        assert (seen.fields["pid"], seen.fields["tgid"]) == (child, child)


def test_a_raw_tracepoints_arguments_are_where_its_fields_say(build_spec: Build) -> None:
    """sys_exit has the registers and what the call returned: -ESRCH of this process's one call for nobody."""
    returned = named(RawTracepointTrigger(), "sys_exit", "ret")
    assert (returned.type, returned.offset) == ("s64", 8)
    condition = f"{own(returned)} == -3 && fields->pid == {threading.get_native_id()}"
    with (
        observing(build_spec, "task_events", "ebpfnn_raw_events", condition) as seen,
        attach_raw_tracepoint(seen.program, "sys_exit"),
    ):
        with pytest.raises(ProcessLookupError):
            os.getpgid(NOBODY)
        assert seen.count == 1


def test_every_tracepoint_of_this_kernel_is_read() -> None:
    formats = list(tracefs().joinpath("events").glob("*/*/format"))
    assert len(formats) > 100
    for path in formats:
        text = path.read_text()
        found = format_fields(text, path.parent.name)
        lines = [line for line in text.splitlines() if "\tfield:" in line and " common_" not in line]
        assert len(found) == len(lines), path
        for field, line in zip(found, lines, strict=True):
            assert f"offset:{field.offset};\tsize:{field.size};\tsigned:{int(field.signed)};" in line
            declared = line.split("field:")[1].split(";")[0]
            whole = "struct " in declared and "*" not in declared
            assert bool(field.refused) == ("[" in declared or "_loc " in declared or whole), declared


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of x86_64")
def test_a_program_reads_every_field_of_a_tracepoint(build_spec: Build) -> None:
    """What the verifier and the kernel let a program read at that event, of every size."""
    for target in (EVENT, "sched:sched_process_exec", "sched:sched_switch", "skb:kfree_skb"):
        fields = [field for field in TracepointTrigger().fields(target) if field.place is Place.CONTEXT and not field.refused]
        assert fields
        condition = " + ".join(f"({own(field)} == 1)" for field in fields)
        with observing(build_spec, "task_events", "ebpfnn_tracepoint_events", condition) as seen:
            attach_tracepoint(seen.program, *target.split(":")).close()


@pytest.mark.parametrize(("tags", "ids"), [("81000005", (5, 0, 1)), ("88a800078100a009", (7, 9, 2))])
def test_a_tag_that_the_kernel_took_out_of_the_packet(build_spec: Build, tags: str, ids: tuple[int, int, int]) -> None:
    with (
        observing(build_spec, "tc_events", "ebpfnn_tc_ingress", "fields->hops == 77") as seen,
        namespace(),
        attach_tcx(seen.program, "here"),
    ):
        run("ip", "link", "set", "here", "promisc", "on")
        ip = bytes.fromhex("4500001c000040004dfd0000c0000201c0000202") + bytes(8)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("there", 0))
            sender.send(b"\xff" * 6 + b"\x02\0\0\0\0\1" + bytes.fromhex(tags) + b"\x08\0" + ip)
        fields = seen.fields
        assert seen.count == 1
        assert (fields["vlan"], fields["vlan_inner"], fields["tags"]) == ids
        assert (fields["ethertype"], fields["source"], fields["hops"], fields["direction"]) == (0x0800, 0xC0000201, 77, 1)
        assert fields["link_header"] == 14 + 4 * (ids[2] - 1)  # the outer one is not in the packet
        assert fields["interface"] == socket.if_nametoindex("here")
