"""Fields out of types and texts: a shell's struct, tracefs' formats, arguments; and what is refused of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.perf import PerfTrigger
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from rawbtf import BtfWriter

from ebpfnn.built import OBJECTS
from ebpfnn.errors import KernelError, NotSupported, ObjectError, UsageError
from ebpfnn.events import (
    Field,
    Place,
    beside,
    fields_of,
    format_fields,
    function_fields,
    probe_fields,
    raw_tracepoint_fields,
)
from ebpfnn.obj import Btf, Kind, ObjectSpec

Build = Callable[..., ObjectSpec]
SHELL = """
#include <ebpfnn/fields.h>
typedef __u16 port_t;
enum color { RED, GREEN };
%s
extern int ebpfnn_observe(struct ebpfnn_fields *fields, void *context);
SEC("xdp") int shell(struct xdp_md *packet)
{
	static struct ebpfnn_fields fields;
	return ebpfnn_observe(&fields, packet);
}
"""


def struct_of(members: str) -> str:
    return SHELL % f"struct ebpfnn_fields {{ {members} }};"


def test_names_types_units_and_help_are_those_of_the_struct(build_spec: Build) -> None:
    members = (
        'EBPFNN_FIELD(__u64, bytes, "bytes", "since: the start"); EBPFNN_FIELD(__s32, drift, "ns", "");'
        "const volatile port_t port; __s8 small; _Bool flag; enum color color; long long wide;"
    )
    assert fields_of(build_spec(struct_of(members))) == (
        Field("bytes", 0, 8, signed=False, unit="bytes", help="since: the start"),
        Field("drift", 8, 4, signed=True, unit="ns"),
        Field("port", 12, 2, signed=False),
        Field("small", 14, 1, signed=True),
        Field("flag", 15, 1, signed=False),
        Field("color", 16, 4, signed=False),
        Field("wide", 24, 8, signed=True),
    )


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ("__u64 a; char text[16];", "field 'text' is no integer of 8, 16, 32 or 64 bits; make it one"),
        ("void *a;", "field 'a' is no integer"),
        ("struct { __u32 x; } a;", "field 'a' is no integer"),
        ("float a;", "field 'a' is no integer"),
        ("unsigned __int128 a;", "field 'a' is no integer"),
        ("__u32 a : 3;", "field 'a' is no integer"),
        ("__u8 a; __u32 b __attribute__((packed));", "field 'b' at bit 8 of "),
        ("struct { __u32 x; };", "field '' is no integer"),
        (f"__u64 {', '.join(f'f{n}' for n in range(257))};", "257 fields in 2056 bytes; at most 256 in 4096 bytes"),
        (f"__u32 a{'x' * 64};", "is not where one can be"),
    ],
)
def test_what_is_no_integer_is_refused(build_spec: Build, members: str, fault: str) -> None:
    with pytest.raises(ObjectError) as caught:
        fields_of(build_spec(struct_of(members)))
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shell_without_an_observer_has_no_fields() -> None:
    assert fields_of(ObjectSpec.from_file(OBJECTS / "xdp.bpf.o")) == ()


@pytest.mark.parametrize(
    "declared",
    ["struct ebpfnn_fields { int a; }; extern int ebpfnn_observe(int fields, void *context);", "struct ebpfnn_fields;"],
)
def test_a_shell_whose_observer_takes_no_struct_is_refused(build_spec: Build, declared: str) -> None:
    source = f"""{declared}
