"""CO-RE against the running kernel: programs that read its structures, checked against what user space knows of them."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ebpfnn.errors import NotSupported, ObjectError, VerifierError
from ebpfnn.kernel import Object
from ebpfnn.kernel.load.btf import module_btf, module_names, vmlinux
from ebpfnn.obj import Kind, ObjectSpec, apply_core, build_image
from ebpfnn.obj.disasm import disassemble

pytestmark = pytest.mark.root

HEADER = """
#define CORE __attribute__((preserve_access_index))
struct task_struct___mine { int pid; } CORE;
struct pid_namespace;
struct signal_struct { int nr_threads; } CORE;
struct mm_struct { unsigned long start_stack; } CORE;
struct task_struct {
	char comm[16];
	int tgid;
	int pid;
	unsigned int in_execve : 1;
	unsigned long long exit_code;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct mm_struct *mm;
	int tpid;
} CORE;
struct no_such_struct { int x; } CORE;
struct list_head { struct list_head *next, *prev; };
struct lists { struct list_head *next, *prev; };
enum bpf_map_type___here { BPF_MAP_TYPE_RINGBUF___here = 1, BPF_MAP_TYPE_NONE___here = 2 };
__attribute__((unused)) static struct task_struct *(*const current)(void) = (void *)158;
#define INFO(type, what, kind) __builtin_preserve_field_info(((type *)0)->what, kind)
#define TYPE(type, kind) __builtin_preserve_type_info(*(type *)0, kind)
#define ENUM(type, value, kind) __builtin_preserve_enum_value(*(typeof(type) *)value, kind)
#define ASK(name, value) SEC("syscall") int name(void *context) { return value; }
"""
CASES = {
    "reads_pid": "current()->pid",
    "reads_a_flavor": "((struct task_struct___mine *)current())->pid",
    "follows_pointers": "current()->group_leader->group_leader->tgid",
    "reads_an_array": "current()->comm[1]",
    "counts_threads": "current()->signal->nr_threads",
    "offset": "INFO(struct task_struct, tgid, 0) - INFO(struct task_struct, pid, 0)",
    "size": "INFO(struct task_struct, comm, 1)",
    "exists": "INFO(struct task_struct, pid, 2)",
    "does_not_exist": "INFO(struct task_struct, tpid, 2)",
    "is_signed": "INFO(struct task_struct, pid, 3)",
    "shifts": "INFO(struct task_struct, in_execve, 5)",
    "left_shift_leaves_one_bit": "INFO(struct task_struct, in_execve, 4) < 64",
    "type_exists": "TYPE(struct task_struct, 0)",
    "type_does_not_exist": "TYPE(struct no_such_struct, 0)",
    "type_size": "TYPE(struct list_head, 1)",
    "type_matches": "TYPE(struct list_head, 2)",
    "type_does_not_match": "TYPE(struct mm_struct, 2)",
    "target_id": "__builtin_btf_type_id(*(struct task_struct *)0, 1)",
    "enumerator": "ENUM(enum bpf_map_type___here, BPF_MAP_TYPE_RINGBUF___here, 1)",
    "enumerator_exists": "ENUM(enum bpf_map_type___here, BPF_MAP_TYPE_RINGBUF___here, 0)",
    "enumerator_does_not_exist": "ENUM(enum bpf_map_type___here, BPF_MAP_TYPE_NONE___here, 0)",
    "guarded": "INFO(struct task_struct, tpid, 2) ? current()->tpid : 42",
    "resized": "(int)(current()->exit_code >> 32)",
}


def expected(name: str) -> int:
    btf = vmlinux()
    task = btf.find("task_struct", Kind.STRUCT)
    assert task is not None
    comm = Path("/proc/self/comm").read_bytes()
    places = {member.name: member for member in btf.members(task)}
    matches = {**dict.fromkeys(("reads_pid", "reads_a_flavor"), _thread_id()), "follows_pointers": os.getpid()}
    fixed = {"size": 16, "exists": 1, "is_signed": 1, "shifts": 63, "left_shift_leaves_one_bit": 1, "type_exists": 1}
    zero = dict.fromkeys(
        ("does_not_exist", "type_does_not_exist", "type_does_not_match", "enumerator_does_not_exist", "resized"), 0
    )
    known = {
        "reads_an_array": comm[1],
        "counts_threads": len(list(Path("/proc/self/task").iterdir())),
        "offset": (places["tgid"].offset - places["pid"].offset) // 8,
        "type_size": 16,
        "type_matches": 1,
        "target_id": task,
        "enumerator": 27,
        "enumerator_exists": 1,
        "guarded": 42,
    }
    return {**matches, **fixed, **zero, **known}[name]


def _thread_id() -> int:
    return ctypes.CDLL(None).gettid()


@pytest.fixture(scope="module")
def spec(build_object: Callable[..., bytes]) -> ObjectSpec:
    asked = "".join(f"ASK({name}, {value})\n" for name, value in CASES.items())
    return ObjectSpec.from_bytes(build_object(HEADER + asked), "cases.o")


@pytest.fixture(scope="module", autouse=True)
def needs_types() -> None:
    try:
        vmlinux()
    except NotSupported as lack:
        pytest.skip(str(lack))


def one(spec: ObjectSpec, name: str) -> ObjectSpec:
    alone = ObjectSpec(spec.name, spec.license, spec.btf, spec.functions, dict(spec.programs), {})
    alone.keep_programs(name)
    return alone


@pytest.mark.parametrize("name", [name for name in CASES if name != "resized"])
def test_what_programs_see_is_so(spec: ObjectSpec, name: str) -> None:
    with Object.load(one(spec, name)) as loaded:
        assert loaded.programs[name].run().return_value == expected(name)


def refused(build_object: Callable[..., bytes], value: str) -> VerifierError:
    spec = ObjectSpec.from_bytes(build_object(HEADER + f"ASK(asks, {value})"), "wrong.o")
    with pytest.raises(VerifierError) as caught:
        Object.load(spec)
    return caught.value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "current()->tpid",
            r"struct task_struct of the kernel has no member 'tpid'; it has .*'pid'.*; guard it with bpf_core_field_",
        ),
        (
            "((struct no_such_struct *)current())->x",
            r"the kernel has no struct no_such_struct.*; guard it with bpf_core_field_exists",
        ),
        (
            "ENUM(enum bpf_map_type___here, BPF_MAP_TYPE_NONE___here, 1)",
            r"enum bpf_map_type of the kernel has no 'BPF_MAP_TYPE_NONE",
        ),
        ("current()->exit_code", r"task_struct::exit_code takes 8 bytes in the object and 4 in the kernel"),
    ],
)
def test_what_the_kernel_lacks_is_named(build_object: Callable[..., bytes], value: str, words: str) -> None:
    error = refused(build_object, value)
    assert re.search(rf"^program 'asks': wrong.o: function 'asks', \S+:\d+ \(`ASK\(asks, .*\)`\): {words}", str(error))
    assert "\n" not in str(error)
    assert "195896080" in error.log


def test_a_refusal_quotes_the_line_of_source(build_object: Callable[..., bytes]) -> None:
    error = refused(build_object, "*(int *)(long)current()->pid")
    text = r"`ASK\(asks, .*\)`"
    at = rf"\S+:\d+ \({text}\)" if re.search(r"^; .* @ \S+:\d+$", error.log, re.MULTILINE) else text  # places since Linux 6.9
    assert re.search(rf", at {at} \(\d+ lines omitted\)$", str(error))


@pytest.mark.parametrize(
    ("helper", "words"),
    [
        (99999, r"invalid func unknown#99999: this kernel is older than helper 99999; use another, or a newer kernel, at "),
        (23, r"#23: this kernel has no helper bpf_redirect for this type; use another, or a newer kernel, at "),
    ],
)
def test_helpers_that_are_not_there_are_told(build_object: Callable[..., bytes], helper: int, words: str) -> None:
    error = refused(build_object, f"((int (*)(int, int)){helper})(1, 0)")
    assert re.search(words, str(error))


def test_another_kernels_types(build_object: Callable[..., bytes]) -> None:
    """Types that are not this kernel's are taken where they are given."""
    data = build_object(HEADER + "ASK(asks, INFO(struct task_struct, pid, 0))")
    spec = ObjectSpec.from_bytes(data, "given.o")
    with Object.load(spec, btf=spec.btf) as loaded:
        assert loaded.programs["asks"].run().return_value == 20


