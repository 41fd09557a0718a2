"""`ebpfnn eval` with a real kernel: its column is what the kernel computed, and a difference is found."""

from __future__ import annotations

import json
from pathlib import Path

import mnist
import numpy as np
import pytest
from click.testing import CliRunner, Result
from networks import random_network, samples

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.evaluation import evaluate
from ebpfnn.network import reference
from ebpfnn.network.layers import Shape

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.usefixtures("tracing")]


def evaluated(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["eval", *arguments, "--json"])


def test_all_of_mnist() -> None:
    found = mnist.directory()
    done = evaluated("mnist", "--data", str(found or "bundled"))
    assert (done.exit_code, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    images, labels = mnist.images_labels(all=True)
    right = int(np.count_nonzero(reference.labels(modelfile.load(modelfile.resolve("mnist")), images) == labels))
    assert told["images"] == told["agreement"] == len(images) == (10_000 if found else 512)
    assert told["kernel"] == told["reference"] == right / len(images)
    assert sum(map(sum, told["confusion"])) == len(images)
    assert len(told["mistakes"]) == len(images) - right


@pytest.mark.parametrize("trigger", ["run", "tracepoint"])
@pytest.mark.parametrize(
    ("architecture", "shape", "bits"), [("9-5-3", (3, 3), 8), ("conv4x3p1-pool2-6", (2, 8, 8), 8), ("144-20-5", (12, 12), 1)]
)
def test_networks_of_every_kind(tmp_path: Path, architecture: str, shape: Shape, bits: int, trigger: str) -> None:
    made = random_network(architecture, 5, shape, bits=bits, packed=bits < 8)
    modelfile.save(made, tmp_path / "a.safetensors")
    given = samples(shape, 6)
    labels = np.arange(len(given)) % len(made.labels)
    np.savez(tmp_path / "a.npz", samples=given, labels=labels)
    done = evaluated(str(tmp_path / "a.safetensors"), "--data", str(tmp_path / "a.npz"), "--trigger", trigger)
    assert (done.exit_code, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    right = np.count_nonzero(reference.labels(made, given) == labels)
    assert (told["trigger"], told["agreement"], told["disagreements"]) == (trigger, 16, [])
    assert (told["kernel"], told["reference"]) == (right / 16, right / 16)


def test_a_reference_that_is_not_the_kernels_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def bent(network: object, given: np.ndarray, _plugins: object) -> np.ndarray:
        scores = reference.scores(network, given)  # type: ignore[arg-type]
        scores[[3, 77], 0] += 1
        return scores

    monkeypatch.setattr(evaluate, "run_reference", bent)
    done = evaluated("mnist", "--data", "bundled")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["disagreements"], told["agreement"], told["images"]) == ([3, 77], 510, 512)
    assert done.stderr.splitlines()[-1] == "ebpfnn: the kernel differs from the reference for 2 of 512 samples; report this"


def test_a_trigger_that_is_not_there() -> None:
    done = evaluated("mnist", "--data", "bundled", "--trigger", "tracepiont")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("ebpfnn: trigger 'tracepiont' not found; installed: ")
