"""The showcase of a guard: a flood that leaves a server useless, and guards that know it, in the kernel and in user space."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from clang import find_clang
from guards import guard

from ebpfnn.bodies import modelfile
from ebpfnn.events import describe, load
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.layers import Dense

TOOLS = Path(__file__).parents[2] / "tools" / "showcase"
sys.path.append(str(TOOLS))
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LACKING = [name for name in ("ip", "nft", "hping3", "cc") if not shutil.which(name, path=_PATH)]
LACKING += [] if find_clang() else ["clang"]

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")]
SECONDS = 1.2


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A connection is an attack if its first packet is shorter than that of Linux, whose SYN has options."""
    models, user = map(import_module, ("guard_models", "guard_user"))
    names = [name for name in user.RESULTS if name not in ("replies", "hops")]  # as training leaves out those of one value
    encoded = {name: {"encode": "bins", "bounds": models.BOUNDS[name.partition(".")[0]], "step": 17} for name in names}
    assert names[-1] == "peak"
    weights = np.zeros((2, len(encoded)), np.int8)
    weights[1, -1] = 20  # bytes in a second: none of the bounds below 60, and one of them from there on
    found = guard(
        describe(load(models.SPEC)), encoded, trigger="xdp", mode="native", labels=("attack", "benign"), weights=weights
    )
    layer = found.layers[0]
    assert isinstance(layer, Dense)
    layers = (replace(layer, bias=np.array([300, 0], np.int32)),)
    made = replace(found, name="short", layers=layers, calibration=Calibration("benign", 200, 0.0, 1, 1, 0, 1.0))
    modelfile.save(made, tmp_path / "short.safetensors")
    return tmp_path / "short.safetensors"


@pytest.mark.usefixtures("store")
def test_a_flood_is_stopped_by_a_guard_in_the_kernel_and_by_nothing_else(model: Path) -> None:
    arms, lab, showcase = map(import_module, ("guard_arms", "guard_lab", "guard"))
    flood = lab.Strength(workers=50, syn=2000, ack=0, scan=0, slow=0)
    runs = {
        name: showcase.one(name, arm, "flood", flood, 1, SECONDS)
        for name, arm in {
            "nothing": arms.nothing,
            "kernel": arms.in_kernel(model),
            "socket": arms.in_user_space(model, "socket"),
            "ring": arms.in_user_space(model, "ring"),
        }.items()
    }
    honest = {name: {port for port, _, _ in run.outcome.honest} for name, run in runs.items()}
    for name, run in runs.items():
        sent, passed = run.outcome.sent["syn"], run.outcome.passed["syn"]
        assert sent > 300
        assert not run.acted & honest[name]
        found = len(run.acted & {*lab.PORTS["syn"]})
        if name == "nothing":
            assert (found, passed) == (0, sent)
        elif name == "kernel":
            assert found >= sent - passed > 0.9 * sent
        else:  # each packet is a connection of its own, and is past when its verdict comes
            assert found > 0.9 * sent
            assert passed > 0.9 * sent
    assert runs["kernel"].outcome.passed["honest"] > runs["nothing"].outcome.passed["honest"]
