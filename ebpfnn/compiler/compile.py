"""Compiles a network to instructions: plans first (:mod:`ebpfnn.compiler.planner`), then writes each layer by the plan."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import ModelError
from ..network import QuantizedNetwork, graph
from ..network.layers import Conv2d, Dense, Join, Layer, MaxPool, Shape, SquaredError, Table
from ..obj.asm import R0, R1, R2, R10
from .body import Body
from .conv import emit_conv
from .dense_layer import emit_dense
from .emitter import OUTCOME, SAMPLE, Emitter
from .error import emit_error
from .features import NEWEST, KernelFeatures
from .frames import Note, TooFar
from .join import emit_join
from .limits import TooDeep, TooMuchToWalk, check
from .memory import emit_edged_copy, emit_fill
from .order import in_order
from .plan import (
    BLANK_ROWS,
    BLANK_TABLES,
    LISTED,
    LISTED_TABLES,
    LISTED_WINDOWS,
    PLANS,
    AnyLayerPlan,
    ConvPlan,
    DensePlan,
    ErrorPlan,
    JoinPlan,
    NetworkPlan,
    PoolPlan,
    TablePlan,
)
from .planner import Chosen, naming, plan_network
from .pool import emit_pool
from .sample import emit_sample
from .scores import MARGIN, SCORES, emit_label
from .sidebyside import from_layer
from .table_layer import emit_table, whole_words
from .table_tail import Words
from .values import SLACK, Values, plane_size


@dataclass(frozen=True)
class LayerCode:
    """The code of one layer: its ``shape``, its lanes and tiles, and its size.

    ``stage`` is the number of its network in a cascade, from 0 on.

    ``segments`` are where lanes are flushed, in inputs of a tile that have weights. ``walked`` and ``forks`` are estimates of
    how many instructions the verifier walks, and how many branches are pending.
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
    walked: int
    forks: int
    stage: int = 0


@dataclass(frozen=True)
class Compiled(Body):
    """A body, the plan that it follows, the code of each layer, and notes that explain the instructions, in order.

    ``stack`` is the number of stack bytes that the body needs.
    """

    stack: int
    plan: NetworkPlan
    layers: tuple[LayerCode, ...]
    notes: tuple[Note, ...]

    @property
    def told(self) -> str:
        return ", ".join(f"layer {each.layer} {each.shape}" for each in self.layers)


def compile_network(
    network: QuantizedNetwork, features: KernelFeatures = NEWEST, plan: str | None = None, *, tight: bool = False
) -> Compiled:
    """Compiles ``ebpfnn_infer`` for ``network`` and a kernel that has ``features``.

    The plan of each layer is the cheapest by :mod:`ebpfnn.compiler.cost`. ``plan`` names a shape, "straight", "listed" or
    "rows", which is used wherever possible. If the code exceeds a limit of the verifier or of the stack, the network is planned
    again: tight, if it has images; without the lists or branches of the largest layer that has them; or without callbacks. A
    layer that is too long for a jump over it is planned with less of it unrolled. With ``tight``, all code is tight at once
    (:func:`~ebpfnn.compiler.planner.plan_network`).

    Raises :class:`ModelError` for an unknown ``plan``, and, naming the layer, for a network that exceeds a limit.
    """
    if plan not in (None, *PLANS):
        raise ModelError(f"plan '{plan}' is not known; known are {', '.join(PLANS)}")
    try:
        return _compile(network, features, plan, tight=tight)
    except ModelError as refusal:
        lifted = _lifted(network, features, plan)
        if not lifted:
            raise
        raise ModelError(f"{refusal}, or a kernel that has {lifted}") from refusal


def _lifted(network: QuantizedNetwork, features: KernelFeatures, plan: str | None) -> str:
    """What a kernel must have that can load the network; "" if none of these features helps."""
    for name, newer in features.newer():
        with suppress(ModelError):
            _compile(network, newer, plan)
            return name
    return ""


