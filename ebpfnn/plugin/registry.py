"""Offers of plugins, by name, and the errors for a name that none or more than one offers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..compiler import BodyKind
from ..errors import PluginError, UsageError, nearest
from ..events.reducer import Reducer
from ..preparation.encoder import Encoder
from .actions import Action
from .discovery import DISABLE
from .samples import InputSource, PreparationKind
from .types import Trigger

Kind = TypeVar("Kind", Trigger, InputSource, PreparationKind, Reducer, Encoder, BodyKind[Any], Action)


@dataclass(frozen=True)
class Offer(Generic[Kind]):
    """What a plugin offers, a trigger for example, with the plugin and its distribution."""

    item: Kind
    plugin: str
    distribution: str

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' ({self.distribution})"


class Registry(Generic[Kind]):
    """All offers of one kind. A name that is offered twice is an error at look-up, so that only commands that use it fail."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._offers: dict[str, list[Offer[Kind]]] = {}

    def add(self, offer: Offer[Kind]) -> None:
        self._offers.setdefault(offer.item.name, []).append(offer)

    def extend(self, items: Iterable[Kind], plugin: str, distribution: str) -> None:
        """Adds what one plugin offers."""
        for item in items:
            self.add(Offer(item, plugin, distribution))

    @property
    def names(self) -> list[str]:
        """Every name that is offered, sorted."""
        return sorted(self._offers)

    @property
    def offers(self) -> list[Offer[Kind]]:
        """Every offer, with those of the same name together."""
        return [offer for name in self.names for offer in self._offers[name]]

    @property
    def items(self) -> dict[str, Kind]:
        """The objects whose names are offered once, by name."""
        return {name: self._offers[name][0].item for name in self.names if len(self._offers[name]) == 1}

    @property
    def clashes(self) -> list[PluginError]:
        """One error for each name that is offered more than once."""
        return [self._clash(name) for name in self.names if len(self._offers[name]) > 1]

    def get(self, name: str) -> Kind:
        """Raises as :meth:`offer`."""
        return self.offer(name).item

    def offer(self, name: str) -> Offer[Kind]:
        """Raises :class:`UsageError` if no plugin offers ``name``, :class:`PluginError` if more than one does."""
        offers = self._offers.get(name, [])
        if not offers:
            known = ", ".join(self.names) or "none"
            raise UsageError(f"{self.kind} '{name}' not found; installed: {known}{nearest(name, self.names, alike=0.6)}")
        if len(offers) > 1:
            raise self._clash(name)
        return offers[0]

    def _clash(self, name: str) -> PluginError:
        offers = self._offers[name]
        owners = " and by ".join(str(offer) for offer in offers)
        return PluginError(f"{self.kind} '{name}' is offered by {owners}; leave one out with {DISABLE}={offers[-1].plugin}")
