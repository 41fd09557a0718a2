"""From a :class:`~ebpfnn.network.QuantizedNetwork` to the BPF object that computes it; pure, the kernel is not asked."""

from .body import Body
from .compile import Compiled, compile_network
from .features import KernelFeatures
from .twin import build_twin

__all__ = ["Body", "Compiled", "KernelFeatures", "build_twin", "compile_network"]
