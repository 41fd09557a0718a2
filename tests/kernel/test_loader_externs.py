"""What the running kernel defines: its configuration, its variables, its functions."""

from __future__ import annotations

import platform
from collections.abc import Callable

import pytest
from declarations import DECLARATIONS

from ebpfnn.errors import ObjectError, VerifierError
from ebpfnn.kernel import Object
from ebpfnn.kernel.load.btf import vmlinux
from ebpfnn.kernel.load.kallsyms import address_of
from ebpfnn.obj import Kind, ObjectSpec, link

Build = Callable[..., ObjectSpec]
pytestmark = pytest.mark.root
CONFIGURATION = """
CONFIG_YES=y
CONFIG_MODULE=m
CONFIG_NUMBER=-5
CONFIG_HEX=0x1000
CONFIG_NAME="a kernel"
# CONFIG_ABSENT is not set
"""
EVERY_TYPE = """
    extern bool CONFIG_YES __kconfig;
    extern char CONFIG_MODULE __kconfig;
    extern enum libbpf_tristate CONFIG_TRISTATE __kconfig __weak;
    extern int CONFIG_NUMBER __kconfig;
    extern unsigned long CONFIG_HEX __kconfig;
    extern char CONFIG_NAME[16] __kconfig;
    extern int CONFIG_ABSENT __kconfig __weak;
    extern int LINUX_KERNEL_VERSION __kconfig;
    extern bool LINUX_HAS_BPF_COOKIE __kconfig;
    struct seen { int yes, number, absent, version; unsigned long hex; char module, name, cookie, tristate; } seen;
    SEC("syscall") int run(void *context)
    {
        seen.yes = CONFIG_YES;
        seen.number = CONFIG_NUMBER;
        seen.absent = CONFIG_ABSENT;
        seen.version = LINUX_KERNEL_VERSION;
        seen.hex = CONFIG_HEX;
        seen.module = CONFIG_MODULE;
        seen.name = CONFIG_NAME[2];
        seen.cookie = LINUX_HAS_BPF_COOKIE;
        seen.tristate = CONFIG_TRISTATE;
        return 0;
    }"""


@pytest.fixture
def build(build_spec: Build) -> Build:
    return lambda source, name="test.o": build_spec(DECLARATIONS + source, name)


def seen(loaded: Object, offset: int, size: int) -> int:
    data = loaded.maps[".bss"].lookup(bytes(4)) or b""
    return int.from_bytes(data[offset : offset + size], "little", signed=True)


def version() -> int:
    """Debian's releases end in .0, whatever the kernel; its own version stands in uname's."""
    told = platform.version().partition("Debian ")[2] or platform.release()
    major, minor, patch = told.split("-")[0].split(".")[:3]
    return int(major) << 16 | int(minor) << 8 | min(int(patch), 255)


def test_configuration_of_every_type(build: Build) -> None:
    with Object.load(build(EVERY_TYPE), kconfig=CONFIGURATION + "CONFIG_TRISTATE=m\n") as loaded:
        loaded.programs["run"].run()
        assert [seen(loaded, offset, 4) for offset in (0, 4, 8, 12)] == [1, -5, 0, version()]
        assert seen(loaded, 16, 8) == 0x1000
        assert [seen(loaded, offset, 1) for offset in (24, 25, 26, 27)] == [ord("m"), ord("k"), 1, 2]


def test_linked_objects_see_the_same_values(build: Build) -> None:
    source = 'extern int LINUX_KERNEL_VERSION __kconfig; %s SEC("syscall") int run%d(void *context) { return %s; }'
    first = build(source % ("", 1, "LINUX_KERNEL_VERSION"), "one.o")
    option = "extern int CONFIG_OTHER __kconfig;"
    second = build(source % (option, 2, "LINUX_KERNEL_VERSION + CONFIG_OTHER"), "two.o")
    with Object.load(link(first, second), kconfig="CONFIG_OTHER=3\n") as loaded:
        assert loaded.programs["run1"].run().return_value == version()
        assert loaded.programs["run2"].run().return_value == version() + 3


def test_the_running_kernels_own_configuration(build: Build) -> None:
    spec = build("""
        extern bool CONFIG_BPF_SYSCALL __kconfig;
        extern int CONFIG_HZ __kconfig;
        SEC("syscall") int run(void *context) { return CONFIG_BPF_SYSCALL ? CONFIG_HZ : 0; }""")
    with Object.load(spec) as loaded:
        assert loaded.programs["run"].run().return_value in (100, 250, 300, 1000)


@pytest.mark.parametrize(
    ("declaration", "text", "words"),
    [
        ("extern int CONFIG_X __kconfig;", "", "extern 'CONFIG_X' is not set in the kernel's configuration; make it __weak"),
        (
            "extern char CONFIG_X __kconfig;",
            "CONFIG_X=300",
            "says 300, which 1 bytes with a sign cannot hold; declare it wider",
        ),
        ("extern bool CONFIG_X __kconfig;", "CONFIG_X=m", "says m, which a bool cannot hold; declare it enum libbpf_tristate"),
        ("extern int CONFIG_X __kconfig;", 'CONFIG_X="a"', 'says "a"; declare it char'),
        ("extern int CONFIG_X __kconfig;", "CONFIG_X=y", "says y; declare it bool, char or enum libbpf_tristate"),
        ("extern int CONFIG_X __kconfig;", "CONFIG_X=1z", "says 1z, which is not a number"),
    ],
)
def test_configuration_that_does_not_fit(build: Build, declaration: str, text: str, words: str) -> None:
    spec = build(f'{declaration} SEC("syscall") int run(void *context) {{ return CONFIG_X; }}')
    with pytest.raises(ObjectError) as caught:
        Object.load(spec, kconfig=text)
    assert words in str(caught.value)


