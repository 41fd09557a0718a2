"""From a :class:`~ebpfnn.network.QuantizedNetwork` to the BPF object that computes it; pure, the kernel is not asked."""

from .twin import build_twin, workspace_size

__all__ = ["build_twin", "workspace_size"]
