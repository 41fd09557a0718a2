"""``ebpfnn objdump``: what it says of an object that clang built, to people and in JSON, without privilege."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ebpfnn.cli import VERBS
from ebpfnn.cli.objdump import command
from ebpfnn.errors import ObjectError

SOURCE = """
struct task_struct { int pid; char comm[16]; } __attribute__((preserve_access_index));
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");
int knob = 3;
extern int elsewhere(int);
static __noinline int inner(struct task_struct *task) { return task->comm[3] + knob; }
SEC("syscall") int outer(struct task_struct *task)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (count)
		*count += elsewhere(task->pid);
	return inner(task);
}
"""


@pytest.fixture
def path(build_object: Callable[..., bytes], tmp_path: Path) -> Path:
    (tmp_path / "some.o").write_bytes(build_object(SOURCE))
    return tmp_path / "some.o"


def run(*arguments: object) -> str:
    ran = CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.output


def test_people_see_everything_by_name(path: Path) -> None:
    lines = [" ".join(line.split()) for line in run(path).splitlines()]
    assert lines[0].startswith("some.o: license 'GPL', ")
    assert any(line.startswith("outer syscall syscall ") and line.endswith(" ?") for line in lines)
    assert "counts array 4 8 4 0x0" in lines
    assert any(line.startswith(".data array 4 4 1 ") for line in lines)
    assert "elsewhere another object" in lines
    for wait in ("map counts", "call inner", "call elsewhere", "data .data"):
        assert any(line.endswith(" " + wait) for line in lines)
    for wait in ("CO-RE task_struct::pid byte_off", "CO-RE task_struct::comm[3] byte_off"):
        assert any(line.endswith(wait) for line in lines)


def test_json_holds_the_same(path: Path) -> None:
    told = json.loads(run(path, "--json"))
    assert [each["name"] for each in told["programs"]] == ["outer"]
    assert {each["name"]: each["value_size"] for each in told["maps"]} == {"counts": 8, ".data": 4}
    outer = next(each for each in told["functions"] if each["name"] == "outer")
    assert "CO-RE task_struct::pid byte_off" in [each["to"] for each in outer["relocations"]]
    assert told["externs"] == ["elsewhere"]
    assert "assembly" not in outer


def test_assembly_shows_source_and_what_is_awaited(path: Path) -> None:
    text = run(path, "--asm")
    assert "; __u64 *count = bpf_map_lookup_elem(&counts, &key); @ " in text
    assert any("*(u32 *)(r" in line and line.endswith("; CO-RE task_struct::pid byte_off") for line in text.splitlines())
    assert "(95) exit" in text
    outer = next(each for each in json.loads(run(path, "--asm", "--json"))["functions"] if each["name"] == "outer")
    assert outer["assembly"][-1].endswith("(95) exit")


def test_names_cannot_drive_the_terminal(build_object: Callable[..., bytes], tmp_path: Path) -> None:
    data = build_object('SEC("syscall") int quiet_name(void *context) { return 0; }')
    (tmp_path / "loud.o").write_bytes(data.replace(b"quiet_name", b"\x1b[31m_name"))
    assert "\x1b" not in run(tmp_path / "loud.o")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ObjectError, match=r"nothing.o: No such file"):
        run(tmp_path / "nothing.o")


def test_it_is_a_verb() -> None:
    assert "objdump" in VERBS
