"""A BPF library in pure Python: from an :class:`~ebpfnn.obj.ObjectSpec` to maps, programs and links in the running kernel.

It knows nothing of neural networks, and needs nothing but bpf(2) and perf_event_open(2).
"""

from .features import has_program_type
from .link import Link, attach_tracepoint, tracefs
from .map import ANY, EXIST, NOEXIST, Map
from .object import Object
from .program import Program, RunResult

__all__ = [
    "ANY",
    "EXIST",
    "NOEXIST",
    "Link",
    "Map",
    "Object",
    "Program",
    "RunResult",
    "attach_tracepoint",
    "has_program_type",
    "tracefs",
]
