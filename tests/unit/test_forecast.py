"""What is said of a model before it is loaded: by the features of a kernel, and from a plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner, Result
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.cli.forecast_text import forecast_lines
from ebpfnn.compiler import compile_network
from ebpfnn.compiler.executed import expected_ns
from ebpfnn.compiler.features import BY_NAME, NEWEST
from ebpfnn.errors import PermissionDenied
from ebpfnn.evaluation import forecast as forecasts
from ebpfnn.evaluation.forecast import Forecast, forecast
from ebpfnn.plugin import Plugins

LARGE, LARGE_SHAPE = "conv20x3p1-conv20x1-5", (3, 40, 40)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("kernel", BY_NAME)
def test_for_another_kernel_it_is_what_the_compiler_says(kernel: str) -> None:
    net = random_network("conv4x3-pool2-5", 1, (1, 12, 12))
    found, body = forecast(net, Plugins.installed(), kernel), compile_network(net, BY_NAME[kernel])
    assert (found.loaded, found.refusal, found.reason, found.load_ms) == (False, "", "", None)
    assert found.verified == sum(layer.walked for layer in body.layers)
    assert found.branches == sum(layer.forks for layer in body.layers)
    assert (found.stack, found.workspace) == (body.stack, body.workspace)
    assert found.tables == sum(len(each.contents or b"") for each in body.spec.maps.values())
    first, *_ = forecast_lines(found, kernel)
    assert first.startswith(f"should load with the features of Linux {kernel}: estimated, not loaded; some {found.verified:,} ")


def test_a_kernel_that_refuses_says_why_and_which_one_does_not() -> None:
    net = random_network(LARGE, 1, LARGE_SHAPE)
    (told,) = forecast_lines(forecast(net, Plugins.installed(), "5.10"), "5.10")
    assert told.startswith("does not load with the features of Linux 5.10: network 'test': layer ")
    assert told.endswith("; use a smaller layer, or a kernel that has bpf_loop (Linux 5.17)")
    assert not forecast(net, Plugins.installed(), "6.1").refusal


def test_who_may_not_load_gets_an_estimate_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_given: object, **_more: object) -> None:
        raise PermissionDenied("bpf(2) is not allowed; run as root", 1)

    monkeypatch.setattr(forecasts, "compile_here", denied)
    net = random_network((20, 5), 1)
    found = forecast(net, Plugins.installed())
    assert found == Forecast(
        reason="bpf(2) is not allowed; run as root",
        **{k: v for k, v in vars(forecast(net, Plugins.installed(), "6.18")).items() if k != "reason"},
    )
    assert next(iter(forecast_lines(found, None))).startswith(
        "should load here: estimated, not loaded (bpf(2) is not allowed);"
    )


def test_more_work_is_expected_to_take_longer() -> None:
    def expected(architecture: str, side: int) -> float:
        net = random_network(architecture, 1, (2, side, side))
        return expected_ns(net, compile_network(net, NEWEST).plan)

    assert expected("conv8x3-5", 10) < expected("conv16x3-5", 10) < expected("conv16x3-5", 20)
    assert expected("dw3-5", 20) < expected("dw3-conv2x1-5", 20)
    assert expected("pool2-5", 20) < expected("pool2s1-5", 20)


def test_quantize_says_it_before_anything_else() -> None:
    rng = np.random.default_rng(1)
    weights = {"last.weight": rng.normal(size=(3, 12)).astype(np.float32), "last.bias": np.zeros(3, np.float32)}
    Path("w.safetensors").write_bytes(safetensors.numpy.save(weights))
    np.savez("data.npz", samples=rng.integers(0, 256, (40, 12), np.uint8), labels=np.zeros(40, np.uint8))
    given = (
        "quantize",
        "w.safetensors",
        "--arch",
        "12-3",
        "--calibration",
        "data.npz",
        "--output",
        "o.safetensors",
        "--for",
        "5.10",
    )
    done = run(*given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("should load with the features of Linux 5.10: estimated, not loaded; some ")
    assert lines[3].startswith("o.safetensors: w")
    assert run(*given[:-1], "2.6").exit_code == 2


def test_inspect_compiles_for_another_kernel() -> None:
    net = random_network(LARGE, 1, LARGE_SHAPE)
    modelfile.save(net, Path("large.safetensors"))
    refused = run("inspect", "large.safetensors", "--for", "5.10")
    assert refused.exit_code == 1
    assert "or a kernel that has bpf_loop (Linux 5.17)" in refused.output
    done = run("inspect", "large.safetensors", "--for", "6.1")
    assert done.exit_code == 0, done.output
    assert "kernel figures not available: the code is for the features of Linux 6.1" in done.output
