"""What is told of a judgment: numbers, and of each difference the fewest facts by which it is found again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn import QuantizedNetwork
from ebpfnn.errors import Error
from ebpfnn.network.architecture import architecture


@dataclass
class Difference:
    """What was not as it must be: the fewest facts by which it is found again."""

    seed: int
    way: str
    fact: str
    network: str

    def __str__(self) -> str:
        return f"DIFFERENCE seed {self.seed}: {self.way}: {self.fact}\n  {self.network}"


@dataclass
class Tally:
    """What was done, in numbers, and what came of it."""

    networks: int = 0
    loads: int = 0
    samples: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)


def unequal(found: list[int], wanted: list[int]) -> str:
    places = [at for at, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other]
    some = ", ".join(f"score {at} is {found[at]}, and must be {wanted[at]}" for at in places[:3])
    return f"{len(places)} of {len(wanted)} scores differ: {some}" if places else "scores are right"


def sparse(sample: NDArray[np.uint8]) -> str:
    flat = sample.reshape(-1)
    places = np.flatnonzero(flat).tolist()
    if not places:
        return "blank"
    if len(set(flat.tolist())) == 1:
        return f"{flat[0]} everywhere"
    if len(places) <= 4:
        return " ".join(f"[{at}]={flat[at]}" for at in places)
    return f"{len(places)} of {flat.size} not 0"


def reason(refusal: Error) -> str:
    """Its public type and its words without the numbers, so that the same reasons are counted together."""
    kind = next(each.__name__ for each in type(refusal).__mro__ if not each.__name__.startswith("_"))
    words = one_line(refusal).partition(": ")[2].split(";")[0]
    return f"{kind}: " + " ".join("N" if any(map(str.isdigit, word)) else word for word in words.split())


def one_line(fault: Error) -> str:
    return " ".join(str(fault).split())


def describe(network: QuantizedNetwork) -> str:
    """All stages of a cascade, with what leads from each to the next."""
    own = _describe_stage(network)
    return f"{own}; below {network.then.margin} THEN {describe(network.then.network)}" if network.then else own


def _describe_stage(network: QuantizedNetwork) -> str:
    form = network.input
    packed = f", packed {form.bit_order}" if form.packed else ""
    order = f" in order {list(form.order)}" if form.order else ""
    thresholds = list(form.value_thresholds or form.thresholds)
    given = f"{'x'.join(map(str, form.shape))} of {form.bits} bits{packed}{order}, thresholds {thresholds}"
    layers = "; ".join(_layer(layer) for layer in network.layers)
    density = [round(share, 2) for share in network.density]
    return f"{architecture(network.layers, network.sources)}, input {given}, density {density}: {layers}"


def _layer(layer: Any) -> str:
    name, window = type(layer).__name__, getattr(layer, "window", None)
    moved = f" {window.kernel} stride {window.stride} padding {window.padding}" if window else ""
    if name == "MaxPool":
        return name + moved
    if name == "Table":
        return _table(layer)
    if name in ("Add", "Concat"):
        by, factors = layer.requantization, f"{layer.factors.tolist()} " if name == "Add" else ""
        multipliers = f"by {by.positive.tolist()} and {by.negative.tolist()}"
        return f"{name} {factors}bias {layer.bias.tolist()} {multipliers} to {_ends(by)}"
    groups = f" groups {layer.groups} pad_value {layer.pad_value}" if window else ""
    return f"{name} {list(layer.weights.shape)}{moved}{groups} to {_ends(layer.requantization)}"


def _table(layer: Any) -> str:
    by, natural = layer.requantization, [each for each in layer.order.ravel().tolist() if each >= 0]
    order = "" if natural == sorted(natural) else " in another order"
    holes = int((layer.order < 0).sum())
    to = f"bytes >> {by.shift}{', exact' if by.exact else ''}" if type(by).__name__ == "ByteLanes" else _ends(by)
    reach = f"{layer.tables.min()}..{layer.tables.max()}"
    return (
        f"Table {list(layer.tables.shape)} of {reach}, groups of {layer.order.shape[1]} of {layer.bits} bits from {layer.low}"
        f"{order}, {holes} holes, {len(layer.occupied)} occupied to {to}"
    )


def _ends(by: Any) -> str:
    return f"{by.low}..{by.high} shift {by.shift} zero_point {by.zero_point}"
