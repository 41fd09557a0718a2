"""From a :class:`~ebpfnn.network.QuantizedNetwork` to the BPF object that computes it; pure, the kernel is not asked.

:func:`plan_network` decides, :func:`compile_network` plans and writes what the plan says.
"""

from .body import Body
from .code import BodyCode
from .compile import Compiled, compile_network
from .features import KernelFeatures
from .kind import BodyKind
from .plan import NetworkPlan
from .planner import plan_network
from .twin import build_twin

__all__ = [
    "Body",
    "BodyCode",
    "BodyKind",
    "Compiled",
    "KernelFeatures",
    "NetworkPlan",
    "build_twin",
    "compile_network",
    "plan_network",
]
