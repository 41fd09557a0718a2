"""Networks that stay in the kernel when the process that loaded them has gone. docs/instances.md is the guide."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .about import About, Foreign
    from .figures import Statistics
    from .instance import Instance
    from .rates import Rates
    from .session import InstanceSession
    from .store import Store
    from .watch import Event, Watch

# Imported when it is first asked for: whether there is an instance the store tells, and mostly there is none.
_HOMES = {
    "About": "about",
    "Event": "watch",
    "Foreign": "about",
    "Instance": "instance",
    "InstanceSession": "session",
    "Rates": "rates",
    "Statistics": "figures",
    "Store": "store",
    "Watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = ["About", "Event", "Foreign", "Instance", "InstanceSession", "Rates", "Statistics", "Store", "Watch"]
