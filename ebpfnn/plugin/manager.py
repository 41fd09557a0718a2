"""The triggers, input sources, kinds of preparation, reducers, encoders and kinds of models of all plugins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from ..compiler import BodyKind
from ..errors import InputError, PluginError, UsageError
from ..events.reducer import Reducer
from ..preparation.encoder import Encoder
from .actions import Action
from .discovery import DISABLE, BrokenPlugin, check_hooks, describe, disabled_by, make_manager, register_installed
from .from_file import register_files
from .registry import Kind, Offer, Registry
from .samples import InputSource, PreparationKind, Wanted
from .types import Trigger

if TYPE_CHECKING:
    from ..network.inputformat import InputFormat
    from ..network.preparation import Preparation


class Plugins:
    """Everything that the plugins registered with ``manager`` provide.

    ``offered_triggers``, ``offered_inputs`` and so on hold all of it with its origin, ``broken`` the plugins that could not be
    used. ``distributions`` maps the name of a plugin to its distribution.

    Raises :class:`PluginError` for a plugin that implements a hook that does not exist.
    """

    def __init__(
        self, manager: pluggy.PluginManager, distributions: Mapping[str, str] | None = None, broken: Iterable[BrokenPlugin] = ()
    ) -> None:
        check_hooks(manager)
        self.offered_triggers: Registry[Trigger] = Registry("trigger")
        self.offered_inputs: Registry[InputSource] = Registry("input")
        self.offered_preparations: Registry[PreparationKind] = Registry("preparation")
        self.offered_reducers: Registry[Reducer] = Registry("reducer")
        self.broken = list(broken)
        self.offered_encoders: Registry[Encoder] = Registry("encoder")
        self.offered_actions: Registry[Action] = Registry("action")
        self.offered_bodies: Registry[BodyKind[Any]] = Registry("kind of models")
        for name, plugin in manager.list_name_plugin():
            distribution = (distributions or {}).get(name, "not installed")
            try:
                self._add(manager, plugin, name, distribution)
            except (Exception, SystemExit) as error:  # foreign code: whatever it raises, the other plugins still work
                self.broken.append(BrokenPlugin(name, distribution, describe(error)))

    def _add(self, manager: pluggy.PluginManager, plugin: object, name: str, distribution: str) -> None:
        """Adds what one plugin offers: all of it, or nothing if one of its hooks fails."""
        triggers: list[Trigger] = _collect(manager, plugin, "ebpfnn_triggers", Trigger)
        inputs: list[InputSource] = _collect(manager, plugin, "ebpfnn_inputs", InputSource)
        kinds: list[PreparationKind] = _collect(manager, plugin, "ebpfnn_preparations", PreparationKind)
        reducers: list[Reducer] = _collect(manager, plugin, "ebpfnn_reducers", Reducer)
        encoders: list[Encoder] = _collect(manager, plugin, "ebpfnn_encoders", Encoder)
        actions: list[Action] = _collect(manager, plugin, "ebpfnn_actions", Action)
        bodies: list[BodyKind[Any]] = _collect(manager, plugin, "ebpfnn_bodies", BodyKind)
        self.offered_triggers.extend(triggers, name, distribution)
        self.offered_inputs.extend(inputs, name, distribution)
        self.offered_preparations.extend(kinds, name, distribution)
        self.offered_reducers.extend(reducers, name, distribution)
        self.offered_encoders.extend(encoders, name, distribution)
        self.offered_actions.extend(actions, name, distribution)
        self.offered_bodies.extend(bodies, name, distribution)

    @classmethod
    def installed(cls, environ: Mapping[str, str] = os.environ, files: Iterable[Path] = ()) -> Plugins:
        """The installed plugins and those in ``files``, without those that the environment variable ``EBPFNN_DISABLE`` names.

        ``files`` are executed, and replace installed plugins of the same names. Raises :class:`PluginError` for a plugin that
        implements a hook that does not exist, and for one of ``files`` that cannot be used.
        """
        manager = make_manager()
        distributions, broken = register_installed(manager, environ)
        given = register_files(manager, files, disabled_by(environ))
        plugins = cls(manager, {**distributions, **given}, [each for each in broken if each.name not in given])
        for each in plugins.broken:
            if each.name in given:
                raise PluginError(f"{each.distribution}: plugin '{each.name}' cannot be used: {each.reason}")
        return plugins

    @property
    def triggers(self) -> dict[str, Trigger]:
        """The triggers by name, without names that are offered twice."""
        return self.offered_triggers.items

    @property
    def inputs(self) -> dict[str, InputSource]:
        """The input sources by name, without names that are offered twice."""
        return self.offered_inputs.items

    @property
    def preparations(self) -> dict[str, PreparationKind]:
        """The kinds of preparation by name, without names that are offered twice."""
        return self.offered_preparations.items

    @property
    def reducers(self) -> dict[str, Reducer]:
        """The reducers by name, without names that are offered twice."""
        return self.offered_reducers.items

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders of columns by name, without names that are offered twice."""
        return self.offered_encoders.items

    @property
    def bodies(self) -> dict[str, BodyKind[Any]]:
        """The kinds of models by name, without names that are offered twice."""
        return self.offered_bodies.items

    @property
    def actions(self) -> dict[str, Action]:
        """The actions by name, without names that are offered twice."""
        return self.offered_actions.items

    def action(self, written: str) -> Action:
        """The action that is written as NAME or NAME:VALUE.

        Raises :class:`PluginError` if no plugin, or more than one, offers an action of this name, and what
        :meth:`Action.taking` raises.
        """
        name, _, value = written.partition(":")
        return self._named(self.offered_actions, name).taking(value)

    @property
    def registries(self) -> dict[str, Registry[Any]]:
        """Everything that is offered, by the word for it that ``ebpfnn plugins`` shows."""
        return {
            "trigger": self.offered_triggers,
            "input": self.offered_inputs,
            "preparation": self.offered_preparations,
            "reducer": self.offered_reducers,
            "encoder": self.offered_encoders,
            "body": self.offered_bodies,
            "action": self.offered_actions,
        }

    @property
    def warnings(self) -> list[str]:
        """The problems of the plugins, one line each."""
        clashes = [clash for registry in self.registries.values() for clash in registry.clashes]
        return [*map(str, self.broken), *map(str, clashes)]

    def trigger(self, name: str) -> Trigger:
        """Raises :class:`PluginError` if no plugin, or more than one, offers a trigger called ``name``."""
        return self._named(self.offered_triggers, name)

    def wanted(self, form: InputFormat, *, split: bool = False) -> Wanted:
        """An object that makes samples of ``form``, by the kind that its preparation names.

        Raises :class:`UsageError` if no plugin offers that kind, :class:`PluginError` if two do, and :class:`ModelError` if the
        kind does not accept the form or the options.
        """
        kind = self._named(self.offered_preparations, form.preparation.kind)
        return Wanted(form, kind.with_encoders(self.encoders), split=split)

    def describe(self, preparation: Preparation) -> str:
        """How samples are made, on one line. For a kind that is not installed, its name."""
        kind = self.preparations.get(preparation.kind)
        return (
            kind.with_encoders(self.encoders).describe(preparation)
            if kind
            else f"{preparation.kind} (its plugin is not installed)"
        )

    def input_for(self, uri: str, head: bytes, name: str | None = None, kind: str = "") -> InputSource:
        """The input source for ``uri``, whose first bytes are ``head``: the one named, or the one that claims it.

        ``kind`` is the network's preparation. If several sources claim the file, only those for this kind count. Raises
        :class:`InputError` if no source claims it, :class:`PluginError` if two do or none has the name.
        """
        if name is not None:
            return self._named(self.offered_inputs, name)
        claiming = [offer.item for offer in self.offered_inputs.offers if _accepts(offer, uri, head)]
        for_kind = [each for each in claiming if kind in each.preparations]
        for_any = [each for each in claiming if not each.preparations]
        claims = sorted({each.name for each in for_kind or for_any or claiming})
        shown = "standard input" if uri == "-" else uri
        if not claims:
            read = ", ".join(self.inputs) or "none"
            raise InputError(
                f"{shown}: not in a format that an installed input reads ({read}); give one of these, or see `ebpfnn plugins`"
            )
        if len(claims) > 1:
            raise PluginError(f"{shown}: claimed by the inputs {' and '.join(claims)}; choose one with --input NAME")
        return self.offered_inputs.get(claims[0])

    def _named(self, registry: Registry[Kind], name: str) -> Kind:
        """As :meth:`Registry.get`. If no plugin offers ``name``, the error lists broken plugins, which may have offered it."""
        try:
            return registry.get(name)
        except UsageError as unknown:
            if str(unknown).endswith("?"):
                raise
            raise UsageError("; ".join(map(str, [unknown, *self.broken]))) from None


