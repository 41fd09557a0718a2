"""The hooks that a plugin can implement. They take no arguments, and all results are collected; no plugin has priority."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from ..compiler import BodyKind
from ..events.reducer import Reducer
from ..preparation.encoder import Encoder
from .actions import Action
from .samples import InputSource, PreparationKind
from .types import Trigger

PROJECT = "ebpfnn"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as its implementation of the hook of the same name."""


@hookspec
def ebpfnn_triggers() -> Iterable[Trigger]:
    """The triggers that this plugin provides.

    Called once per command, before the kernel is probed: ``supported()`` decides whether a trigger can run here.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_inputs() -> Iterable[InputSource]:
    """The input sources that this plugin provides.

    Called once per command, before anything is read: ``accepts()`` decides what a source reads.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_preparations() -> Iterable[PreparationKind]:
    """The kinds of preparation that this plugin provides.

    Called once per command, before a network is read: ``bind()`` decides what fits a network.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_reducers() -> Iterable[Reducer]:
    """The reducers that this plugin provides.

    Called once per command, before a spec is checked: ``read_options()`` decides what a column may say.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_encoders() -> Iterable[Encoder]:
    """The encoders of columns that this plugin provides.

    Called once per command, before a network is read: ``bounds()`` decides which parameters fit.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_bodies() -> Iterable[BodyKind[Any]]:
    """The kinds of models that this plugin provides, each with the code that makes bodies of its models.

    Called once per command, before a model file is read: the file names its kind, whose ``build()`` decides whether it is
    accepted.
    """
    raise NotImplementedError


@hookspec
def ebpfnn_actions() -> Iterable[Action]:
    """The actions that this plugin provides.

    Called once per command, before anything is loaded: ``triggers`` says at which events an action can act.
    """
    raise NotImplementedError
