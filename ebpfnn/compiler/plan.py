"""The plan of a network: everything that is decided before the first instruction is written.

:mod:`ebpfnn.compiler.planner` creates it, :mod:`ebpfnn.compiler.compile` writes instructions that follow it, and ``ebpfnn
inspect`` prints it. It contains no offsets, stack slots and registers: they follow from the order in which code is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .accumulate import Products
from .blocks import Block
from .branches import Run
from .features import KernelFeatures
from .lanes import Lanes
from .live import Live
from .lookup import Lookup
from .partial import RowShape
from .requantize import RequantizePlan
from .rows import stays
from .sample import SampleForm
from .tables import RowTables
from .values import OutputForm

STRAIGHT, LISTED, ROWS_PLAN = "straight", "listed", "rows"
PLANS = (STRAIGHT, LISTED, ROWS_PLAN)
WINDOWS = "windows"
BLANK_ROWS = "windows but blank rows"
LISTED_WINDOWS = "listed values of windows"
SUM, CHANNELS = "a sum of two", "channels side by side"
TABLES, BLANK_TABLES, LISTED_TABLES = "tables", "tables but blank groups", "tables of listed groups"
MOST_UNROLLED = 3
"""The maximum of unrolled tiles, if a loop is possible."""
_MANY = 256
"""From this number of inputs on, code for a nearly full list is worth its size."""


@dataclass(frozen=True)
class Candidate:
    """One candidate for a layer, and its estimate by :mod:`ebpfnn.compiler.cost`: ``cost``, in executed instructions.

    ``inputs`` is the number of inputs that it reads. ``lanes`` is the number and width of the lanes in a word ("3x21"), and
    ``flushes`` how often they are flushed. ``bits`` is the width of an input in tables of rows; 0 if inputs are multiplied.
    """

    shape: str
    inputs: int
    lanes: str
    words: int
    tiles: int
    flushes: int
    cost: float
    bits: int = 0

    @classmethod
    def of(cls, shape: str, products: Products, cost: float, bits: int = 0) -> Candidate:
        sizes = len(products.weights), str(products.lanes), products.words, products.tiles, len(products.ends)
        return cls(shape, *sizes, cost, bits)


@dataclass(frozen=True)
class Estimate:
    """The estimated size of a layer's code, from its plan.

    ``walked`` instructions and ``forks`` (pending branches) of the verifier are approximate; ``table_bytes`` is exact.
    """

    walked: int
    forks: int
    table_bytes: int


@dataclass(frozen=True)
class LayerPlan:
    """The decisions for every kind of layer: the form of its outputs, and the candidates, the chosen one first."""

    output: OutputForm
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, eq=False)
class DensePlan(LayerPlan):
    """A dense layer; ``shape`` is "straight", "listed" or "rows".

    If there are ``live`` inputs, only these are multiplied. Tiles that are ``iterated`` are in a loop that is not walked. With
    a ``lookup``, sums become outputs by that table.
    """

    shape: str
    products: Products
    requantize: RequantizePlan
    iterated: bool = False
    live: Live | None = None
    rows: RowShape | None = None
    lookup: Lookup | None = None

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """What the loops go over that the verifier does not walk."""
        return ("tiles",) if self.iterated else ()

    @property
    def counted(self) -> bool:
        """Whether a nearly full list is not used: this needs a second copy of the code, which is too large if unrolled."""
        return (self.iterated or self.products.tiles <= MOST_UNROLLED) and len(self.products.weights) >= _MANY

    @property
    def gathered(self) -> bool:
        """Whether values and weights of list entries are looked up once for all tiles."""
        return is_gathered(self.products.tiles)

    @property
    def kept(self) -> bool:
        """Whether the sums of a tile's last segment stay in registers until they become outputs."""
        found = self.lookup is not None
        return stays(self.products, lookup=found, iterated=self.iterated) if self.rows else found or not self.iterated


@dataclass(frozen=True)
class ConvTile:
    """One tile of a group's outputs.

    ``asks_blank`` adds a branch before each position, which goes to the outputs of a blank window. ``channel_loops`` says for
    each segment whether a loop goes over its input channels; with ``row_loops``, it contains a loop over the rows of a channel.
    ``unwalked`` is the number of loops over positions, from the outermost, that the verifier does not walk. ``columns``
    neighboring positions are computed together, with an accumulator for each.
    """

    outputs: int
    asks_blank: bool
    channel_loops: tuple[bool, ...]
    unwalked: int
    row_loops: bool = False
    columns: int = 1


