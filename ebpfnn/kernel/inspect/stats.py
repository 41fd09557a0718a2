"""Run statistics: how often programs ran, and how long (Linux 5.8)."""

from __future__ import annotations

from ..fd import Descriptor
from ..syscall import Command, EnableStats, bpf

_RUN_TIME = 0  # BPF_STATS_RUN_TIME


def run_statistics() -> Descriptor:
    """Enables run statistics of all programs of the machine until the result is closed: use it in a ``with`` statement.

    It costs some 20 ns per run. :meth:`ebpfnn.kernel.Program.info` then has ``run_cnt`` and ``run_time_ns``; they keep their
    values when counting ends. Raises :class:`~ebpfnn.errors.KernelError`.
    """
    return Descriptor(bpf(Command.ENABLE_STATS, EnableStats(_RUN_TIME), "run statistics"), "run statistics")
