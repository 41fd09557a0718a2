"""What is in the kernel, whose it is, and how often it ran."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from fixtures import loaded
from kernelmaps import make

from ebpfnn.cli.bpf import command
from ebpfnn.errors import KernelError
from ebpfnn.kernel import Program, attach_raw_tracepoint, run_statistics
from ebpfnn.kernel.fd import Descriptor
from ebpfnn.kernel.ids import Kind, ids
from ebpfnn.kernel.inspect import listing
from ebpfnn.kernel.link.link_info import LinkInfo
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root
PROGRAM = """
SEC("raw_tp/sys_enter") int listed(void *context)
{
	if (MINE)
		HIT(1);
	return 0;
}
"""


def test_programs_maps_and_links_are_listed(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, PROGRAM) as held, attach_raw_tracepoint(held.program, "sys_enter") as link:
        info = held.program.info()
        (program,) = [entry for entry in listing.programs() if entry.id == info.id]
        assert (program.name, program.type, program.pids) == ("listed", "raw_tracepoint", [os.getpid()])
        assert (program.tag, program.uid) == (bytes(info.tag).hex(), os.getuid())
        assert program.instructions == info.xlated_prog_len // 8
        assert (program.memory or 0) >= 4096
        assert set(program.map_ids) == {each.info().id for each in held.held.maps.values()}
        (entry,) = [entry for entry in listing.links() if entry.id == link.info().id]
        assert (entry.type, entry.program_id, entry.pids) == ("raw_tracepoint", info.id, [os.getpid()])
        assert entry.target == {"tp_name": "sys_enter"}


def test_a_map_tells_its_sizes() -> None:
    with make(MapType.HASH, 4, 8, 64) as held:
        (entry,) = [entry for entry in listing.maps() if entry.id == held.info().id]
        assert (entry.type, entry.name, entry.key_size, entry.value_size, entry.max_entries) == ("hash", "hash", 4, 8, 64)
        assert (entry.memory or 0) >= 64 * 12
        assert entry.pids == [os.getpid()]


def test_what_goes_meanwhile_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with make(MapType.HASH) as held:
        number = held.info().id
        monkeypatch.setattr(listing, "ids", lambda _kind: iter([0xFFFFFFFE, number]))
        assert [entry.id for entry in listing.maps()] == [number]


def test_ids_rise_and_end() -> None:
    with make(MapType.HASH) as first, make(MapType.HASH) as second:
        found = list(ids(Kind.MAP))
        assert found == sorted(found)
        assert {first.info().id, second.info().id} <= set(found)


def test_runs_are_counted_while_statistics_are_on(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, PROGRAM.replace("raw_tp/sys_enter", "socket")) as held:
        with run_statistics():
            held.program.run(data=bytes(64), repeat=10)
        info = held.program.info()
        assert info.run_cnt == 10
        assert info.run_time_ns > 0


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(KernelError, match="program 4294967294 does not exist"):
        Program.from_id(0xFFFFFFFE)


def test_the_verb_prints_a_table_and_json(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, PROGRAM) as held, attach_raw_tracepoint(held.program, "sys_enter") as link:
        number = held.program.info().id
        table = CliRunner().invoke(command, ["list"]).output
        (row,) = [line for line in table.splitlines() if line.startswith(f"{number} ") and "listed" in line]
        assert str(os.getpid()) in row
        assert "tp_name=sys_enter" in table
        told = json.loads(CliRunner().invoke(command, ["list", "links", "--json"]).output)
        assert list(told) == ["links"]
        assert link.info().id in [entry["id"] for entry in told["links"]]


def test_the_verb_refuses_what_it_does_not_know() -> None:
    assert CliRunner().invoke(command, ["list", "cats"]).exit_code == 2


def test_a_link_that_cannot_tell_does_not_end_the_list(
    build_spec: Callable[[str], ObjectSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(held: Descriptor) -> LinkInfo:
        raise KernelError(f"info of '{held.name}' refused with EINVAL", errno.EINVAL)

    with loaded(build_spec, PROGRAM) as held, attach_raw_tracepoint(held.program, "sys_enter") as link:
        number = link.info().id
        monkeypatch.setattr(listing, "read_link_info", refuse)
        (entry,) = [entry for entry in listing.links() if entry.id == number]
        assert entry == listing.LinkEntry(number, "raw_tracepoint", held.program.info().id, None, [os.getpid()])
