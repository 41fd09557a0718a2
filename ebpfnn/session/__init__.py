"""One network with one trigger, for one process: linked, loaded, and run."""

from .runner import Result
from .session import Session

__all__ = ["Result", "Session"]
