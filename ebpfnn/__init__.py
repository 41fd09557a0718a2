"""Neural networks that run inside the Linux kernel.

``ebpfnn.load("mnist")`` and ``ebpfnn.Session`` are where to begin. Names are imported when they are first asked for, so that
``import ebpfnn`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bodies.modelfile import load_named as load
    from .bodies.modelfile import save
    from .collect import Collector
    from .datasets.mnist import read_test
    from .instance import Instance
    from .network import QuantizedNetwork
    from .plugin import Plugins
    from .plugin.reading import samples
    from .session import Observation, Result, Session

_HOMES = {
    "Collector": "collect",
    "Instance": "instance",
    "Observation": "session",
    "Plugins": "plugin",
    "QuantizedNetwork": "network",
    "Result": "session",
    "Session": "session",
    "load": "bodies.modelfile",
    "read_test": "datasets.mnist",
    "samples": "plugin.reading",
    "save": "bodies.modelfile",
}
_CALLED = {"load": "load_named"}
"""What is called otherwise in its module."""

__all__ = [
    "Collector",
    "Instance",
    "Observation",
    "Plugins",
    "QuantizedNetwork",
    "Result",
    "Session",
    "load",
    "read_test",
    "samples",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ebpfnn' has no attribute '{name}'")
    return getattr(import_module(f".{_HOMES[name]}", __name__), _CALLED.get(name, name))
