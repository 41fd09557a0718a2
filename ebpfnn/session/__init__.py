"""One network with one trigger, for one process: linked, loaded, and run."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .runner import Result
from .session import Session

if TYPE_CHECKING:
    from .cases import Case
    from .observation import Observation
    from .verdicts import Verdict

# Imported on first use: whoever gives samples needs no specs.
_HOMES = {"Case": "cases", "Observation": "observation", "Verdict": "verdicts"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = ["Case", "Observation", "Result", "Session", "Verdict"]
