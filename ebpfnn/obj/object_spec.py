"""A whole object: read it from a file, change it, and link or load it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ObjectError
from .reader import read_file, read_object
from .spec import Contents, MapSpec, ProgramSpec, Variable


@dataclass
class ObjectSpec(Contents):
    """A whole object: its :class:`~ebpfnn.obj.spec.Contents`, and methods to change them before they are loaded."""

    @classmethod
    def from_file(cls, path: Path | str) -> ObjectSpec:
        """Reads an object that clang built. Raises :class:`ObjectError` if the file is not one."""
        return cls(**vars(read_file(Path(path))))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> ObjectSpec:
        """Reads an object that clang built from memory; ``name`` is its name in errors."""
        return cls(**vars(read_object(data, name)))

    def resize_map(self, name: str, *, value_size: int | None = None, max_entries: int | None = None) -> None:
        """Changes a map's sizes before it is created. Raises :class:`ObjectError` if there is no such map."""
        self.maps[name] = self._map(name).resized(value_size=value_size, max_entries=max_entries)

    def set_variable(self, name: str, value: bytes) -> None:
        """Sets the initial value of a global variable, also of a ``const volatile`` one.

        Raises :class:`ObjectError` if there is no such variable or ``value`` does not have exactly its size.
        """
        variable = self.variables.get(name)
        if variable is None:
            raise ObjectError(f"{self.name}: no global variable '{name}'; there are: {_listing(self.variables)}")
        if len(value) != variable.size:
            raise ObjectError(f"{self.name}: variable '{name}' takes {variable.size} bytes, not {len(value)}")
        spec = self._map(variable.map)
        contents = bytearray(spec.contents or bytes(spec.value_size))
        contents[variable.offset : variable.offset + variable.size] = value
        self.maps[variable.map] = replace(spec, contents=bytes(contents))

    def keep_programs(self, *names: str) -> None:
        """Drops every other program, and sets ``autoload`` of these, also if they are optional (``SEC("?...")``).

        Raises :class:`ObjectError` if there is no such program.
        """
        for name in names:
            if name not in self.programs:
                raise ObjectError(f"{self.name}: no program '{name}'; there are: {_listing(self.programs)}")
        self.programs = {name: replace(self.programs[name], autoload=True) for name in names}

    def _map(self, name: str) -> MapSpec:
        if name not in self.maps:
            raise ObjectError(f"{self.name}: no map '{name}'; there are: {_listing(self.maps)}")
        return self.maps[name]


def _listing(names: dict[str, object] | dict[str, MapSpec] | dict[str, ProgramSpec] | dict[str, Variable]) -> str:
    return ", ".join(sorted(names)) or "none"
