"""The shipped network over MNIST's test images, in the kernel."""

from __future__ import annotations

import mnist
import numpy as np
import pytest
from ebpfnn_plugins.tracepoint import TracepointTrigger

from ebpfnn.bodies import modelfile
from ebpfnn.network import reference
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.usefixtures("tracing")]
LEAST_ACCURACY = 0.97  # of all 10,000: 300 are too few to measure it


def test_every_image_gets_the_references_scores() -> None:
    images, labels = mnist.images_labels(all=True)
    network = modelfile.load(modelfile.resolve("mnist"))
    expected = reference.scores(network, images)
    with Session(network, TracepointTrigger()) as session:
        results = [session.infer(image) for image in images]
    assert (np.stack([result.scores for result in results]) == expected).all()
    found = np.array([result.label for result in results])
    assert (found == expected.argmax(axis=1)).all()
    if mnist.directory():
        assert len(images) == 10_000
        assert (found == labels).mean() >= LEAST_ACCURACY
