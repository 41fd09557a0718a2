"""Finds plugins: the entry points of group ``ebpfnn``. Each is loaded separately, so that a broken one affects no other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points

import pluggy

from ..errors import PluginError, nearest
from . import hookspecs
from .declared import why_another

DISABLE = "EBPFNN_DISABLE"
"""The environment variable that names plugins to leave out, separated by commas."""


HOOKS = tuple(name for name in vars(hookspecs) if name.startswith(f"{hookspecs.PROJECT}_"))
"""The names of all hooks."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be used: the ``name`` of its entry point, its distribution, and the reason."""

    name: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        remedy = f"fix it, or leave it out with {DISABLE}={self.name}"
        return f"plugin '{self.name}' ({self.distribution}) left out: {self.reason}; {remedy}"


def make_manager() -> pluggy.PluginManager:
    """A pluggy manager with ebpfnn's hooks and without plugins."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def register_installed(
    manager: pluggy.PluginManager, environ: Mapping[str, str] = os.environ
) -> tuple[dict[str, str], list[BrokenPlugin]]:
    """Registers every installed plugin that ``EBPFNN_DISABLE`` does not name.

    Returns the distribution of each registered plugin, by the plugin's name, and the broken plugins.

    Raises :class:`PluginError` for a plugin that implements a hook that does not exist.
    """
    disabled = disabled_by(environ)
    distributions: dict[str, str] = {}
    broken = []
    for point in entry_points(group=hookspecs.PROJECT):
        if point.name in disabled:
            continue
        reason = _register(manager, point)
        if reason is None:
            distributions[point.name] = distribution_of(point)
        else:
            broken.append(BrokenPlugin(point.name, distribution_of(point), reason))
    check_hooks(manager)
    return distributions, broken


def disabled_by(environ: Mapping[str, str]) -> set[str]:
    """The plugins that ``EBPFNN_DISABLE`` names."""
    return {name.strip() for name in environ.get(DISABLE, "").split(",")}


def _register(manager: pluggy.PluginManager, point: EntryPoint) -> str | None:
    """Loads and registers one plugin. Returns the reason if that fails."""
    if manager.has_plugin(point.name):
        return "another installed plugin has the same name"
    try:
        plugin = point.load()
        reason = why_another(plugin, point.module)
        if reason is not None:
            return reason
        manager.register(plugin, name=point.name)
    except (Exception, SystemExit) as error:  # foreign code: whatever it raises, the other plugins still work
        return describe(error)
    return None if manager.get_hookcallers(plugin) else "implements no hook; mark its functions with @ebpfnn.plugin.hookimpl"


def distribution_of(point: EntryPoint) -> str:
    """The distribution of an entry point, as ``name version``."""
    return _name_and_version(point.dist) if point.dist else "unknown distribution"


@cache  # either of the two parses all metadata of the distribution, including its README
def _name_and_version(distribution: Distribution) -> str:
    return f"{distribution.name} {distribution.version}"


def check_hooks(manager: pluggy.PluginManager) -> None:
    """Raises :class:`PluginError` for a hook that does not exist, so that a misspelled name is reported."""
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        callers = manager.get_hookcallers(error.plugin) or []
        unknown = next((caller.name for caller in callers if not caller.has_spec()), "")
        hint = nearest(unknown, HOOKS, alike=0.85)
        name = manager.get_name(error.plugin)
        raise PluginError(
            f"plugin '{name}': there is no hook '{unknown}'{hint}; or leave it out with {DISABLE}={name}"
        ) from None


def describe(error: BaseException) -> str:
    """An exception of foreign code as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
