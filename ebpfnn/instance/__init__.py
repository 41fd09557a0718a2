"""Networks that stay in the kernel when the process that loaded them has gone. docs/instances.md is the guide."""

from .about import About
from .figures import Statistics
from .instance import Instance
from .session import InstanceSession
from .store import Store

__all__ = ["About", "Instance", "InstanceSession", "Statistics", "Store"]