@dataclass(frozen=True, eq=False)
class ConvPlan(LayerPlan):
    """A convolution, whose ``groups`` differ only in their weights.

    ``skips_rows`` adds a branch before each row of a window, which skips a blank row. Groups that are ``iterated``, or the
    tiles of a single group, are in a loop that is not walked; then there is one tile, as wide as all. ``copied`` says that the
    values are first copied to a place with an edge. If windows are ``listed``, their values that are not 0 are listed first;
    ``unwalked_lists`` is for the loops over their positions what :attr:`ConvTile.unwalked` is.
    """

    groups: tuple[Products, ...]
    requantize: RequantizePlan
    tiles: tuple[ConvTile, ...]
    skips_rows: bool = False
    iterated: bool = False
    copied: bool = False
    listed: bool = False
    unwalked_lists: int = 0

    @property
    def shape(self) -> str:
        return LISTED_WINDOWS if self.listed else BLANK_ROWS if self.skips_rows else WINDOWS

    @property
    def over_tiles(self) -> bool:
        """Whether what is iterated are the tiles of the only group."""
        return self.iterated and len(self.groups) == 1

    @property
    def kept(self) -> bool:
        """As :attr:`DensePlan.kept`."""
        return keeps_sums(self.requantize, iterated=self.iterated)

    def sums_on_stack(self, outputs: int) -> int:
        """Bytes for the sums of a tile: none, where frames lie in each other and all sums are kept."""
        return 0 if self.iterated and self.kept and len(self.groups[0].ends) == 1 else 4 * outputs

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """As :attr:`DensePlan.unwalked_loops`."""
        most = max(tile.unwalked for tile in self.tiles)
        outer = ("tiles",) if self.over_tiles else ("groups",) if self.iterated else ()
        return outer + ("rows", "columns")[:most]


@dataclass(frozen=True)
class PoolPlan(LayerPlan):
    """A pool; ``unwalked`` and ``copied`` are those of :class:`ConvTile` and :class:`ConvPlan`.

    A loop goes over the values of a ``looped`` window.
    """

    unwalked: int = 0
    looped: bool = False
    copied: bool = False

    @property
    def shape(self) -> str:
        return "pool"

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """As :attr:`DensePlan.unwalked_loops`."""
        return ("channels", "rows", "columns")[: self.unwalked]


@dataclass(frozen=True, eq=False)
class TablePlan(LayerPlan):
    """A layer of tables, whose sums are in ``tiles`` tiles of ``words`` words of ``lanes``.

    ``runs`` are the groups in the order in which they are added, and which of them have a branch. ``requantize`` is None if
    outputs are bytes of the words. With a ``lookup``, sums become outputs by that table. With ``labels``, the label is found
    while scores are in registers, and with ``margin`` how much it leads, too. If the sums stay ``whole`` words, the next layer,
    which is ``behind``, takes bytes from them, and if they are ``kept``, from registers. If ``listed``, groups that are not
    blank are listed first, and there are no runs. If samples are ``compared``, numbers are made on the way, each byte of values
    that it has.
    """

    tables: RowTables
    lanes: Lanes
    words: int
    tiles: int
    runs: tuple[Run, ...]
    requantize: RequantizePlan | None = None
    lookup: Lookup | None = None
    iterated: bool = False
    labels: bool = False
    margin: bool = False
    whole: bool = False
    kept: bool = False
    behind: bool = False
    listed: bool = False
    compared: tuple[tuple[int, ...], ...] = ()

    @property
    def shape(self) -> str:
        if self.listed:
            return LISTED_TABLES
        return BLANK_TABLES if any(run.asks for run in self.runs) else TABLES

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """As :attr:`DensePlan.unwalked_loops`: none."""
        return ()


@dataclass(frozen=True)
class JoinPart:
    """Values that become outputs alike, block by block: the sum of two, or what one source gives.

    Without ``requantize`` they are copied.
    """

    requantize: RequantizePlan | None
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class JoinPlan(LayerPlan):
    """A layer that joins the values of several; ``shape`` is "a sum of two" or "channels side by side"."""

    shape: str
    parts: tuple[JoinPart, ...]

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """As :attr:`DensePlan.unwalked_loops`."""
        return unwalked_of([block for part in self.parts for block in part.blocks])


@dataclass(frozen=True)
class ErrorPlan(LayerPlan):
    """The squared differences of two values, block by block."""

    blocks: tuple[Block, ...]

    @property
    def shape(self) -> str:
        return "a squared error"

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """As :attr:`DensePlan.unwalked_loops`."""
        return unwalked_of(self.blocks)


AnyLayerPlan = DensePlan | ConvPlan | PoolPlan | TablePlan | JoinPlan | ErrorPlan


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """The plan of a network. ``sample`` is how the first layer gets its inputs; ``features`` are those that the code may use.

    ``estimates`` has one element per layer; ``stack`` is the stack that the code needs, in bytes. ``then`` is the
    plan of the next network of a cascade. ``tight`` is that of :func:`~ebpfnn.compiler.planner.plan_network`.
    """

    features: KernelFeatures
    sample: SampleForm
    layers: tuple[AnyLayerPlan, ...]
    estimates: tuple[Estimate, ...]
    stack: int
    then: NetworkPlan | None = None
    tight: bool = False


def unwalked_of(blocks: Sequence[Block]) -> tuple[str, ...]:
    """What the loops of ``blocks`` go over that the verifier does not walk."""
    images = max((block.unwalked for block in blocks if not block.flat), default=0)
    flat = any(block.unwalked for block in blocks if block.flat)
    return ("channels", "rows")[:images] + ("values",) * flat


def keeps_sums(requantize: RequantizePlan, *, iterated: bool) -> bool:
    """Whether sums can become outputs in the accumulators. In a loop over outputs, two multipliers need a register more."""
    return not iterated or requantize.is_relu or requantize.is_identity


def is_gathered(tiles: int) -> bool:
    return tiles > MOST_UNROLLED