def configured(trigger: Trigger, options: Mapping[str, str]) -> Trigger:
    """``trigger`` with ``options``. Raises :class:`UsageError` for an unknown option, with the list of known ones."""
    unknown = sorted(set(options) - set(trigger.options))
    if unknown:
        known = ", ".join(sorted(trigger.options)) or "none at all"
        raise UsageError(f"trigger '{trigger.name}' has no option '{unknown[0]}'; its options: {known}")
    return trigger.with_options(options) if options else trigger


def why_not(trigger: Trigger) -> str | None:
    """None if this kernel can run ``trigger``, else the reason. A trigger whose check fails cannot run."""
    try:
        return trigger.supported()
    except Exception as error:  # foreign code: a trigger that raises cannot run
        return describe(error)


def _collect(manager: pluggy.PluginManager, plugin: object, hook: str, kind: type[object]) -> list[Any]:
    others = [other for other in manager.get_plugins() if other is not plugin]
    items = [item for result in manager.subset_hook_caller(hook, others)() for item in result]
    for item in items:
        if not isinstance(item, kind) or not isinstance(getattr(item, "name", None), str):
            raise TypeError(f"{hook} gave {item!r}, which is not a {kind.__name__} with a name")
    return items


def _accepts(offer: Offer[InputSource], uri: str, head: bytes) -> bool:
    try:
        return offer.item.accepts(uri, head)
    except Exception as error:  # foreign code: the message names the plugin
        remedy = f"leave it out with {DISABLE}={offer.plugin}"
        raise PluginError(f"input '{offer.item.name}' of {offer} failed: {describe(error)}; {remedy}") from error
