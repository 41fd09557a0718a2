"""Code for the running kernel uses no feature that it lacks, also if only the second choice depends on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from networks import random_network

from ebpfnn.compiler.plan import LISTED, ROWS_PLAN
from ebpfnn.errors import NotSupported
from ebpfnn.kernel.features import KMALLOC_LARGEST
from ebpfnn.session import compiling


def no_types() -> None:
    raise NotSupported("no BTF")


def test_what_replaces_large_tables_needs_no_iterators_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """With tables of any size, no loop is needed; without, there are eight tiles, in a loop that old kernels have not."""
    network = replace(random_network("784-90-10", 1, (784,), bits=1, packed=True), density=(0.12, 1.0))
    monkeypatch.setattr(compiling, "has_sign_extension", lambda: False)
    for name in ("has_callback_loops", "has_large_values"):
        monkeypatch.setattr(compiling, name, lambda: True)
    large = compiling.compile_here(network)
    assert large.layers[0].shape == ROWS_PLAN
    assert not large.spec.kernel_symbols
    monkeypatch.setattr(compiling, "vmlinux", no_types)
    for name in ("has_callback_loops", "has_large_values"):
        monkeypatch.setattr(compiling, name, lambda: False)
    small = compiling.compile_here(network)
    assert small.layers[0].shape == LISTED
    assert not small.spec.kernel_symbols
    assert len(small.spec.functions) == 1
    assert all(table.value_size <= KMALLOC_LARGEST for table in small.spec.maps.values())
