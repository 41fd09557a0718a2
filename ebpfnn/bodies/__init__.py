"""The kinds of models, and the file that holds one. docs/plugins.md tells how a plugin adds a kind."""

from .kinds import BUILT_IN, AnyKind, kind_of

__all__ = ["BUILT_IN", "AnyKind", "kind_of"]
