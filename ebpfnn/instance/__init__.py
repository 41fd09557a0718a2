"""Networks that stay in the kernel after the process that loaded them has ended. docs/instances.md is the guide."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .about import About, Foreign
    from .alerts import Alert, AlertWatch
    from .figures import Statistics
    from .instance import Instance
    from .rates import Rates
    from .session import InstanceSession
    from .snapshot import Snapshot
    from .store import Store
    from .watch import Event, VerdictWatch, Watch

# Imported on first use: the store tells whether there is an instance, and usually there is none.
_HOMES = {
    "About": "about",
    "Alert": "alerts",
    "AlertWatch": "alerts",
    "Event": "watch",
    "Foreign": "about",
    "Instance": "instance",
    "InstanceSession": "session",
    "Rates": "rates",
    "Snapshot": "snapshot",
    "Statistics": "figures",
    "Store": "store",
    "VerdictWatch": "watch",
    "Watch": "watch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = [
    "About",
    "Alert",
    "AlertWatch",
    "Event",
    "Foreign",
    "Instance",
    "InstanceSession",
    "Rates",
    "Snapshot",
    "Statistics",
    "Store",
    "VerdictWatch",
    "Watch",
]
