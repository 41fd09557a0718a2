"""Creates or finds the maps of an object: given by the caller, pinned before, or new."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ...errors import KernelError, ObjectError
from ...obj import MapSpec, ObjectSpec
from ...obj.spec import PIN_BY_NAME
from ...obj.uapi import RDONLY_PROG, MapType, enum_name
from .. import pinning
from ..cpus import possible_cpus
from ..map import Map
from ..syscall import refusal

_RINGS = (MapType.RINGBUF, MapType.USER_RINGBUF)
_OF_MAPS = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
_ATTEMPTS = 3  # at a pin that others make and remove at the same time


class MapLoader:
    """Creates the maps of one object, which ``held`` closes; also removes their new pins, unless :meth:`keep` was called.

    ``reused`` are the names of maps that existed before.
    """

    def __init__(self, spec: ObjectSpec, btf_fd: int, given: Mapping[str, Map], pin_root: Path, held: ExitStack) -> None:
        self._spec, self._btf_fd, self._given, self._pin_root, self._held = spec, btf_fd, given, pin_root, held
        self._pins = held.enter_context(ExitStack())
        self.reused = set(given)
        unknown = sorted(set(given) - set(spec.maps))
        if unknown:
            raise ObjectError(f"{spec.name}: no map '{unknown[0]}'; there are: {', '.join(sorted(spec.maps)) or 'none'}")

    def load(self) -> dict[str, Map]:
        """The maps by name. Raises :class:`ObjectError` for one that cannot be created or reused, else KernelError."""
        return {name: self._load(name, spec) for name, spec in self._spec.maps.items() if spec.autocreate}

    def keep(self) -> None:
        """Keeps the new pins."""
        self._pins.pop_all()

    def _load(self, name: str, spec: MapSpec) -> Map:
        _check_pinning(spec, self._spec.name)
        spec = sized(spec, self._spec.name)
        if name in self._given:
            check_same(spec, self._given[name], f"{self._spec.name}: map '{name}' has", "the given map")
            return self._given[name]
        if not spec.pinned:
            return self._held.enter_context(self._create(spec))
        _check_component(name, self._spec.name)
        path = self._pin_root / name
        found, is_new = open_or_pin(path, spec, lambda: self._create(spec))
        self._held.enter_context(found)
        if is_new:
            self._pins.callback(path.unlink, missing_ok=True)
        else:
            self.reused.add(name)
        return found

    def _create(self, spec: MapSpec) -> Map:
        if spec.inner is None:
            return Map.create(spec, self._btf_fd, object_name=self._spec.name)
        with Map.create(sized(spec.inner, self._spec.name), self._btf_fd) as inner:
            return Map.create(spec, self._btf_fd, inner)


def sized(spec: MapSpec, name: str) -> MapSpec:
    """``spec`` with the sizes that depend on this machine; ``name`` is that of the object.

    The size of a ring buffer is rounded up to a power of two of pages; a perf event array gets an element for every possible
    CPU. Raises :class:`ObjectError`.
    """
    if spec.type in _OF_MAPS and spec.inner is None:
        raise ObjectError(
            f"{name}: map '{spec.name}' is a map of maps without a definition of its maps; define its values with __array()"
        )
    if spec.type == MapType.PERF_EVENT_ARRAY and not spec.max_entries:
        return replace(spec, max_entries=possible_cpus())
    if spec.type in _RINGS and spec.max_entries:
        pages = -(-spec.max_entries // mmap.PAGESIZE)
        return replace(spec, max_entries=mmap.PAGESIZE << (pages - 1).bit_length())
    return spec


def open_or_pin(path: Path, spec: MapSpec, create: Callable[[], Map]) -> tuple[Map, bool]:
    """The map pinned at ``path``, or a new one that is pinned there, and whether it is new.

    If another process pins its map there at the same time, that one is used. Raises :class:`ObjectError` if the pinned map
    differs from ``spec``, :class:`~ebpfnn.errors.NotSupported` if ``path`` is not on a BPF file system, else KernelError.
    """
    for _ in range(_ATTEMPTS):
        found = _open_checked(path, spec)
        if found is not None:
            return found, False
        _make_directory(path.parent)
        created = create()
        try:
            created.pin(path)
        except KernelError as refused:
            created.close()
            if refused.errno != errno.EEXIST:
                raise
        except BaseException:
            created.close()
            raise
        else:
            return created, True
    raise KernelError(f"pin '{path}' appears and disappears; end the other process that creates and removes it", errno.EEXIST)


def check_same(spec: MapSpec, found: Map, here: str, there: str) -> None:
    """Raises :class:`ObjectError`, naming every field that differs, unless ``found`` is the map that ``spec`` describes."""
    info = found.info()
    # The kernel itself makes device maps read-only to programs (dev_map_init_map).
    own = RDONLY_PROG if spec.type in (MapType.DEVMAP, MapType.DEVMAP_HASH) else 0
    fields = (
        ("type", enum_name(MapType, spec.type), enum_name(MapType, info.type)),
        ("key_size", spec.key_size, info.key_size),
        ("value_size", spec.value_size, info.value_size),
        ("max_entries", spec.max_entries, info.max_entries),
        ("map_flags", hex(spec.flags), hex(info.map_flags & ~own | spec.flags & own)),
        ("map_extra", spec.extra, info.map_extra),
    )
    ours = ", ".join(f"{field} {value}" for field, value, other in fields if value != other)
    theirs = ", ".join(f"{field} {other}" for field, value, other in fields if value != other)
    if ours:
        raise ObjectError(f"{here} {ours}, but {there} has {theirs}; change one of them, or remove it")


def _open_checked(path: Path, spec: MapSpec) -> Map | None:
    try:
        found = Map.open(path)
    except KernelError as refused:
        if refused.errno == errno.ENOENT:
            return None
        raise
    try:
        check_same(spec, found, f"map '{spec.name}' has", f"the map pinned at '{path}'")
    except BaseException:
        found.close()
        raise
    return found


def _make_directory(path: Path) -> None:
    """A path that cannot be created, or is elsewhere, is left for the pinning to refuse."""
    try:
        if not path.exists() and pinning.is_bpffs(path):
            path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise refusal(f"directory '{path}': mkdir", fault.errno or 0) from None


def _check_pinning(spec: MapSpec, where: str) -> None:
    if spec.pinning not in (0, PIN_BY_NAME):
        remedy = (
            f"set it: spec.maps['{spec.name}'] = replace(spec.maps['{spec.name}'], pinning={PIN_BY_NAME}), by its name, or 0"
        )
        raise ObjectError(f"{where}: map '{spec.name}': pinning {spec.pinning} is not known; {remedy}")


def _check_component(name: str, where: str) -> None:
    """A map's name comes from the object: it must not lead outside the directory of the pins."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ObjectError(
            f"{where}: map {name!r} must be pinned, but this is not a valid file name; rename it, or pin it yourself"
        )
