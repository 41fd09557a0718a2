"""Externs of the kernel, as the object declares them, and the values that configurations give them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from declarations import DECLARATIONS

from ebpfnn.errors import LinkerError, NotSupported, ObjectError
from ebpfnn.kernel.load.kallsyms import address_of
from ebpfnn.kernel.load.kconfig import kernel_version, running_configuration
from ebpfnn.obj import ObjectSpec, RelocationKind, link
from ebpfnn.obj.kconfig import parse_kconfig
from ebpfnn.obj.spec import SymbolKind

Build = Callable[..., ObjectSpec]
SOURCE = """
    extern int CONFIG_HZ __kconfig;
    extern char CONFIG_NAME[5] __kconfig __weak;
    extern const void address __ksym;
    extern const int typed __ksym __weak;
    extern int bpf_kernel(int value) __ksym;
    int other(int value);
    SEC("syscall") int run%s(int *x)
    {
        return CONFIG_HZ + CONFIG_NAME[2] + (&address == x) + (&typed == x) + bpf_kernel(1) %s;
    }"""


@pytest.fixture
def build(build_spec: Build) -> Build:
    return lambda source, name="test.o": build_spec(DECLARATIONS + source, name)


def test_every_kind_of_extern(build: Build) -> None:
    spec = build(SOURCE % ("", "+ other(2)"))
    kinds = {name: (symbol.kind, symbol.weak) for name, symbol in spec.kernel_symbols.items()}
    assert kinds == {
        "CONFIG_HZ": (SymbolKind.KCONFIG, False),
        "CONFIG_NAME": (SymbolKind.KCONFIG, True),
        "address": (SymbolKind.VARIABLE, False),
        "typed": (SymbolKind.VARIABLE, True),
        "bpf_kernel": (SymbolKind.FUNCTION, False),
    }
    assert spec.externs == {"other"}
    assert spec.kernel_symbols["address"].type_id == 0
    used = {(r.kind, r.symbol) for r in spec.functions["run"].relocations}
    kept = {(RelocationKind.DATA, ".kconfig"), (RelocationKind.KSYM, "address"), (RelocationKind.KFUNC, "bpf_kernel")}
    assert kept < used
    assert spec.maps[".kconfig"].value_size >= 4 + 5


def places(spec: ObjectSpec, function: str) -> set[tuple[str, int]]:
    return {(r.symbol, r.addend) for r in spec.functions[function].relocations if r.kind is RelocationKind.DATA}


def test_two_objects_share_the_options_that_both_name(build: Build) -> None:
    one = build(SOURCE % ("1", "+ other(2)"), "one.o")
    joined = link(one, build(SOURCE % ("2", ""), "two.o"))
    assert places(joined, "run2") == places(joined, "run1") == places(one, "run1") == {(".kconfig", 0), (".kconfig", 8)}


def test_an_option_that_only_one_object_names_stays_its_own(build: Build) -> None:
    body = 'SEC("xdp") int run%d(void *context) { return CONFIG_%s; }'
    first = build("extern int CONFIG_A __kconfig;" + body % (1, "A"), "one.o")
    second = build("extern int CONFIG_A __kconfig; extern long CONFIG_B __kconfig;" + body % (2, "A + CONFIG_B"), "two.o")
    joined = link(first, second)
    places_of_both = {
        (joined.kernel_symbols[name].map, joined.kernel_symbols[name].offset) for name in ("CONFIG_A", "CONFIG_B")
    }
    assert places(joined, "run2") == places_of_both
    assert {place[0] for place in places_of_both} == {".kconfig", "two.o:.kconfig"}


@pytest.mark.parametrize("weak", [(False, False), (False, True), (True, False), (True, True)])
def test_a_shared_extern_is_weak_where_both_say_so(build: Build, weak: tuple[bool, bool]) -> None:
    source = 'extern int CONFIG_A __kconfig %s; SEC("xdp") int run%d(void *context) { return CONFIG_A; }'
    objects = [build(source % ("__weak" if each else "", number), f"{number}.o") for number, each in enumerate(weak)]
    assert link(*objects).kernel_symbols["CONFIG_A"].weak is all(weak)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (
            "int thing __kconfig",
            "long thing __kconfig",
            "__kconfig int of 4 bytes in one.o but __kconfig long of 8 bytes in two.o",
        ),
        ("int thing __kconfig", "const int thing __ksym", "__kconfig int of 4 bytes in one.o but __ksym int in two.o"),
        ("const int thing __ksym", "const void thing __ksym", "__ksym int in one.o but __ksym void in two.o"),
    ],
)
def test_externs_declared_in_two_ways(build: Build, first: str, second: str, words: str) -> None:
    source = 'extern %s; SEC("xdp") int run%d(void *context) { return (long)&thing; }'
    with pytest.raises(LinkerError) as caught:
        link(build(source % (first, 1), "one.o"), build(source % (second, 2), "two.o"))
    assert str(caught.value) == f"extern 'thing' is {words}; declare it the same in both"


def test_functions_of_the_kernel_declared_in_two_ways(build: Build) -> None:
    source = 'extern int thing(%s value) __ksym; SEC("xdp") int run%d(void *context) { return thing(1); }'
    with pytest.raises(LinkerError, match=r"__ksym \(int -> int\) in one\.o but __ksym \(long -> int\) in two\.o"):
        link(build(source % ("int", 1), "one.o"), build(source % ("long", 2), "two.o"))


@pytest.mark.parametrize("length", [(1 << 20) + 1, 0xFFFFFFFF])
def test_configuration_larger_than_anybody_needs(build: Build, length: int) -> None:
    body = 'SEC("syscall") int run(int *x) { return CONFIG_A[*x & 1]; }'
    with pytest.raises(ObjectError, match="its __kconfig externs take"):
        build(f"extern char CONFIG_A[{length}] __kconfig; {body}")


def test_a_configuration_is_read() -> None:
    text = '#\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="x=y"\nnoise\nCONFIG_D\n'
    assert parse_kconfig(text) == {"CONFIG_B": "y", "CONFIG_C": '"x=y"'}


def test_a_configuration_is_found_packed_or_in_boot(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="give the text of the configuration"):
        running_configuration(tmp_path / "nothing")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "config.gz").write_bytes(gzip.compress(b"CONFIG_A=y\n"))
    assert running_configuration(tmp_path) == {"CONFIG_A": "y"}
    running_configuration.cache_clear()
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / f"config-{os.uname().release}").write_text("CONFIG_B=m\n")
    assert running_configuration(tmp_path) == {"CONFIG_B": "m"}
    running_configuration.cache_clear()


def test_a_configuration_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "config.gz").write_bytes(b"no gzip")
    with pytest.raises(NotSupported, match=r"config\.gz"):
        running_configuration(tmp_path)


def test_the_version_that_ubuntu_hides(tmp_path: Path) -> None:
    signature = tmp_path / "version_signature"
    signature.write_text("Ubuntu 5.15.0-91.101-generic 5.15.131\n")
    assert kernel_version(signature) == 5 << 16 | 15 << 8 | 131


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)", 6 << 16 | 1 << 8 | 76),
        ("#1 SMP Debian 4.9.320-2", 4 << 16 | 9 << 8 | 255),
        ("#1 SMP Debian", 6 << 16 | 1 << 8),
    ],
)
@pytest.mark.parametrize("signature", [None, "", "\n"])
def test_the_version_that_debian_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, expected: int, signature: str | None
) -> None:
    monkeypatch.setattr("platform.version", lambda: version)
    monkeypatch.setattr("platform.release", lambda: "6.1.0-18-amd64")
    if signature is not None:
        (tmp_path / "version_signature").write_text(signature)
    assert kernel_version(tmp_path / "version_signature") == expected


def test_addresses_in_a_symbol_table(tmp_path: Path) -> None:
    table = tmp_path / "kallsyms"
    table.write_text("ffffffff81000010 T first_and_more\nffffffff81000020 t first\nffffffff81000030 t loaded\t[module]\n")
    assert address_of("first", table) == 0xFFFFFFFF81000020
    assert address_of("loaded", table) == 0xFFFFFFFF81000030
    assert address_of("second", table) is None


def test_addresses_that_are_hidden(tmp_path: Path) -> None:
    table = tmp_path / "kallsyms"
    table.write_text("0000000000000000 T first\n")
    with pytest.raises(NotSupported, match=r"symbol 'first': its address is hidden \(sysctl kernel.kptr_restrict\)"):
        address_of("first", table)
    with pytest.raises(NotSupported, match="CONFIG_KALLSYMS"):
        address_of("first", tmp_path / "nothing")
