"""Networks that stay in the kernel when the process that loaded them has gone. docs/instances.md is the guide."""

from .about import About, Foreign
from .figures import Statistics
from .instance import Instance
from .rates import Rates
from .session import InstanceSession
from .store import Store
from .watch import Event, Watch

__all__ = ["About", "Event", "Foreign", "Instance", "InstanceSession", "Rates", "Statistics", "Store", "Watch"]
