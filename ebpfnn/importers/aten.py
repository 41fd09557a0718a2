"""A graph of PyTorch's ATen operators as a chain of steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import expect
from . import aten_in_place, aten_steps, building
from .aten_operators import CONSTANTS, MAKERS, RESHAPES, SAME, Operands
from .flow import Flow
from .program import Call, Program
from .steps import Chain, naming
from .values import Values

FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})
_REMEDY = "Linear, Conv2d, pooling, batch normalization, ReLU, LeakyReLU, clamps, dropout and flattening can be"
_WITHOUT_EFFECT = frozenset(
    "aten." + name
    for name in (
        "sym_size",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
        "_assert_scalar",
        "_assert_async",
        "_assert_tensor_metadata",
    )
)
"""What only checks or measures: where a shape matters, the exporter has noted it."""
_PASSED_ON = frozenset({"getitem", *SAME, "aten.dropout", "aten.dropout_", "aten.feature_dropout"})
_SOFTMAX = frozenset({"aten.softmax", "aten._softmax", "aten.log_softmax", "aten._log_softmax"})
_SIGMOID = frozenset({"aten.sigmoid", "aten.sigmoid_"})
"""They leave the order of the scores as it is, and the label with it; ebpfnn computes its own from the logits."""


def to_chain(program: Program) -> Chain:
    """The steps of ``program``. Raises :class:`ModelError`, naming the node, for what cannot be imported."""
    _, *sizes = program.shape or (None,)
    if not sizes or None in sizes:
        raise ModelError(f"input {program.input!r} has sizes {list(program.shape)}; fix all but the first, the batch")
    if program.dtype not in FLOATS | {"uint8"}:
        raise ModelError(f"input {program.input!r} is {program.dtype}; export with float32 or uint8")
    chain = building.begin(tuple(map(int, filter(None, sizes))), bytes_given=program.dtype == "uint8")
    calls = list(aten_in_place.without(program.calls))
    needed, ends = _needed(program, calls)
    taken = [call.taken for call in calls if call.name in needed and not _measures(call)]
    walk = _Walk(program, Flow(program.input, Values.of(chain, guesses=False), taken), dict(program.constants), ends)
    for number, call in enumerate(calls, 1):
        here = f"node {number} of {len(calls)}, {call.name!r} ({call.op}),"
        with naming(here):
            if call.name in needed:
                walk.take(call, here)
    return walk.flow.scores(program.output)


def _measures(call: Call) -> bool:
    return call.op in _WITHOUT_EFFECT or call.op.startswith("_operator.")


def _needed(program: Program, calls: list[Call]) -> tuple[frozenset[str], frozenset[str]]:
    """The nodes that lead to the output, and those behind which nothing but another shape comes."""
    makers = {call.name: call for call in calls}
    found, waiting = set[str](), [program.output]
    while waiting:
        call = makers.get(waiting.pop())
        if call and call.name not in found:
            found.add(call.name)
            waiting += call.taken
    ends, name = {program.output}, program.output
    while name in makers and makers[name].op in _PASSED_ON | RESHAPES and makers[name].taken:
        name = makers[name].taken[0]
        if name in ends:
            break
        ends.add(name)
    return frozenset(found), frozenset(ends)


@dataclass
class _Walk:
    """``ends`` are the nodes behind which nothing but another shape comes; ``sizes`` those that only measure."""

    program: Program
    flow: Flow
    constants: dict[str, NDArray[Any]]
    ends: frozenset[str]
    sizes: set[str] = field(default_factory=set)

    def take(self, call: Call, where: str) -> None:
        if _measures(call):
            self.sizes.add(call.name)
            return
        given = self.flow.given(call.taken)
        known = (self.flow.shapes, self.constants, self.sizes)
        unknown = next((name for name in call.taken if not any(name in held for held in known)), None)
        if unknown is not None:
            raise ModelError(f"{where} takes {unknown!r}, which no node before it gives; export the graph again")
        on = Operands(call, where, (), given[0] if given else "", self.program.shape[0], self.constants)
        if len(given) > 1:
            self.flow.give(call.name, aten_steps.join(self.flow.take(given, where), on))
        elif given:
            (values,) = self.flow.take(given, where)
            self._follow(values, on)
            self.flow.give(call.name, values)
        elif call.op in CONSTANTS:
            self.constants[call.name] = CONSTANTS[call.op](on)
        else:
            raise ModelError(f"{where} makes a constant in a way that is not known; compute it before the export")

    def _follow(self, values: Values, on: Operands) -> None:
        op, last = on.call.op, on.call.name in self.ends
        if values.ended:
            expect(last, values.followed)
        elif op in _SOFTMAX or (op in _SIGMOID and last):
            values.ended, values.bounded = on.where, op in _SIGMOID
        elif op in MAKERS or op in aten_steps.WITHOUT_MAKERS:
            aten_steps.take(values, on)
        elif op not in _PASSED_ON:
            raise ModelError(f"{on.where} cannot be imported; {_REMEDY}")
        elif on.get("dtype") not in {None, *FLOATS}:
            raise ModelError(f"{on.where} casts to {on.get('dtype')}; only floats can be imported")
