"""``--plugin FILE``, which may stand before or after a verb, and the plugins that the verb can use."""

from __future__ import annotations

from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import click

from ..errors import PluginError

if TYPE_CHECKING:
    from ..plugin import Plugins
    from ..plugin.registry import Offer

_GIVEN, _IN_USE = "ebpfnn.plugin_files", "ebpfnn.plugins"


def _remember(context: click.Context, _parameter: click.Parameter, paths: tuple[str, ...]) -> None:
    context.meta[_GIVEN] = (*context.meta.get(_GIVEN, ()), *map(Path, paths))


plugin_option = click.option(
    "--plugin",
    metavar="FILE",
    multiple=True,
    expose_value=False,
    callback=_remember,
    help="Execute this Python file or package, and use the plugin in it. Can be repeated.",
)


def available() -> Plugins:
    """The installed plugins and those of ``--plugin``. Raises as :meth:`Plugins.installed` does."""
    from ..plugin import Plugins

    meta = click.get_current_context().meta
    meta[_IN_USE] = Plugins.installed(files=meta.get(_GIVEN, ()))
    found: Plugins = meta[_IN_USE]
    return found


def blame(context: click.Context, error: BaseException) -> PluginError | None:
    """The message for an exception from a plugin in use. None for other exceptions.

    The innermost plugin that was running is named. Plugins that ship with ebpfnn do not count.
    """
    from ..plugin.blaming import failed, modules_of

    plugins: Plugins | None = context.meta.get(_IN_USE)
    offers = [offer for registry in plugins.registries.values() for offer in registry.offers] if plugins else []
    modules: dict[str, Offer[Any]] = {name: offer for offer in offers for name in modules_of(offer)}
    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        offer = modules.get(frame.f_globals.get("__name__", ""))
        if offer and not offer.distribution.startswith("ebpfnn "):
            return failed(offer, error)
    return None
