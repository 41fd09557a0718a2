"""A network as instructions: each layer in turn, by the plan that was made for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ..abi import RESULT
from ..errors import ModelError, ObjectError
from ..layers import Conv2d, Dense, Layer, MaxPool, Shape, Window
from ..network import QuantizedNetwork
from ..obj.asm import R0, R1, R2, R10
from .accumulate import Products
from .body import Body
from .conv import emit_conv
from .dense_layer import emit_dense
from .emitter import OUTCOME, SAMPLE, STACK, Emitter
from .features import NEWEST, KernelFeatures
from .frames import Note
from .levels import emit_levels, level_cost
from .lookup import find_lookup
from .memory import emit_edged_copy, emit_fill
from .plan import LISTED, PLANS, STRAIGHT, DensePlan, conv_shape, plan_conv, plan_dense
from .pool import emit_pool
from .scores import SCORES, emit_label
from .sidebyside import SideBySide, emit_sample, from_layer, layer_weights, sample_weights
from .values import NO_EDGE, SLACK, Values

MOST_WALKED = 900_000
"""Of the million instructions that Linux walks (BPF_COMPLEXITY_LIMIT_INSNS): this is an estimate, and shells take some."""
MOST_FORKS = 7_500
"""Of the 8,192 branches that the verifier can put off (BPF_COMPLEXITY_LIMIT_JMP_SEQ)."""
MOST_TABLES = 56
"""Of the 64 maps that a program may use (MAX_USED_MAPS); shells have some."""
_FARTHEST_JUMP = 32_000


@dataclass(frozen=True)
class LayerPlan:
    """What was decided for a layer: the ``shape`` of its code, its lanes and tiles, and what came of it.

    ``segments`` are where lanes are flushed, in inputs of a tile that have weights.
    """

    layer: int
    shape: str
    lanes: str
    words: int
    tiles: int
    segments: tuple[int, ...]
    iterated: bool
    instructions: int
    table_bytes: int


class _Mark(NamedTuple):
    """How far code and tables had come."""

    instructions: int
    table_bytes: int


@dataclass(frozen=True)
class Compiled(Body):
    """A body, and what the compiler has to say of it: the plan of each layer, and what the instructions are for, in order.

    ``stack`` are the bytes of it that the body takes.
    """

    stack: int
    layers: tuple[LayerPlan, ...]
    notes: tuple[Note, ...]


def compile_network(network: QuantizedNetwork, features: KernelFeatures = NEWEST, plan: str | None = None) -> Compiled:
    """``ebpfnn_infer`` for ``network`` and a kernel that has ``features``.

    The plan of each layer is the cheapest by :mod:`ebpfnn.compiler.cost`; ``plan`` names a shape, "straight", "listed" or
    "rows", to be taken wherever it can be.

    Raises :class:`ModelError` for a name that is none, and, naming the layer, for a network past a limit.
    """
    if plan not in (None, *PLANS):
        raise ModelError(f"plan '{plan}' is not known; known are {', '.join(PLANS)}")
    straight: frozenset[int] = frozenset()
    while True:
        compiling = _Compiling(network, features, plan, straight)
        try:
            return compiling.compile()
        except _TooMuchToWalk:
            listed = [found for found in compiling.layers if found.shape == LISTED and found.layer not in straight]
            if not listed:
                raise
            straight |= {max(listed, key=lambda found: found.instructions).layer}
        except _TooDeep:
            if features.iterators or not features.callbacks:
                raise
            features = replace(features, callbacks=False)


class _TooMuchToWalk(ModelError):
    """The verifier would not come to the end; without lists it may."""


class _TooDeep(ModelError):
    """The stack is too small; without callbacks, which have frames of their own, it may be enough."""


class _Compiling:
    """One attempt; layers that are to be ``straight`` have no list."""

    def __init__(
        self, network: QuantizedNetwork, features: KernelFeatures, plan: str | None, straight: frozenset[int] = frozenset()
    ) -> None:
        self.network, self.features, self.plan, self.straight = network, features, plan, straight
        self.emit = Emitter(features)
        self.layers: list[LayerPlan] = []
        self.dense_plans: dict[int, DensePlan] = {}

    def compile(self) -> Compiled:
        emit = self.emit
        emit.note("the arguments, for whom registers are too few")
        emit.store("u64", R10, SAMPLE, R1)
        emit.store("u64", R10, OUTCOME, R2)
        values: Values | None = None
        for number, layer in enumerate(self.network.layers):
            emit.layer = number
            try:
                values = self._layer(number, layer, values)
                self._check()
            except (ModelError, ObjectError) as error:
                kind = type(error) if isinstance(error, ModelError) else ModelError
                raise kind(f"network '{self.network.name}': layer {number} {error}") from error
        emit.layer = -1
        emit_label(emit, len(self.network.labels))
        emit.mov(R0, 0)
        emit.exit()
        spec = emit.spec(self.network.name)
        return Compiled(spec, emit.workspace, emit.stack_used, tuple(self.layers), tuple(emit.notes))

    def _layer(self, number: int, layer: Layer, values: Values | None) -> Values:
        density = self.network.density[number] if self.network.density else None
        if isinstance(layer, Dense):
            return self._dense(number, layer, values)
        given = emit_levels(self.emit, self.network.input) if values is None else values
        if isinstance(layer, Conv2d):
            return self._conv(number, layer, given, density)
        return self._pool(number, layer, given)

    def _check(self) -> None:
        """Refuses here what the kernel would refuse later, and with less to say of it."""
        emit = self.emit
        if emit.stack_used > STACK:
            raise _TooDeep(f"needs {emit.stack_used} bytes of stack; there are {STACK}; use narrower lanes or layers")
        if len(emit.tables) > MOST_TABLES:
            raise ModelError(f"needs table {len(emit.tables)} of the network; a program takes {MOST_TABLES}; use fewer layers")
        if RESULT.itemsize + emit.workspace > self.features.largest_table:
            fact = f"needs {emit.workspace} bytes behind a result; the kernel takes {self.features.largest_table}"
            raise ModelError(f"{fact}; use a smaller image, or fewer channels")
        if emit.farthest_jump > _FARTHEST_JUMP:
            fact = f"needs a jump over {emit.farthest_jump} instructions; at most {_FARTHEST_JUMP} go"
            raise ModelError(f"{fact}; use fewer channels, or a smaller window")
        remedy = "use a smaller layer, or a kernel with bpf_loop (Linux 5.17) or bpf_iter_num (6.4)"
        if emit.walked > MOST_WALKED:
            raise _TooMuchToWalk(f"takes the verifier past some {emit.walked} instructions; it walks {MOST_WALKED}; {remedy}")
        if emit.forks > MOST_FORKS:
            raise _TooMuchToWalk(f"makes the verifier put off {emit.forks} branches; it keeps {MOST_FORKS}; {remedy}")

    def _describe(self, shape: str, products: Products | None, before: _Mark, *, iterated: bool) -> None:
        """Adds a :class:`LayerPlan` for what was written since ``before``."""
        emit = self.emit
        tables = sum(map(len, emit.tables.values())) - before.table_bytes
        lanes = f"{products.lanes.count}x{products.lanes.bits}" if products else ""
        words, tiles, ends = (products.words, products.tiles, products.ends) if products else (0, 0, ())
        instructions = emit.written - before.instructions
        self.layers.append(LayerPlan(emit.layer, shape, lanes, words, tiles, ends, iterated, instructions, tables))

    def _mark(self) -> _Mark:
        return _Mark(self.emit.written, sum(map(len, self.emit.tables.values())))

    def _plan(self, number: int, layer: Dense) -> DensePlan:
        """That of a dense layer, which the layer before may want to know."""
        if number not in self.dense_plans:
            low, high = self.network.ranges[number]
            density = self.network.density[number] if self.network.density else None
            grouped = self._side_by_side(number, layer)
            spread = level_cost(self.network.input) if number == 0 else 0.0
            name = STRAIGHT if number in self.straight else self.plan
            plan = plan_dense(layer, low, high, density, self.features, name=name, grouped=grouped, spread=spread)
            self.dense_plans[number] = replace(plan, iterated=plan.iterated and not self._is_last(number))
        return self.dense_plans[number]

    def _side_by_side(self, number: int, layer: Dense) -> tuple[SideBySide, ...]:
        """The weights of a dense layer as rows may want them."""
        if number == 0:
            return sample_weights(self.network.input, layer)
        before, given = self.network.layers[number - 1], layer_weights(layer, *self.network.ranges[number])
        if not given or not isinstance(before, Dense):
            return ()
        products = self._plan(number - 1, before).products
        if not find_lookup(before, products):
            return ()
        return tuple(each for each in given if products.tiles == 1 or products.width % each.levels == 0)

    def _level_bits(self, number: int) -> int | None:
        """Of each output of a layer, where the layer behind it takes them as levels."""
        following = None if self._is_last(number) else self.network.layers[number + 1]
        shape = self._plan(number + 1, following).rows if isinstance(following, Dense) else None
        return shape.bits if shape else None

    def _dense(self, number: int, layer: Dense, values: Values | None) -> Values:
        before = self._mark()
        form = self.network.input
        plan = self._plan(number, layer)
        if plan.rows and values is None:
            values = emit_sample(self.emit, form, gathered=plan.products.tiles > 1)
        elif values is None:
            values = emit_levels(self.emit, form)
        elif plan.rows:
            values = from_layer(values, plan.rows.bits)
        values = replace(values, shape=(values.size,))
        output = self._output(number, (layer.outputs,), plan.products.tiles * plan.products.width)
        emit_dense(self.emit, layer, plan, values, output.place, self._width(number), self._level_bits(number))
        self._describe(plan.shape, plan.products, before, iterated=plan.iterated)
        return output

    def _conv(self, number: int, layer: Conv2d, values: Values, density: float | None) -> Values:
        before = self._mark()
        low, high = self.network.ranges[number]
        shape = conv_shape(layer, low, density, self.features, self.plan)
        given = self._edged(values, layer.window, layer.pad_value, copied=shape.skips_rows and values.place.slot == SAMPLE)
        output = self._output(number, layer.output_shape(values.shape))
        groups = plan_conv(layer, low, high, density if shape.skips_rows else None)
        emit_conv(self.emit, layer, groups, given, output, self._width(number), shape)
        self._describe("windows" + (" but blank rows" if shape.skips_rows else ""), groups[0], before, iterated=shape.iterated)
        return output

    def _pool(self, number: int, layer: MaxPool, values: Values) -> Values:
        before = self._mark()
        given = self._edged(values, layer.window, values.low, copied=False)
        output = self._output(number, layer.output_shape(values.shape))
        emit_pool(self.emit, layer, given, output)
        self._describe("pool", None, before, iterated=False)
        return output

    def _edged(self, values: Values, window: Window, fill: int, *, copied: bool) -> Values:
        """The values with the edge that ``window`` wants: theirs already, or in a copy."""
        if values.edge == window.padding and not copied:
            return values
        edged = replace(values, edge=window.padding)
        edged = replace(edged, place=self.emit.region(edged.bytes + SLACK))
        if any(window.padding):
            emit_fill(self.emit, edged.place, edged.bytes, fill)
        emit_edged_copy(self.emit, values, edged)
        return edged

    def _output(self, number: int, shape: Shape, size: int = 0) -> Values:
        """Where a layer's outputs go; with the edge of the layer that reads them, which is filled."""
        if self._is_last(number):
            return Values(SCORES, shape, 0, 0)
        following = self.network.layers[number + 1]
        low, high = self.network.ranges[number + 1]
        edge = NO_EDGE if isinstance(following, Dense) else following.window.padding
        output = Values(SCORES, shape, low, high, edge)
        output = replace(output, place=self.emit.region(max(size, output.bytes) + SLACK))
        if any(edge):
            emit_fill(self.emit, output.place, output.bytes, following.pad_value if isinstance(following, Conv2d) else low)
        return output

    def _is_last(self, number: int) -> bool:
        return number + 1 == len(self.network.layers)

    def _width(self, number: int) -> int:
        return 4 if self._is_last(number) else 1