def _compile(network: QuantizedNetwork, features: KernelFeatures, plan: str | None, *, tight: bool = False) -> Compiled:
    """As :func:`compile_network`, for a known plan."""
    plain: Chosen = frozenset()
    short: Chosen = frozenset()
    while True:
        emission = _Emission(network, plan_network(network, features, plan, plain, short, 0, tight))
        try:
            return emission.compile()
        except TooMuchToWalk:
            if not tight and features.unwalked and _has_images(network):
                tight = True
                continue
            skipping = [each for each in emission.layers if each.shape in _SKIPPING and (each.stage, each.layer) not in plain]
            if not skipping:
                raise
            largest = max(skipping, key=lambda found: found.instructions)
            plain |= {(largest.stage, largest.layer)}
        except TooFar:
            here = emission.emit.stage, emission.emit.layer
            if here in short:
                raise
            short |= {here}
        except TooDeep:
            if features.iterators or not features.callbacks:
                raise
            features = replace(features, callbacks=False)


def _has_images(network: QuantizedNetwork) -> bool:
    return any(isinstance(layer, (Conv2d, MaxPool)) for each in network.stages for layer in each.layers)


class _Emission:
    """Writes the code of one plan. It decides nothing: offsets and registers follow from the order in which it writes."""

    def __init__(self, network: QuantizedNetwork, plan: NetworkPlan) -> None:
        self.whole, self.first = network, plan
        self.network, self.plan = in_order(network), plan
        self.emit = Emitter(plan.features, tight=plan.tight)
        self.layers: list[LayerCode] = []
        self.words: Words | None = None
        """The values that the last layer gave, if they are whole words."""
        self.held: dict[int, Values] = {}
        """What the layers of a network gave, by their numbers, and the sample."""

    def compile(self) -> Compiled:
        emit = self.emit
        emit.note("the arguments, for whom registers are too few")
        emit.store("u64", R10, SAMPLE, R1)
        emit.store("u64", R10, OUTCOME, R2)
        self._network()
        for stage in self.whole.stages:
            if stage.then and self.plan.then:
                self._or_next(stage.then.margin)
                self.network, self.plan = in_order(stage.then.network), self.plan.then
                self._network()
        emit.mov(R0, 0)
        emit.exit()
        spec = emit.spec(self.whole.name)
        return Compiled(spec, emit.workspace, emit.stack_used, self.first, tuple(self.layers), tuple(emit.notes))

    def _network(self) -> None:
        """Writes one network of the cascade, scores and label."""
        emit, self.held = self.emit, {}
        for number, layer in enumerate(self.network.layers):
            emit.layer = number
            with naming(self.network, number):
                self.held[number] = self._layer(number, layer)
                check(emit)
        emit.layer = -1
        last = self.plan.layers[-1]
        if not (isinstance(last, TablePlan) and last.labels):
            emit_label(emit, len(self.network.labels), second=self.plan.then is not None)

    def _or_next(self, margin: int) -> None:
        """Ends here unless the highest score leads by less than ``margin``. What follows is never jumped over."""
        following = self.emit.fresh("next")
        self.emit.note(f"the next network, where the label leads by less than {margin}")
        self.emit.jump_if(MARGIN, "s<", margin, following)
        self.emit.mov(R0, 0)
        self.emit.exit()
        self.emit.label(following)
        self.emit.next_stage()

    def _layer(self, number: int, layer: Layer) -> Values:
        before, plan, sources = self._written(), self.plan.layers[number], self.network.takes[number]
        if graph.SAMPLE not in self.held:
            self.held[graph.SAMPLE] = emit_sample(self.emit, self.network.input, self.plan.sample, layer)
        given = tuple(self.held[source] for source in sources)
        if isinstance(plan, DensePlan) and plan.rows and sources != (graph.SAMPLE,):
            given = (from_layer(given[0], plan.rows.bits),)
        output = self._emit(number, layer, plan, given)
        iterated = not isinstance(plan, PoolPlan | JoinPlan | ErrorPlan) and plan.iterated
        size, tables, walked, forks = (now - then for now, then in zip(self._written(), before, strict=True))
        self.layers.append(LayerCode(number, plan.shape, *_sizes(plan), iterated, size, tables, walked, forks, self.emit.stage))
        return output

    def _written(self) -> tuple[int, int, int, int]:
        """The totals so far: instructions, bytes of tables, walked instructions, and pending branches."""
        emit = self.emit
        return emit.written, sum(map(len, emit.tables.values())), emit.walked, emit.forks

    def _emit(self, number: int, layer: Layer, plan: AnyLayerPlan, taken: tuple[Values, ...]) -> Values:
        values = taken[0]
        if isinstance(layer, Dense) and isinstance(plan, DensePlan):
            output = self._output(number, (layer.outputs,), plan.products.tiles * plan.products.width)
            emit_dense(self.emit, layer, plan, replace(values, shape=(values.size,)), output.place)
        elif isinstance(layer, Conv2d) and isinstance(plan, ConvPlan):
            given = self._edged(values, layer, layer.pad_value) if plan.copied else values.within(layer.window.padding)
            shape, products = layer.output_shape(values.shape), plan.groups[0]
            channels = products.tiles * products.width if plan.over_tiles else 0
            output = self._output(number, shape, channels * plane_size(shape, plan.output.edge))
            emit_conv(self.emit, layer, plan, given, output)
        elif isinstance(layer, Table) and isinstance(plan, TablePlan):
            output = self._output(number, (layer.outputs,), 0 if plan.kept else plan.tiles * plan.words * plan.lanes.count)
            emit_table(self.emit, layer, plan, self.words or values, output.place)
            self.words = whole_words(layer, plan, output.place)
        elif isinstance(layer, MaxPool) and isinstance(plan, PoolPlan):
            given = self._edged(values, layer, values.low) if plan.copied else values.within(layer.window.padding)
            output = self._output(number, layer.output_shape(values.shape))
            emit_pool(self.emit, layer, plan, given, output)
        elif isinstance(layer, Join) and isinstance(plan, JoinPlan):
            output = self._output(number, layer.output_shape(*(each.shape for each in taken)))
            emit_join(self.emit, layer, plan, taken, output)
        elif isinstance(layer, SquaredError) and isinstance(plan, ErrorPlan):
            output = self._output(number, (1,))
            emit_error(self.emit, plan, taken)
        else:
            raise TypeError(f"a {type(plan).__name__} is no plan for a {type(layer).__name__}")
        return output

    def _edged(self, values: Values, layer: Conv2d | MaxPool, fill: int) -> Values:
        """Copies the values, with the edge that the layer's window needs."""
        edged = replace(values, edge=layer.window.padding)
        edged = replace(edged, place=self.emit.region(edged.bytes + SLACK))
        if any(layer.window.padding):
            emit_fill(self.emit, edged.place, edged.bytes, fill)
        emit_edged_copy(self.emit, values, edged)
        return edged

    def _output(self, number: int, shape: Shape, size: int = 0) -> Values:
        """Allocates at least ``size`` bytes for a layer's outputs, and fills their edge."""
        form = self.plan.layers[number].output
        if number + 1 == len(self.network.layers):
            return Values(SCORES, shape, 0, 0)
        output = Values(SCORES, shape, *self.network.ranges[number + 1], form.edge)
        output = replace(output, place=self.emit.region(max(size, output.bytes) + SLACK))
        if any(form.edge):
            emit_fill(self.emit, output.place, output.bytes, form.fill)
        return output


_SKIPPING = (LISTED, BLANK_ROWS, LISTED_WINDOWS, BLANK_TABLES, LISTED_TABLES)


def _sizes(plan: AnyLayerPlan) -> tuple[str, int, int, tuple[int, ...]]:
    """Lanes, words, tiles and segments of a layer's code."""
    if isinstance(plan, TablePlan):
        return str(plan.lanes), plan.words, plan.tiles, (plan.tables.groups,)
    products = plan.products if isinstance(plan, DensePlan) else plan.groups[0] if isinstance(plan, ConvPlan) else None
    return (str(products.lanes), products.words, products.tiles, products.ends) if products else ("", 0, 0, ())
