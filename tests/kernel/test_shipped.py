"""The networks that ship, compiled for this kernel as everybody gets them."""

from __future__ import annotations

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger

from ebpfnn.bodies import modelfile
from ebpfnn.datasets.mnist import read_test
from ebpfnn.network import reference
from ebpfnn.session import Session

pytestmark = pytest.mark.root
SHIPPED = sorted(path.stem for path in modelfile.BUNDLED.glob("*.safetensors") if not path.stem.endswith(".float"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_is_its_reference(name: str) -> None:
    network = modelfile.load(modelfile.resolve(name))
    noise = np.random.default_rng(1).integers(0, 256, (3, *network.input_shape), np.uint8)
    given = np.concatenate([read_test()[0][:253].reshape(-1, *network.input_shape), noise])
    with Session(network, RunTrigger()) as session:
        found = session.infer_many(given)
    assert found.scores.tolist() == reference.scores(network, given).tolist()
