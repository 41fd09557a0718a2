"""Every way to run a network."""

from __future__ import annotations

import ebpfnn_plugins.run
import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger

from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger


@pytest.fixture(params=["run", "run by XDP", "tracepoint"])
def trigger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Trigger:
    if request.param == "tracepoint":
        return TracepointTrigger()
    if request.param == "run by XDP":
        monkeypatch.setattr(ebpfnn_plugins.run, "has_program_type", lambda type: type is ProgramType.XDP)  # noqa: A006
    return RunTrigger()


@pytest.fixture(params=["twin", "naive"])
def naive(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "naive")
