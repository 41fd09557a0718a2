"""Every way to run a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import ebpfnn_plugins.run
import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from flooding import Senders
from instances import mounted
from netspace import pair

from ebpfnn import Instance
from ebpfnn.compiler import Body, build_twin
from ebpfnn.instance import Store
from ebpfnn.kernel.features import has_cookies
from ebpfnn.network import QuantizedNetwork
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger


@pytest.fixture
def senders() -> Iterator[Senders]:
    """Two network namespaces and the senders in them."""
    with pair() as paths:
        made = Senders(*paths)
        yield made
        made.close()


@pytest.fixture
def perf_links() -> None:
    """For tests of what the kernel's own links at perf events can, which came together with cookies."""
    if not has_cookies():
        pytest.skip("this kernel has no links for perf events and no cookies (Linux 5.15)")


@pytest.fixture(params=["run", "run by XDP", "tracepoint"])
def trigger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Trigger:
    if request.param == "tracepoint":
        return TracepointTrigger()
    if request.param == "run by XDP":
        monkeypatch.setattr(ebpfnn_plugins.run, "has_program_type", lambda type: type is ProgramType.XDP)  # noqa: A006
    return RunTrigger()


@pytest.fixture
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is told of times, and not of the times: emptying a server's caches takes seconds in all."""
    monkeypatch.setattr("ebpfnn.bench.measure._EVICTING", 1 << 20)


BODIES: dict[str, Callable[[QuantizedNetwork], Body]] = {"twin": build_twin, "naive": partial(build_twin, naive=True)}


@pytest.fixture(params=BODIES)
def build_body(request: pytest.FixtureRequest) -> Callable[[QuantizedNetwork], Body]:
    """Makes ``ebpfnn_infer`` for a network."""
    return BODIES[request.param]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Where the test's instances are pinned, and nobody else's; they are gone at its end."""
    directory = tmp_path / "bpf"
    directory.mkdir()
    monkeypatch.setenv("EBPFNN_BPFFS", str(directory))
    load, loaded = Instance.load, ExitStack()

    def closed_at_the_end(*arguments: Any, **options: Any) -> Instance:
        return loaded.enter_context(load(*arguments, **options))

    monkeypatch.setattr(Instance, "load", closed_at_the_end)  # or what a kernel without links for it does not keep stays open
    with mounted(directory) as made, loaded:
        yield made
