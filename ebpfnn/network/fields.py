"""Reading JSON that tells of a network: every value's type is checked, and what is refused is named.

Ranges are checked by the dataclasses that the values go into. Every function raises :class:`ModelError`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .inputformat import InputFormat
from .layers import INT32_MAX, Requantization, Window, expect
from .preparation import Preparation

Described = Mapping[str, Any]
_Made = TypeVar("_Made")


def get(described: Described, name: str, kind: type) -> Any:
    """The value of exactly this type: JSON's true is an int to isinstance."""
    expect(type(described.get(name)) is kind, f"{name!r} must be of type {kind.__name__}")
    return described[name]


def integer(described: Described, name: str) -> int:
    value: int = get(described, name, int)
    expect(abs(value) <= INT32_MAX + 1, f"{name!r} must fit 32 bits")
    return value


def integers(described: Described, name: str) -> tuple[int, ...]:
    return tuple(integer({name: value}, name) for value in get(described, name, list))


def number(described: Described, name: str) -> float:
    value = described.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelError(f"{name!r} must be a number")
    expect(abs(value) <= sys.float_info.max, f"{name!r} must be finite")  # NaN compares false
    return float(value)


def text(described: Described, name: str) -> str:
    """A string that can be shown on one line of a terminal as it is."""
    value: str = get(described, name, str)
    expect(value.isprintable(), f"{name!r} must be printable")
    return value


def texts(described: Described, name: str) -> tuple[str, ...]:
    return tuple(text({name: value}, name) for value in get(described, name, list))


def card(described: Described) -> dict[str, str]:
    found: dict[str, Any] = get(described, "card", dict)
    return {text({"card": key}, "card"): text(found, key) for key in found}


def describe_events(events: Described) -> dict[str, Any]:
    """The member ``events`` of a description, left out if the network carries no spec."""
    return {"events": dict(events)} if events else {}


def events(described: Described) -> dict[str, Any]:
    """The spec that a network carries, checked by the network itself. Empty for a file from before specs were stored."""
    found: dict[str, Any] = get(described, "events", dict) if "events" in described else {}
    expect("events" not in described or bool(found), "'events' must hold a spec")
    return found


def describe_input(form: InputFormat) -> dict[str, Any]:
    """Without thresholds for each value, without an order, and without a preparation, where none are given."""
    described = asdict(form)
    preparation = described.pop("prepared")
    for name in ("value_thresholds", "order"):
        if not described[name]:
            del described[name]
    return {**described, "preparation": preparation} if preparation else described


def build_input(described: Described) -> InputFormat:
    shape, thresholds = integers(described, "shape"), integers(described, "thresholds")
    packed, bit_order = get(described, "packed", bool), get(described, "bit_order", str)
    own, preparation = _value_thresholds(described), build_preparation(described)
    order = integers(described, "order") if "order" in described else ()
    return InputFormat(shape, integer(described, "bits"), thresholds, packed, bit_order, own, preparation, order)


def _value_thresholds(described: Described) -> tuple[tuple[int, ...], ...]:
    name = "value_thresholds"
    if name not in described:
        return ()
    return tuple(within(f"value {n}", integers, {name: own}, name) for n, own in enumerate(get(described, name, list)))


def build_preparation(described: Described) -> Preparation | None:
    """None for a file from before preparations were stored."""
    if "preparation" not in described:
        return None
    found = get(described, "preparation", dict)
    return Preparation(text(found, "kind"), get(found, "options", dict))


def describe_window(window: Window) -> dict[str, Any]:
    return asdict(window)


def build_window(described: Described) -> Window:
    kernel, stride, padding = (integers(described, name) for name in ("kernel", "stride", "padding"))
    sizes = (len(kernel), len(stride), len(padding))
    expect(sizes == (2, 2, 4), f"'kernel', 'stride' and 'padding' must hold 2, 2 and 4 integers, not {sizes}")
    return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1], padding[2], padding[3]))


def describe_requantization(by: Requantization) -> dict[str, Any]:
    """All but its multipliers and its activation table."""
    named = {"function": by.function} if by.function else {}
    return {field: getattr(by, field) for field in ("shift", "low", "high", "zero_point", "slope")} | named


def build_requantization(
    described: Described,
    positive: NDArray[np.int32],
    negative: NDArray[np.int32],
    activation: NDArray[np.int16] | None = None,
) -> Requantization:
    shift, low, high, zero_point = (integer(described, field) for field in ("shift", "low", "high", "zero_point"))
    slope, function = number(described, "slope"), text(described, "function") if "function" in described else ""
    return Requantization(positive, negative, shift, low, high, zero_point, slope, activation, function)


def within(where: str, make: Callable[..., _Made], *arguments: Any) -> _Made:
    """What ``make`` returns; of what it refuses, ``where`` it was."""
    try:
        return make(*arguments)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
