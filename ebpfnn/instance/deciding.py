"""The model that gave the verdicts of an instance, read again from its file."""

from __future__ import annotations

from pathlib import Path

from ..bodies import modelfile
from ..errors import SessionError
from ..network.model import Model
from ..plugin import Plugins
from .about import digest
from .pins import Pins

_REMEDY = "give its file with --model"


def network_of(pins: Pins, swaps: int, plugins: Plugins) -> Model:
    """The network before which there were so many ``swaps``, from the file that it was loaded from.

    Raises :class:`SessionError` if that is not known any more, or the file has another one now, else as
    :func:`ebpfnn.bodies.modelfile.load`.
    """
    what, known = f"instance '{pins.path.name}'", pins.known()
    if swaps not in known:
        fact = f"its network of that time was replaced {max(known) - swaps} swaps ago, and only the last one is known"
        raise SessionError(f"{what}: {fact}; {_REMEDY}")
    about = known[swaps]
    if not about.file:
        raise SessionError(f"{what}: network '{about.network}' was not loaded from a file; {_REMEDY}")
    if not Path(about.file).is_file():
        raise SessionError(f"{what}: the file of its network, {about.file}, is gone; {_REMEDY}")
    model = modelfile.load(Path(about.file), plugins)
    if digest(model, plugins) != about.digest:
        fact = f"{about.file} has another network now than the one that was loaded"
        raise SessionError(f"{what}: {fact}; {_REMEDY}")
    return model