def test_an_extern_that_is_no_option(build: Build) -> None:
    spec = build('extern int LINUX_UNHEARD __kconfig; SEC("syscall") int run(void *context) { return LINUX_UNHEARD; }')
    with pytest.raises(ObjectError, match=r"extern 'LINUX_UNHEARD' is not an option; name CONFIG_\.\.\., LINUX_KERNEL_VERSION"):
        Object.load(spec)


def test_addresses_and_typed_variables_of_the_kernel(build: Build) -> None:
    spec = build("""
        extern const void bpf_prog_put __ksym;
        extern const void nothing_of_this_name __ksym __weak;
        extern const int bpf_prog_active __ksym __weak;
        extern const int unheard_variable __ksym __weak;
        __u64 address, absent = 1, typed = 1;
        SEC("syscall") int run(void *context)
        {
            address = (__u64)&bpf_prog_put;
            absent = (__u64)&nothing_of_this_name;
            typed = &unheard_variable != 0;
            return 0;
        }""")
    with Object.load(spec) as loaded:
        loaded.programs["run"].run()
        assert loaded.maps[".bss"].lookup(bytes(4)) == (address_of("bpf_prog_put") or 0).to_bytes(8, "little")
        assert loaded.maps[".data"].lookup(bytes(4)) == bytes(16)


PER_CPU = """
    extern const int runqueues __ksym;
    static void *(*const bpf_per_cpu_ptr)(const void *variable, __u32 cpu) = (void *)153;
    SEC("syscall") int run(void *context) { return bpf_per_cpu_ptr(&runqueues, 0) != 0; }"""


def test_a_typed_per_cpu_variable(build: Build) -> None:
    spec = build(PER_CPU.replace("int runqueues", "struct rq runqueues").replace("extern", "struct rq; extern", 1))
    if address_of("runqueues") is None:  # a kernel without CONFIG_KALLSYMS_ALL knows the variable's type alone
        with pytest.raises(VerifierError, match="failed to find the address for kernel symbol 'runqueues'"):
            Object.load(spec)
        return
    with Object.load(spec) as loaded:
        assert loaded.programs["run"].run().return_value == 1


def skip_unless_known(kind: Kind, name: str) -> None:
    if vmlinux().find(name, kind) is None:
        pytest.skip(f"kernel {'variable' if kind is Kind.VAR else 'function'} '{name}' is not in this kernel's BTF")


def test_a_variable_of_another_type(build: Build) -> None:
    skip_unless_known(Kind.VAR, "runqueues")
    with pytest.raises(ObjectError, match="extern 'runqueues' is declared with a different type than the kernel's"):
        Object.load(build(PER_CPU))


@pytest.mark.parametrize(
    ("declaration", "words"),
    [
        ("extern const void unheard __ksym;", "extern 'unheard' is not in /proc/kallsyms; make it __weak"),
        ("extern const int unheard __ksym;", "kernel variable 'unheard' is not in this kernel's BTF or its modules'"),
    ],
)
def test_a_variable_that_is_not_there(build: Build, declaration: str, words: str) -> None:
    spec = build(f'{declaration} SEC("syscall") int run(void *context) {{ return &unheard == context; }}')
    with pytest.raises(ObjectError) as caught:
        Object.load(spec)
    assert words in str(caught.value)


KFUNC = """
    struct task_struct;
    extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
    extern void bpf_task_release(struct task_struct *task) __ksym;
    extern void bpf_task_release___newer(struct task_struct *task, int more) __ksym __weak;
    extern int bpf_unheard(int value) __ksym __weak;
    SEC("syscall") int run(int *pid)
    {
        struct task_struct *task = bpf_task_from_pid(*pid ? *pid : bpf_get_current_pid_tgid() >> 32);
        if (!task)
            return 1;
        bpf_task_release(task);
        if (bpf_unheard)
            return bpf_unheard(3);
        return 2;
    }"""


def test_functions_of_the_kernel(build: Build) -> None:
    with Object.load(build(KFUNC)) as loaded:
        assert loaded.programs["run"].run(context=bytes(4)).return_value == 2
        assert loaded.programs["run"].run(context=(0x7FFFFFFE).to_bytes(4, "little")).return_value == 1


def test_a_function_that_is_not_there(build: Build) -> None:
    spec = build('extern int bpf_unheard(int value) __ksym; SEC("syscall") int run(int *x) { return bpf_unheard(*x); }')
    with pytest.raises(ObjectError, match="kernel function 'bpf_unheard' is not in this kernel's BTF or its modules'; make it"):
        Object.load(spec)


def test_a_weak_function_that_is_called_unchecked(build: Build) -> None:
    spec = build('extern int bpf_unheard(int value) __ksym __weak; SEC("syscall") int run(int *x) { return bpf_unheard(*x); }')
    with pytest.raises(VerifierError, match=r"kernel function 'bpf_unheard' is not in this kernel; call it only if"):
        Object.load(spec)


def test_a_function_of_another_prototype(build: Build) -> None:
    skip_unless_known(Kind.FUNC, "bpf_task_from_pid")
    spec = build("""
        extern int bpf_task_from_pid(void *first, int second) __ksym;
        SEC("syscall") int run(int *x) { return bpf_task_from_pid(x, 1); }""")
    with pytest.raises(ObjectError, match="extern 'bpf_task_from_pid' is declared with a different type than the kernel's"):
        Object.load(spec)
