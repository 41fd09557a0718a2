"""Classify an image in the kernel: python examples/infer.py digit.png, as root."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import ebpfnn


def main(path: str) -> None:
    """Reads the image as the network wants it, light on dark, and prints the label and the time in the kernel."""
    network = ebpfnn.load("mnist")
    rows, columns = network.input_shape
    sample = np.asarray(Image.open(path).convert("L").resize((columns, rows)))
    if sample.mean() > 127:
        sample = 255 - sample
    with ebpfnn.Session(network, ebpfnn.Plugins.installed().trigger("run")) as session:
        result = session.infer(sample)
    print(f"{network.labels[result.label]} in {result.elapsed_ns:,} ns")


if __name__ == "__main__":
    main(sys.argv[1])
