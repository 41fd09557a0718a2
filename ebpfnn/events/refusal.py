"""Where in a spec something is refused: the file, the line, and the member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import ModelError

Path = tuple[str | int, ...]
"""The way to a member from the top of a spec, such as ``("column", 2, "of")``. Numbers count from 0."""


class SpecError(ModelError):
    """A spec cannot be used. ``path`` is the way to the member, as far as it is known."""

    def __init__(self, message: object, path: Path = ()) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True)
class Origin:
    """The file that a spec came from, and the lines of its members. What is missing there has the line of its table."""

    file: str
    lines: Mapping[Path, int] = field(default_factory=lambda: MappingProxyType({}))

    def located(self, error: ModelError, path: Path = ()) -> ModelError:
        """``error`` with the file, and the line if it is known. ``path`` is for an error that knows none."""
        path = error.path if isinstance(error, SpecError) else path
        while path and path not in self.lines:
            path = path[:-1]
        line = f":{self.lines[path]}" if path else ""
        return SpecError(f"{self.file}{line}: {error}", path)


@contextmanager
def place(label: str, *path: str | int) -> Iterator[None]:
    """Adds ``label`` to the message of a :class:`ModelError`, and ``path`` to the way to what it is about."""
    try:
        yield
    except ModelError as error:
        inner = error.path if isinstance(error, SpecError) else ()
        raise SpecError(f"{label}: {error}" if label else error, (*path, *inner)) from error


def shown(value: object) -> str:
    """``value`` as messages show it: a number of many digits, or a long text, would hide the rest."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
