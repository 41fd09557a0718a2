"""Whether this kernel takes a model is found by loading it, and nothing stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from networks import random_network

from ebpfnn.cli.forecast_text import forecast_lines
from ebpfnn.evaluation import forecast as forecasts
from ebpfnn.evaluation.forecast import forecast
from ebpfnn.obj import insn
from ebpfnn.plugin import Plugins
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root


def test_a_model_is_loaded_run_and_unloaded() -> None:
    found = forecast(random_network("conv4x3-5", 1, (1, 9, 9)), Plugins.installed())
    assert found.loaded, found
    assert found.verified is None or found.verified > 100
    assert found.ns
    first, *_ = forecast_lines(found, None)
    assert first.startswith("loads here: loaded, run and unloaded; ")


def test_what_the_verifier_says_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_an_end(*given: Any, **more: Any) -> Any:
        body = compile_here(*given, **more)
        functions = {
            name: replace(each, code=each.code[: -insn.SIZE] + b"\xb7\0\0\0\1\0\0\0")
            for name, each in body.spec.functions.items()
        }
        return replace(body, spec=replace(body.spec, functions=functions))

    monkeypatch.setattr(forecasts, "compile_here", without_an_end)
    found = forecast(random_network((9, 5), 1), Plugins.installed())
    assert not found.loaded
    assert found.refusal.startswith("network 'test': the kernel refused the compiled code")
