"""The hooks that a plugin can implement. None takes an argument, and all that is returned is collected: no plugin is first."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from .samples import InputSource, PreparationKind
from .types import Trigger

PROJECT = "ebpfnn"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as its implementation of the hook of the same name."""


@hookspec
def ebpfnn_triggers() -> Iterable[Trigger]:
    """The triggers that this plugin brings.

    Called once a command, before anything is known of the kernel: whether a trigger can run here is for its ``supported()``.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_inputs() -> Iterable[InputSource]:
    """The input sources that this plugin brings.

    Called once a command, before anything is read: what a source can read is for its ``accepts()``.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    """The kinds of preparation that this plugin brings.

    Called once a command, before any network is read: what fits a network is for ``bind()``.
    """
    raise NotImplementedError
