"""Running an exported ONNX model in onnxruntime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from .onnx import INPUT, OUTPUT

_BATCH = 256
_ERRORS_ONLY = 3


def run(path: Path, samples: NDArray[np.uint8], output: str = OUTPUT) -> NDArray[Any]:
    """The logits, float32 [n, classes], or another output, of ``samples``, uint8 [n, *shape] with n >= 1.

    Raises :class:`NotSupported` without onnxruntime.
    """
    # Otherwise it opens a database of its own under ~/.cache, for telemetry.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise NotSupported(f"ONNX: {error.name} is not installed; pip install 'ebpfnn[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Its integer kernels for u8 by s8 saturate at 16 bits on x86 that has AVX2 and no VNNI; as written, all is exact in floats.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    batches = (samples[first : first + _BATCH] for first in range(0, len(samples), _BATCH))
    return np.concatenate([session.run([output], {INPUT: batch})[0] for batch in batches])