def test_a_file_of_types(tmp_path: Path) -> None:
    path = tmp_path / "kernel.btf"
    path.write_bytes(vmlinux().to_bytes())
    given = vmlinux(path)
    assert given is vmlinux(path)
    assert given.find("task_struct", Kind.STRUCT) == vmlinux().find("task_struct", Kind.STRUCT)
    assert path.read_bytes() == Path("/sys/kernel/btf/vmlinux").read_bytes() or len(given) == len(vmlinux())


def test_files_that_hold_no_types(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match=r"nothing: No such file or directory; .*CONFIG_DEBUG_INFO_BTF=y"):
        vmlinux(tmp_path / "nothing")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ObjectError, match="shorter than its header"):
        vmlinux(tmp_path / "empty")


def test_modules() -> None:
    with pytest.raises(NotSupported, match="/sys/kernel/btf/no_such_module: No such file"):
        module_btf("no_such_module")
    for name in module_names():
        assert module_btf(name).first_id == len(vmlinux())


def test_the_disassembly_is_the_kernels(spec: ObjectSpec, build_object: Callable[..., bytes]) -> None:
    """Each instruction of a refused program's log reads as ours, helpers' names aside."""
    source = "if (current()->pid > 5) return (short)current()->comm[2] * 3; return *(int *)(long)(current()->tgid & 0xff)"
    wrong = f'SEC("syscall") int wrong(void *context) {{ {source}; }}'
    spec = apply_core(ObjectSpec.from_bytes(build_object(HEADER + wrong), "wrong.o"), vmlinux())
    with pytest.raises(VerifierError) as caught:
        Object.load(spec)
    logged = re.findall(r"^(\d+): (\([0-9a-f]{2}\) .*?)(?: +;.*| +\d+: .*)?$", caught.value.log, re.MULTILINE)
    ours = dict(disassemble(build_image(spec, "wrong").code))
    assert len(logged) > 5
    for index, text in logged:
        assert re.sub("call bpf_[a-z_]+#", "call helper#", text) == ours[int(index)]


def test_programs_that_are_left_out_are_not_fitted(build_spec: Callable[..., ObjectSpec]) -> None:
    """What contradicts its own types stops no other program."""
    spec = build_spec(
        """struct task_struct { int tgid; } __attribute__((preserve_access_index));
        SEC("?tp_btf/sched_process_exit") int optional(__u64 *context) { return ((struct task_struct *)context[0])->tgid; }
        SEC("syscall") int wanted(void *context) { return 7; }"""
    )
    function = spec.functions["optional"]
    assert function.core
    spec.functions["optional"] = replace(function, core=tuple(replace(each, access="0:9") for each in function.core))
    with Object.load(spec) as loaded:
        assert loaded.programs["wanted"].run().return_value == 7
    spec.keep_programs("optional")
    with pytest.raises(ObjectError, match=r"function 'optional', .*does not exist in task_struct"):
        Object.load(spec)
