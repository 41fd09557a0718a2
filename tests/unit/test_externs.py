"""Externs of the kernel, as the object declares them, and the values that configurations give them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from declarations import DECLARATIONS

from ebpfnn.errors import NotSupported, ObjectError
from ebpfnn.kernel.kallsyms import address_of
from ebpfnn.kernel.kconfig import kernel_version, running_configuration
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


def test_two_objects_keep_their_own_configuration_when_linked(build: Build) -> None:
    joined = link(build(SOURCE % ("1", "+ other(2)"), "one.o"), build(SOURCE % ("2", ""), "two.o"))
    assert {name for name in joined.maps if name.endswith(".kconfig")} == {".kconfig", "two.o:.kconfig"}
    data = {r.symbol for r in joined.functions["run2"].relocations if r.kind is RelocationKind.DATA}
    assert data == {"two.o:.kconfig"}


@pytest.mark.parametrize("length", [(1 << 20) + 1, 0xFFFFFFFF])
def test_configuration_larger_than_anybody_needs(build: Build, length: int) -> None:
    body = 'SEC("syscall") int run(int *x) { return CONFIG_A[*x & 1]; }'
    with pytest.raises(ObjectError, match="its __kconfig externs take"):
        build(f"extern char CONFIG_A[{length}] __kconfig; {body}")


def test_a_configuration_is_read() -> None:
    text = '#\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="x=y"\nnoise\nCONFIG_D\n'
    assert parse_kconfig(text) == {"CONFIG_B": "y", "CONFIG_C": '"x=y"'}


def test_a_configuration_is_found_packed_or_in_boot(tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="give the configuration's text yourself"):
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
