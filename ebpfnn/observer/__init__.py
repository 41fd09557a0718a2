"""From a checked spec to the BPF object that defines ``ebpfnn_observe``; pure, the kernel is not asked."""

from .compile import RING_BYTES, compile_observer
from .locks import check_locks
from .mode import Mode

__all__ = ["RING_BYTES", "Mode", "check_locks", "compile_observer"]
