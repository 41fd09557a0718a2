"""What a training run is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelError

_WIDEST = 1 << 16


@dataclass(frozen=True)
class Options:
    """A training run; the same options, data and machine give the same network.

    ``architecture`` is the widths of the layers, such as ``784-32-10``. ``slope`` is the LeakyReLU's, 0 for ReLU. ``data`` is
    a directory with MNIST's four files, None to download them. ``output`` is the model file to write.
    """

    output: Path
    architecture: str = "784-32-10"
    data: Path | None = None
    name: str = "mnist"
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 3e-3
    slope: float = 0.125
    seed: int = 1

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths in ``architecture``, from the inputs to the classes. Raises :class:`ModelError` for another form."""
        parts = self.architecture.split("-")
        well_formed = len(parts) >= 2 and all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts)
        widths = tuple(int(part) for part in parts) if well_formed else ()
        if not widths or not all(1 <= width <= _WIDEST for width in widths):
            raise ModelError(f"architecture {self.architecture!r} is not a list of widths; give one such as 784-32-10")
        return widths
