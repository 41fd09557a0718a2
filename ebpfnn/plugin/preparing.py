"""What ``--prepare`` means."""

from __future__ import annotations

from ..errors import UsageError
from ..network.preparation import Preparation
from .manager import Plugins


def chosen(text: str, plugins: Plugins) -> Preparation | None:
    """What ``--prepare KIND:KEY=VALUE,...`` means; None for ''. Raises :class:`UsageError` and :class:`PluginError`."""
    if not text:
        return None
    name, _, rest = text.partition(":")
    kind = plugins.offered_preparations.get(name)
    options = dict(_pair(each, text) for each in rest.split(",")) if rest else {}
    for key in sorted(set(options) - set(kind.options)):
        known = ", ".join(sorted(kind.options)) or "none at all"
        raise UsageError(f"preparation '{name}' has no option '{key}'; its options: {known}")
    return Preparation(name, kind.chosen(options))


def _pair(text: str, whole: str) -> tuple[str, str]:
    key, equal, value = text.partition("=")
    if not equal:
        raise UsageError(f"preparation '{whole}': '{text}' is no option; give KIND:KEY=VALUE,KEY=VALUE")
    return key, value
