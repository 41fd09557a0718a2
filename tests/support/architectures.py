"""Architectures for tests, as :mod:`ebpfnn.network.architecture` writes them: one for each kind of layer, and random ones."""

from __future__ import annotations

from hypothesis import strategies as st

SHAPE = (2, 9, 8)
"""The samples that they are for."""
KINDS = [
    "conv3x3-5",
    "conv3x3s2-5",
    "conv3x2p1-5",
    "conv3x3x2s3p1-5",
    "conv4x3p2g2-5",
    "dw3p1-5",
    "dw2x3s2-4",
    "pool2-5",
    "pool3s2p1-5",
    "pool3s1p2-3",
    "avgpool2-5",
    "gap",
    "conv5x1-gap",
    "conv4x1-pool2-conv4x2s2p1g2-dw3p2-pool2-6-5",
]


@st.composite
def architectures(draw: st.DrawFn) -> str:
    """One to four layers that keep at least a row and a column, then dense ones or the average of each channel."""
    words, rows, columns = [], *SHAPE[1:]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv4x", "conv2x", "dw", "pool", "avgpool"]))
        size, step = draw(st.integers(1, min(3, rows, columns))), draw(st.integers(1, 2))
        edge = draw(st.integers(0, size - 1))
        groups = draw(st.sampled_from(["", "g2"])) if kind.startswith("conv") else ""
        words.append(f"{kind}{size}s{step}" + (f"p{edge}" if edge else "") + groups)
        rows, columns = ((side + 2 * edge - size) // step + 1 for side in (rows, columns))
    return "-".join((*words, draw(st.sampled_from(["3", "6-5", "gap"]))))
