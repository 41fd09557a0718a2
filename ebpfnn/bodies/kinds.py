"""Which kinds of models there are: those that come with ebpfnn, and those of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..compiler import BodyKind
from ..errors import ModelError, nearest
from ..network.model import Model
from ..plugin import Plugins
from ..trees.kind import Trees
from .guarded import Guarded
from .networks import Networks

AnyKind = BodyKind[Any]
BUILT_IN: Mapping[str, AnyKind] = MappingProxyType({kind.name: kind for kind in (Networks(), Trees())})


class UnknownKind(ModelError):
    """No plugin has this kind of models."""


def kind_of(model: Model, plugins: Plugins | None = None) -> AnyKind:
    """The kind of ``model``, one of ``plugins``, or of those installed if None. Raises :class:`ModelError` for none."""
    return kind_named(model.kind, plugins)


def kind_named(name: str, plugins: Plugins | None = None) -> AnyKind:
    """The kind called ``name``. Plugins are looked up only for a kind that is not built in.

    Raises as :func:`kind_of`, and :class:`~ebpfnn.errors.PluginError` for a kind that two plugins offer.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    offered = (plugins or Plugins.installed()).offered_bodies
    if name not in offered.names:
        remedy = nearest(name, offered.names) or "; install the plugin that has it, or give it with --plugin"
        raise UnknownKind(f"it is of kind {name!r}, and this ebpfnn knows {', '.join(offered.names)}{remedy}")
    return Guarded(offered.offer(name))
