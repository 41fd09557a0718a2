"""Samples as networks of the tests want them, by the installed kinds of preparation."""

from __future__ import annotations

from functools import cache
from typing import Any

from ebpfnn.errors import Error
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins, Sample, Wanted
from ebpfnn.preparation.decode import picture


@cache
def plugins() -> Plugins:
    return Plugins.installed()


def wanted(shape: tuple[int, ...], kind: str = "", **options: Any) -> Wanted:
    """What a network of ``shape`` wants; what is usual for it without a ``kind``."""
    return plugins().wanted(InputFormat(shape, prepared=Preparation(kind, options) if kind else None))


def sample(data: bytes, shape: tuple[int, ...], name: str, kind: str = "") -> Sample:
    """The sample of the first frame of an image."""
    (made,) = wanted(shape, kind).samples(picture(data, name), name)
    if isinstance(made, Error):
        raise made
    return made
