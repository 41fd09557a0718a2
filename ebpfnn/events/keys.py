"""The keys of states: which fields they are made of, and their bytes. docs/events.md defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .fields import Field

FLOW, DIRECTED, SOURCE, DESTINATION = NAMED = ("flow", "flow.directed", "source", "destination")
"""The keys that have names."""
_ADDRESS, _MAPPED = 16, (1 << 48) - (1 << 32)
_ENDS = {
    SOURCE: {"version": "u8", "source": "u32", "source_high": "u64", "source_low": "u64"},
    DESTINATION: {"version": "u8", "destination": "u32", "destination_high": "u64", "destination_low": "u64"},
}
_TRANSPORT = {"source_port": "u16", "destination_port": "u16", "protocol": "u8"}

Values = Mapping[str, int]
End = tuple[int, int, int]
"""The first and the last 64 bits of an address, and the port: in this order ends are compared."""


def needed(key: str) -> Mapping[str, str]:
    """The fields that a named key is made of, with their types."""
    if key in _ENDS:
        return _ENDS[key]
    return _ENDS[SOURCE] | _ENDS[DESTINATION] | _TRANSPORT


def size(key: str | tuple[str, ...], fields: Sequence[Field]) -> int:
    """The bytes of a key, before it is filled up to a multiple of 8. ``fields`` are those of a key that is a list."""
    if not isinstance(key, str):
        return sum(field.size for field in fields)
    return _ADDRESS if key in _ENDS else 2 * _ADDRESS + 2 * 2 + 1


def padded(count: int) -> int:
    """``count``, up to a multiple of 8."""
    return -(-count // 8) * 8


def packer(key: str | tuple[str, ...], fields: Sequence[Field]) -> Callable[[Values], bytes]:
    """A function that makes the key's bytes of an event's fields."""
    if isinstance(key, str):
        return _PACKERS[key]
    parts = [(field.name, field.size, (1 << 8 * field.size) - 1) for field in fields]
    filler = bytes(-sum(field.size for field in fields) % 8)
    return lambda values: b"".join((values[name] & mask).to_bytes(count, "little") for name, count, mask in parts) + filler


def from_lower(values: Values) -> bool:
    """Whether the source of a packet is the lower of its two ends. If they are equal, it is."""
    return _end(values, SOURCE) <= _end(values, DESTINATION)


def _end(values: Values, side: str) -> End:
    version, port = values["version"], values[f"{side}_port"]
    if version == 4:
        return 0, _MAPPED + values[side], port
    return (values[f"{side}_high"], values[f"{side}_low"], port) if version == 6 else (0, 0, port)


def _flow(values: Values) -> bytes:
    one, other = _end(values, SOURCE), _end(values, DESTINATION)
    return _pair(one, other, values) if one <= other else _pair(other, one, values)


def _directed(values: Values) -> bytes:
    return _pair(_end(values, SOURCE), _end(values, DESTINATION), values)


def _pair(one: End, other: End, values: Values) -> bytes:
    ports = one[2] | other[2] << 16 | values["protocol"] << 32
    return _address(one) + _address(other) + ports.to_bytes(8, "little")


def _address(end: End) -> bytes:
    return (end[1] | end[0] << 64).to_bytes(_ADDRESS, "little")


def _alone(side: str) -> Callable[[Values], bytes]:
    return lambda values: _address(_end({f"{side}_port": 0, **values}, side))


_PACKERS: Mapping[str, Callable[[Values], bytes]] = {
    FLOW: _flow,
    DIRECTED: _directed,
    SOURCE: _alone(SOURCE),
    DESTINATION: _alone(DESTINATION),
}
