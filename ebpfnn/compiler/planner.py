"""Plans a network: one pass decides how each layer is computed, and in what form its outputs are stored.

First it chooses the code of each layer, front to back: whether a layer can take levels side by side depends on how the previous
one computes its outputs. Then each layer gets the form of outputs that the next layer needs. It writes no instructions and asks
no kernel: equal arguments give an equal plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import prod

from ..errors import ModelError, ObjectError
from ..network import QuantizedNetwork
from ..network.graph import SAMPLE, takers
from ..network.layers import Add, Concat, Conv2d, Dense, Join, Layer, MaxPool, SquaredError, Table, image_shape
from .accumulate import Products
from .blocks import plan_blocks
from .choose_conv import branches_in_loops, choose_conv, skips_rows
from .choose_conv import plan_tiles as choose_tiles
from .choose_dense import DenseChoice, choose_dense
from .choose_tables import compares, labels_beside, members_of, plan_table, registers_last, words_stay
from .conv_list import listing_size
from .error import EACH as ERROR_SIZE
from .estimate import estimate
from .features import NEWEST, KernelFeatures
from .join import join_size, plan_requantizes
from .lookup import find_lookup
from .order import in_order
from .plan import (
    CHANNELS,
    LISTED_WINDOWS,
    MOST_UNROLLED,
    STRAIGHT,
    SUM,
    AnyLayerPlan,
    Candidate,
    ConvPlan,
    DensePlan,
    ErrorPlan,
    JoinPart,
    JoinPlan,
    NetworkPlan,
    PoolPlan,
    TablePlan,
    keeps_sums,
)
from .pool import pool_size
from .positions import MOST_OF_A_WINDOW, WALKED, WALKED_IN_TIGHT_CODE, unwalked_loops
from .requantize import RequantizePlan, plan_requantize
from .sample import SampleForm, level_cost, plan_levels, plan_side_by_side
from .sidebyside import SideBySide, layer_weights, sample_weights
from .stack import stack_needed
from .tables import RowTables, plan_first, plan_later
from .values import NO_EDGE, Edge, OutputForm, plane_size

Chosen = frozenset[tuple[int, int]]
"""Layers of a cascade: the number of a network, and that of a layer."""


@contextmanager
def naming(network: QuantizedNetwork, number: int) -> Iterator[None]:
    """Refusals of a layer become a :class:`ModelError` that names the network and the layer."""
    try:
        yield
    except (ModelError, ObjectError) as error:
        kind = type(error) if isinstance(error, ModelError) else ModelError
        raise kind(f"network '{network.name}': layer {number} {error}") from error


def plan_network(
    network: QuantizedNetwork,
    features: KernelFeatures = NEWEST,
    name: str | None = None,
    plain: Chosen = frozenset(),
    short: Chosen = frozenset(),
    stage: int = 0,
    tight: bool = False,
) -> NetworkPlan:
    """The cheapest plan by :mod:`ebpfnn.compiler.cost`, or one of shape ``name`` wherever possible.

    ``plain`` layers, by stage of a cascade and index, use neither a list nor branches that skip blank rows. ``short`` layers
    also have as little unrolled code as possible: as few segments as possible, and not in a loop over their groups. ``stage``
    is the number of ``network`` itself. In ``tight`` code, clips are masks, not branches, and fewer
    iterations over positions and tiles are walked. Raises :class:`ModelError`, naming the layer, if no lane can hold its sums.
    """
    mine, few = (frozenset(number for at, number in each if at == stage) for each in (plain | short, short))
    found = _Planner(in_order(network), features, name, mine, few, margin=network.then is not None, tight=tight).plan()
    if network.then is None:
        return found
    return replace(found, then=plan_network(network.then.network, features, name, plain, short, stage + 1, tight))


class _Planner:
    def __init__(
        self,
        network: QuantizedNetwork,
        features: KernelFeatures,
        name: str | None,
        plain: frozenset[int],
        short: frozenset[int],
        *,
        margin: bool,
        tight: bool,
    ) -> None:
        self.network, self.features, self.name, self.plain, self.short = network, features, name, plain, short
        self.margin, self.tight = margin, tight
        self.walked = WALKED_IN_TIGHT_CODE if tight else WALKED
        self.takes, self.takers, self.ranges = network.takes, takers(network.takes), network.ranges
        self.alone = self.takers[SAMPLE] == (0,)
        """Whether the first layer is the only one that reads the sample, which may then be in the form that it needs."""
        self.last = len(network.layers) - 1
        self.dense: dict[int, tuple[DenseChoice, ...]] = {}
        self.convs: dict[int, tuple[tuple[Products, ...], tuple[Candidate, ...]]] = {}
        self.tables: dict[int, RowTables] = {}
        self.selecting: SampleForm | None = None

    def plan(self) -> NetworkPlan:
        for number, layer in enumerate(self.network.layers):
            with naming(self.network, number):
                if isinstance(layer, Dense):
                    self.dense[number] = self._choose_dense(number, layer)
                elif isinstance(layer, Conv2d):
                    density = self._density(number) if self._skips_rows(number, layer) else None
                    self.convs[number] = self._choose_conv(number, layer, density)
                elif isinstance(layer, Table):
                    self.tables[number] = self._select(number, layer)
        sample = self._sample()
        found = tuple(self._layer(number, layer, sample) for number, layer in enumerate(self.network.layers))
        sample, found = self._compared(sample, found)
        given = self.network, self.features, sample, found
        return NetworkPlan(
            self.features, sample, found, estimate(*given, tight=self.tight), stack_needed(*given), tight=self.tight
        )

    def _compared(self, sample: SampleForm, found: tuple[AnyLayerPlan, ...]) -> tuple[SampleForm, tuple[AnyLayerPlan, ...]]:
        """The sample unchanged, if the first layer makes its numbers itself."""
        layer, plan = self.network.layers[0], found[0]
        if not self.alone or not isinstance(layer, Table) or not isinstance(plan, TablePlan):
            return sample, found
        if not compares(plan, self.network.input, sample):
            return sample, found
        members = members_of(self.network.input, layer, sample)
        return SampleForm.COMPARED_GROUPS, (replace(plan, compared=members), *found[1:])

    def _layer(self, number: int, layer: Layer, sample: SampleForm) -> AnyLayerPlan:
        form = self._output(number)
        if isinstance(layer, Dense):
            return self._dense(number, layer, form)
        if isinstance(layer, Conv2d):
            return self._conv(number, layer, form, sample)
        if isinstance(layer, Table):
            return self._table(number, layer, form)
        if isinstance(layer, Add | Concat):
            return self._join(number, layer, form)
        if isinstance(layer, SquaredError):
            return self._error(number, form)
        return self._pool(number, layer, form)

    # What each layer is chosen by

    def _choose_dense(self, number: int, layer: Dense) -> tuple[DenseChoice, ...]:
        low, high = self._range(number)
        name = STRAIGHT if number in self.plain else self.name
        spread = level_cost(self.network.input) if number == 0 else 0.0
        grouped = self._side_by_side(number, layer)
        found = choose_dense(layer, low, high, self._density(number), self.features, name=name, grouped=grouped, spread=spread)
        if number in self.short:
            return tuple(sorted(found, key=lambda each: (each.shape != STRAIGHT, len(each.products.ends), each.cost)))
        return found

    def _choose_conv(
        self, number: int, layer: Conv2d, density: float | None
    ) -> tuple[tuple[Products, ...], tuple[Candidate, ...]]:
        positions = prod(image_shape(self.network.shapes[number + 1])[1:])
        listed = self._density(number) if self._may_list(number) else None
        short = number in self.short
        return choose_conv(layer, *self._range(number), density, short=short, listed=listed, positions=positions)

    def _may_list(self, number: int) -> bool:
        """In tight code, whose positions are in loops that are not walked; callbacks have no room on the stack."""
        return self.tight and self.features.iterators and self.name is None and number not in self.plain

    def _select(self, number: int, layer: Table) -> RowTables:
        if number or not self.alone:
            return plan_later(layer, *self._range(number))
        self.selecting, tables = plan_first(self.network.input, layer)
        return tables

    def _side_by_side(self, number: int, layer: Dense) -> tuple[SideBySide, ...]:
        """The weights of a dense layer in the order that rows need."""
        if number == 0 and self.alone:
            return sample_weights(self.network.input, layer)
        source = self.takes[number][0]
        if source == SAMPLE or self.takers[source] != (number,):
            return ()
        before, given = self.network.layers[source], layer_weights(layer, *self._range(number))
        if not given or not isinstance(before, Dense):
            return ()
        products = self.dense[source][0].products
        if not find_lookup(before, products):
            return ()
        return tuple(each for each in given if products.tiles == 1 or products.width % each.levels == 0)

    # What each layer is joined to

    def _sample(self) -> SampleForm:
        if self.selecting:
            return self.selecting
        first = self.dense[0][0] if 0 in self.dense else None
        if first and first.rows:
            return plan_side_by_side(self.network.input, first.products.tiles, listed=first.rows.listed)
        return plan_levels(self.network.input)

    def _output(self, number: int) -> OutputForm:
        """Sets the form of outputs that the next layer needs."""
        if number == self.last:
            return OutputForm(bits=32)
        taking = [(each, self.network.layers[each]) for each in self.takers[number]]
        if len(taking) > 1:
            return self._shared_output(taking)
        ((after, following),) = taking
        if isinstance(following, Table | Add | Concat | SquaredError):
            return OutputForm()
        if isinstance(following, Dense):
            rows = self.dense[after][0].rows
            levels = rows is not None and isinstance(self.network.layers[number], Dense)
            return OutputForm(rows.bits, levels=True) if rows and levels else OutputForm()
        return OutputForm(edge=following.window.padding, fill=self._fill(after, following))

    def _shared_output(self, taking: list[tuple[int, Layer]]) -> OutputForm:
        """With an edge that is wide enough for all, where all can do with one, and with the same one."""
        windows = [(after, layer) for after, layer in taking if isinstance(layer, Conv2d | MaxPool)]
        padded = [(after, layer) for after, layer in windows if any(layer.window.padding)]
        fills = {self._fill(after, layer) for after, layer in padded}
        if len(fills) != 1 or any(isinstance(layer, Dense | Table) for _, layer in taking):
            return OutputForm()
        top, left, bottom, right = (max(sides) for sides in zip(*(layer.window.padding for _, layer in padded), strict=True))
        return OutputForm(edge=(top, left, bottom, right), fill=fills.pop())

    def _fill(self, number: int, layer: Conv2d | MaxPool) -> int:
        """What stands in the padding of a layer."""
        return layer.pad_value if isinstance(layer, Conv2d) else self._range(number)[0]

    def _range(self, number: int) -> tuple[int, int]:
        """The range of what layer ``number`` is given; of a layer that joins values, the first."""
        return self.ranges[self.takes[number][0] + 1]

    def _dense(self, number: int, layer: Dense, form: OutputForm) -> DensePlan:
        best, *others = self.dense[number]
        iterated = self.features.unwalked and best.products.tiles > MOST_UNROLLED and number != self.last
        lookup = find_lookup(layer, best.products, levels=form.levels) if number != self.last else None
        return DensePlan(
            output=form,
            candidates=tuple(each.candidate for each in (best, *others)),
            shape=best.shape,
            products=best.products,
            requantize=self._requantize(number, layer),
            iterated=iterated,
            live=best.live,
            rows=best.rows,
            lookup=lookup,
        )

    def _conv(self, number: int, layer: Conv2d, form: OutputForm, sample: SampleForm) -> ConvPlan:
        groups, candidates = self.convs[number]
        listed = candidates[0].shape == LISTED_WINDOWS
        skipping = not listed and self._skips_rows(number, layer)
        shape = self.network.shapes[number + 1]
        _, rows, columns = image_shape(shape)
        blank = skipping and layer.inputs == 1 and self._range(number)[0] == 0 and layer.pad_value == 0
        apart = form.width * plane_size(shape, form.edge)
        iterated, requantize = self._iterated(number, groups), self._requantize(number, layer)
        over_tiles = iterated and len(groups) == 1
        plan_tiles = partial(
            choose_tiles,
            layer,
            positions=(rows, columns),
            apart=apart,
            features=self.features,
            asks_blank=blank and not over_tiles,
            kept=keeps_sums(requantize, iterated=iterated),
            over_tiles=over_tiles,
            listed=listed,
            most=self.walked,
        )
        tiles = plan_tiles(products=groups[0], skips=skipping)
        if skipping and branches_in_loops(tiles, self.features):
            skipping = False
            groups, candidates = self._choose_conv(number, layer, None)
            tiles = plan_tiles(products=groups[0], skips=False)
        if self.tight and iterated and not self.features.iterators:  # a third callback has no room on the stack
            tiles = tuple(replace(tile, unwalked=min(1, tile.unwalked)) for tile in tiles)
        # A load of a row may reach past a sample's end.
        beyond = skipping and self.takes[number] == (SAMPLE,) and sample is SampleForm.BYTES
        return ConvPlan(
            output=form,
            candidates=candidates,
            groups=groups,
            requantize=requantize,
            tiles=tiles,
            skips_rows=skipping,
            iterated=iterated,
            copied=beyond or self._edged(number, layer),
            listed=listed,
            unwalked_lists=unwalked_loops((rows, columns), listing_size(groups[0]), self.features, self.walked)
            if listed
            else 0,
        )

    def _iterated(self, number: int, groups: tuple[Products, ...]) -> bool:
        """Whether groups, or, in tight code, the tiles of the only one, are in a loop that is not walked."""
        if not self.features.unwalked or number in self.short:
            return False
        if len(groups) > 1:
            return len(groups) > MOST_UNROLLED
        few = 1 if self.features.iterators else MOST_UNROLLED  # of whom callbacks go over positions instead
        return self.tight and groups[0].tiles > few and number != self.last

    def _table(self, number: int, layer: Table, form: OutputForm) -> TablePlan:
        skips, kept, behind = number not in self.plain, self._behind(number), self._behind(number - 1)
        found = plan_table(layer, self.tables[number], form, self.features, skips=skips, behind=behind is not None)
        labels = number == self.last and labels_beside(found)
        stays = kept is not None and registers_last(found, kept, self.tables[number + 1])
        return replace(found, labels=labels, margin=self.margin, whole=kept is not None, kept=stays, behind=behind is not None)

    def _behind(self, number: int) -> Table | None:
        """The layer behind layer ``number``, if it takes whole words of sums."""
        layers, following = self.network.layers, number + 1
        if number not in self.tables or following not in self.tables or self.takers[number] != (following,):
            return None
        first, second, largest = layers[number], layers[following], self.features.largest_table
        tables = self.tables[following]
        stay = isinstance(first, Table) and isinstance(second, Table) and words_stay(first, second, tables, largest)
        return second if stay and isinstance(second, Table) else None

    def _pool(self, number: int, layer: MaxPool, form: OutputForm) -> PoolPlan:
        turns = image_shape(self.network.shapes[number + 1])
        unwalked = unwalked_loops(turns, pool_size(layer), self.features, self.walked)
        looped, copied = pool_size(layer) > MOST_OF_A_WINDOW, self._edged(number, layer)
        return PoolPlan(output=form, candidates=(), unwalked=unwalked, looped=looped, copied=copied)

    def _edged(self, number: int, layer: Conv2d | MaxPool) -> bool:
        """Whether the layer needs an edge that what it takes does not have, because it is a sample, or shared."""
        source = self.takes[number][0]
        return layer.window.padding != NO_EDGE and (source == SAMPLE or self._output(source).edge == NO_EDGE)

    def _error(self, number: int, form: OutputForm) -> ErrorPlan:
        shapes = self.network.given_shapes(number)
        shape = next((each for each in shapes if len(each) > 1), shapes[0])
        blocks = plan_blocks(shape, self._edges(number), ERROR_SIZE, self.features, self.walked)
        return ErrorPlan(output=form, candidates=(), blocks=blocks)

    def _edges(self, number: int) -> list[Edge]:
        """Of what layer ``number`` is given."""
        return [NO_EDGE if source == SAMPLE else self._output(source).edge for source in self.takes[number]]

    def _join(self, number: int, layer: Join, form: OutputForm) -> JoinPlan:
        shapes, sources, edges = self.network.shapes, self.takes[number], self._edges(number)
        plans = plan_requantizes(layer, tuple(self.ranges[source + 1] for source in sources))
        if isinstance(layer, Add):
            blocks = [plan_blocks(shapes[number + 1], [*edges, form.edge], join_size(plans[0]), self.features, self.walked)]
        else:
            each = zip(sources, edges, plans, strict=True)
            blocks = [
                plan_blocks(shapes[n + 1], [edge, form.edge], join_size(plan), self.features, self.walked)
                for n, edge, plan in each
            ]
        parts = tuple(map(JoinPart, plans, blocks))
        return JoinPlan(output=form, candidates=(), shape=SUM if isinstance(layer, Add) else CHANNELS, parts=parts)

    def _requantize(self, number: int, layer: Dense | Conv2d) -> RequantizePlan:
        return plan_requantize(layer, *self._range(number), masked=self.tight or not self.features.unwalked, tables=self.tight)

    def _skips_rows(self, number: int, layer: Conv2d) -> bool:
        return number not in self.plain and skips_rows(layer, self._density(number), self.name)

    def _density(self, number: int) -> float | None:
        return self.network.density[number] if self.network.density else None