#ifndef MINE
extern int ebpfnn_observe({"int fields" if "int fields" in declared else "struct ebpfnn_fields *fields"}, void *context);
#endif
SEC("xdp") int shell(struct xdp_md *packet) {{ return ebpfnn_observe(0, packet); }}"""
    with pytest.raises(ObjectError, match="the first argument of ebpfnn_observe\\(\\) points to no struct; include"):
        fields_of(build_spec(source))


@pytest.mark.parametrize("path", sorted(OBJECTS.glob("*_events.bpf.o")), ids=lambda path: path.name)
def test_every_field_that_ships_is_described(path: Path) -> None:
    fields = fields_of(ObjectSpec.from_file(path))
    assert {"time", "cpu"} <= {field.name for field in fields}
    assert all(field.unit and field.help for field in fields)
    assert len({field.name for field in fields}) == len(fields)


def test_two_fields_of_one_name_are_refused(build_spec: Build) -> None:
    """No compiler makes them, but a file can have them."""
    shell = build_spec(struct_of("__u32 first; __u32 other;"))
    assert shell.btf is not None
    shell.btf = Btf.from_bytes(shell.btf.to_bytes().replace(b"\0other\0", b"\0first\0"))
    with pytest.raises(ObjectError, match=r"two fields have one name; rename one$"):
        fields_of(shell)


@settings(deadline=None, max_examples=300)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8))
def test_types_that_are_damaged_give_fields_within_bounds_or_an_error(changes: list[tuple[int, int]]) -> None:
    shell = ObjectSpec.from_file(OBJECTS / "xdp_events.bpf.o")
    assert shell.btf is not None
    data = bytearray(shell.btf.to_bytes())
    for at, byte in changes:
        data[24 + at % (len(data) - 24)] = byte
    try:
        shell.btf = Btf.from_bytes(bytes(data))
        found = fields_of(shell)
    except ObjectError:
        return
    assert len(found) <= 256
    assert all(field.size in (1, 2, 4, 8) and 0 <= field.offset <= 4096 - field.size for field in found)
    assert all(field.name.isidentifier() and len(field.help) <= 256 for field in found)


FORMAT = """name: sample
ID: 7
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;
\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;
\tfield:const char * name;\toffset:32;\tsize:8;\tsigned:0;
\tfield:__data_loc char[] path;\toffset:40;\tsize:4;\tsigned:0;
\tfield:__rel_loc u8[] blob;\toffset:44;\tsize:4;\tsigned:0;
\tfield:struct timespec64 at;\toffset:48;\tsize:16;\tsigned:0;
\tfield:u64 odd;\toffset:65;\tsize:8;\tsigned:0;
\tfield:cpumask_t mask;\toffset:80;\tsize:32;\tsigned:0;
\tfield:bool set;\toffset:112;\tsize:1;\tsigned:0;

