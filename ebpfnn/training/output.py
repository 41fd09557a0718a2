"""Where a training run writes to."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ModelError


def check_writable(path: Path) -> None:
    """Raises :class:`ModelError` if ``path`` cannot be written. It is checked before training rather than after."""
    if not os.access(path.parent, os.W_OK | os.X_OK) or path.is_dir():
        raise ModelError(f"{path}: cannot be written; give an --output in a directory you may write to")
