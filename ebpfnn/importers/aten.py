"""A graph of PyTorch's ATen operators as a chain of steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ..errors import ModelError
from . import building
from .aten_operators import CONSTANTS, MAKERS, SAME, Operands
from .program import Call, Program
from .steps import Chain, naming

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
    walk = _Walk(program, chain, program.input, dict(program.constants))
    for number, call in enumerate(program.calls, 1):
        here = f"node {number} of {len(program.calls)}, {call.name!r} ({call.op}),"
        with naming(here):
            walk.take(call, here)
    if program.output != walk.tip:
        raise ModelError(f"output {program.output!r} is not what the last layer gives; export one output, the logits")
    return chain


@dataclass
class _Walk:
    """``tip`` is the node whose output the chain has reached; ``passed`` those before it, which nothing may take again."""

    program: Program
    chain: Chain
    tip: str
    constants: dict[str, NDArray[Any]]
    passed: set[str] = field(default_factory=set)
    ended: str = ""

    def take(self, call: Call, where: str) -> None:
        if call.op in _WITHOUT_EFFECT or call.op.startswith("_operator."):
            return
        if call.inputs & self.passed:
            raise ModelError(
                f"{where} takes a value that another takes too: the graph branches; export it as ONNX, which may branch"
            )
        operands = Operands(call, where, self.chain.shape, self.tip, self.program.shape[0], self.constants)
        if self.tip in call.inputs:
            self._follow(operands)
        elif call.op in CONSTANTS and call.inputs <= set(self.constants):
            self.constants[call.name] = CONSTANTS[call.op](operands)

    def _follow(self, on: Operands) -> None:
        if self.ended:
            raise ModelError(f"{self.ended} is followed by more nodes; a softmax or sigmoid can only be the last")
        if on.call.op in _SOFTMAX or (on.call.op in _SIGMOID and on.call.name == self.program.output):
            self.ended = on.where
            self.chain.logit = on.call.op in _SIGMOID
            self.chain.ending = "sigmoid" if self.chain.logit else "softmax"
        elif on.call.op in MAKERS:
            for step in MAKERS[on.call.op](on):
                self.chain.append(step)
        elif on.call.op not in _PASSED_ON:
            raise ModelError(f"{on.where} cannot be imported; {_REMEDY}")
        elif on.get("dtype") not in {None, *FLOATS}:
            raise ModelError(f"{on.where} casts to {on.get('dtype')}; only floats can be imported")
        self.passed.add(self.tip)
        self.tip = on.call.name
