"""The fields of an event as people write them: addresses and texts are strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address

from .fields import Field
from .keyparts import decode, parts

_HIGH, _LOW, _ADDRESS = "_high", "_low", "address"


def values_of(fields: Sequence[Field], data: bytes) -> dict[str, int]:
    """The integers in the bytes of a struct with ``fields``, which is in the byte order of little-endian machines."""
    return {
        field.name: int.from_bytes(data[field.offset : field.offset + field.size], "little", signed=field.signed)
        for field in fields
    }


def written(fields: Sequence[Field], data: bytes) -> Mapping[str, int | str]:
    """The same for people. Both halves of an IPv6 address are one, which takes the place of the IPv4 address if it is not 0."""
    packed = b"".join(data[field.offset : field.offset + field.size] for field in fields)
    values, found = values_of(fields, data), decode(parts(fields), packed)
    addresses = {field.name for field in fields if field.unit == _ADDRESS}
    for name in sorted(each.removesuffix(_HIGH) for each in addresses if each.endswith(_HIGH)):
        if f"{name}{_LOW}" not in addresses:
            continue
        high, low = (values[f"{name}{half}"] for half in (_HIGH, _LOW))
        del found[f"{name}{_HIGH}"], found[f"{name}{_LOW}"]
        if high or low:
            found[name] = str(IPv6Address(high << 64 | low))
    return found