print fmt: "%s", REC->comm
"""


def test_a_format_is_read_and_what_is_no_integer_is_told() -> None:
    found = {field.name: field for field in format_fields(FORMAT, "x:sample")}
    assert list(found) == ["comm", "pid", "name", "path", "blob", "at", "odd", "mask", "set"]
    assert found["pid"] == Field("pid", 24, 4, signed=True, help="pid_t", place=Place.CONTEXT)
    assert found["name"] == Field("name", 32, 8, signed=False, unit="address", help="const char *", place=Place.CONTEXT)
    assert (found["set"].type, found["pid"].type, found["comm"].type) == ("u8", "s32", "")
    refused = {name: field.refused for name, field in found.items() if field.refused}
    assert refused == {
        "comm": "not an integer: an array",
        "path": "not an integer: a string or array of variable length (__data_loc)",
        "blob": "not an integer: a string or array of variable length (__data_loc)",
        "at": "not an integer: a struct",
        "odd": "not readable: BPF programs cannot load 8 bytes at offset 65",
        "mask": "not an integer of 1, 2, 4 or 8 bytes: 32",
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "its format lists 0 fields"),
        ("\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n" * 257, "its format lists 257 fields"),
        ("\tfield:int a;\toffset:x;\tsize:4;\tsigned:1;\n", "cannot read the line"),
        ("\tfield:a;\toffset:8;\tsize:4;\tsigned:1;\n", "cannot read the line"),
        ("\tfield:int a;\toffset:123456;\tsize:4;\tsigned:1;\n", "cannot read the line"),
    ],
)
def test_a_format_of_another_form_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ObjectError, match=f"^tracepoint 'x:y': {fault}"):
        format_fields(text, "x:y")


FUNCTIONS = """
struct two { __u64 a, b; };
struct hidden;
typedef void (*btf_trace_ping)(void *, _Bool, const struct hidden *, int, __u64);
typedef void (*btf_trace_bare)(void *, short);
btf_trace_ping ping; btf_trace_bare bare;
int __traceiter_ping(void *__data, _Bool loud, const struct hidden *who, int left, __u64 when) { return left; }
int work(int left, unsigned char kind, struct hidden *who, __s64 a, __u16 b) { return left; }
extern int wide(int, int, int, int, int, int, long); /* more than BPF takes, and a declaration has no names */
void *use = (void *)&wide;
void pair(int first, struct two whole, int behind) { }
void nothing(void) { }
"""


@pytest.fixture
def types(build_spec: Build) -> Btf:
    btf = build_spec(FUNCTIONS).btf
    assert btf is not None
    return btf


def placed(fields: Any) -> list[tuple[str, str, int]]:
    assert all(field.place is Place.CONTEXT for field in fields)
    return [(field.name, field.type, field.offset) for field in fields]


def test_a_raw_tracepoints_arguments(types: Btf) -> None:
    assert placed(raw_tracepoint_fields(types, "ping")) == [
        *(("loud", "u8", 0), ("who", "u64", 8), ("left", "s32", 16), ("when", "u64", 24))
    ]
    assert placed(raw_tracepoint_fields(types, "bare")) == [("argument0", "s16", 0)]
    assert raw_tracepoint_fields(types, "pong") is None


def test_a_type_that_refers_to_itself_has_an_end() -> None:
    writer = BtfWriter()
    endless = writer.add(Kind.CONST, "", 1)
    prototype = writer.prototype(0, writer.pointer(endless))
    writer.add(Kind.FUNC, "loop", prototype, vlen=1)
    (field,) = function_fields(writer.btf(), "loop") or ()
    assert (field.name, field.type, field.help) == ("argument0", "u64", "without a name *")


def test_a_functions_arguments(types: Btf) -> None:
    work = [("left", "s32"), ("kind", "u8"), ("who", "u64"), ("a", "s64"), ("b", "u16")]
    entered = [(name, kind, 8 * number) for number, (name, kind) in enumerate(work)]
    assert placed(function_fields(types, "work")) == entered
    assert placed(function_fields(types, "work", leaving=True)) == [*entered, ("returned", "s32", 40)]
    assert placed(function_fields(types, "pair", leaving=True)) == [
        ("first", "s32", 0),
        ("whole", "", 8),
        ("behind", "s32", 24),
    ]
    assert function_fields(types, "nothing") == ()
    assert function_fields(types, "nowhere") is None


def test_arguments_in_registers(types: Btf) -> None:
    assert placed(probe_fields(types, "work", "x86_64")) == [
        *(("left", "s32", 112), ("kind", "u8", 104), ("who", "u64", 96), ("a", "s64", 88), ("b", "u16", 72))
    ]
    wide = probe_fields(types, "wide", "x86_64")
    assert wide is not None
    assert [(field.name, field.refused) for field in wide[5:]] == [
        *(("argument5", ""), ("argument6", "not readable: not in a register of its own"))
    ]
    assert [field.offset for field in probe_fields(types, "wide", "aarch64") or ()] == [0, 8, 16, 24, 32, 40, 48]
    pair = probe_fields(types, "pair", "x86_64")
    assert pair is not None
    assert [(field.name, field.type) for field in pair] == [("first", "s32"), ("whole", "")]  # which register is next depends
    assert placed(probe_fields(types, "work", "x86_64", leaving=True)) == [("returned", "s32", 80)]
    assert probe_fields(types, "pair", "aarch64", leaving=True) == ()
    assert probe_fields(types, "nowhere", "x86_64") is None
    with pytest.raises(NotSupported, match=r"^kprobe 'work': the registers of riscv64 are not known; use trigger fentry$"):
        probe_fields(types, "work", "riscv64")


def test_an_events_own_field_gives_way_where_its_name_is_taken() -> None:
    own = [Field("pid", 8, 4, signed=True), Field("event_pid", 12, 4, signed=True), Field("left", 16, 4, signed=True)]
    others = [Field("pid", 0, 4, signed=False)]
    assert [field.name for field in beside(own, others)] == ["event_pid", "event_event_pid", "left", "pid"]
    taken = [*others, Field("event_pid", 4, 4, signed=False)]
    assert [field.name for field in beside(own[:1], taken)] == ["event_event_pid", "pid", "event_pid"]


def test_packet_triggers_have_the_same_fields_and_look_for_the_target() -> None:
    names = [field.name for field in XdpTrigger().fields(None)]
    assert [field.name for field in TcTrigger().fields("lo")] == names
    assert [field.name for field in CgroupSkbTrigger().fields(None)] == names
    with pytest.raises(KernelError, match="interface 'nosuch' not found"):
        XdpTrigger().fields("nosuch")


def test_triggers_without_events_or_with_targets_that_are_none() -> None:
    with pytest.raises(NotSupported, match=r"^trigger 'run' has no fields: its shell .*; use another trigger$"):
        RunTrigger().fields(None)
    with pytest.raises(UsageError, match="no timer or counter 'cpu-clok'; did you mean 'cpu-clock'"):
        PerfTrigger().fields("cpu-clok:5")
