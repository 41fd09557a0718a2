"""The plan of a network: everything that is decided before the first instruction is written.

:mod:`ebpfnn.compiler.planner` makes it, :mod:`ebpfnn.compiler.compile` writes instructions that follow it, and ``ebpfnn
inspect`` prints it. Offsets, stack slots and registers are not in it: they follow from the order in which code is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from .accumulate import Products
from .features import KernelFeatures
from .live import Live
from .lookup import Lookup
from .partial import RowShape
from .requantize import RequantizePlan
from .rows import stays
from .sample import SampleForm
from .values import OutputForm

STRAIGHT, LISTED, ROWS_PLAN = "straight", "listed", "rows"
PLANS = (STRAIGHT, LISTED, ROWS_PLAN)
BLANK_ROWS = "windows but blank rows"
MOST_UNROLLED = 3
"""Tiles that are written out one behind the other where a loop is possible."""
_MANY = 256
"""Inputs from which on code for a list that is nearly full is worth its size."""


@dataclass(frozen=True)
class Candidate:
    """One way to compute a layer, and what the model of :mod:`ebpfnn.compiler.cost` says of it: ``cost``, in instructions run.

    ``inputs`` are those that it reads, ``lanes`` how many of how many bits a word holds ("3x21"), ``flushes`` how often they
    are read off. ``bits`` are those of an input in tables of rows; 0 where inputs are multiplied.
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
    """What the code of a layer comes to, as far as its plan tells.

    ``walked`` instructions and ``forks``, branches that are put off, are the verifier's, about; ``table_bytes`` are exact.
    """

    walked: int
    forks: int
    table_bytes: int


@dataclass(frozen=True)
class LayerPlan:
    """What is decided for every kind of layer: the form of its outputs, and what it was chosen from, the one taken first."""

    output: OutputForm
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, eq=False)
class DensePlan(LayerPlan):
    """``shape`` is "straight", "listed" or "rows".

    Where there are ``live`` inputs, the products are of these alone. Tiles that are ``iterated`` are in a loop that is not
    walked. Sums become outputs by the ``lookup`` where there is one.
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
        """What the loops that the verifier does not walk go over."""
        return ("tiles",) if self.iterated else ()

    @property
    def counted(self) -> bool:
        """Whether a list that is nearly full is left unused: the code is there twice, too much where it is unrolled."""
        return (self.iterated or self.products.tiles <= MOST_UNROLLED) and len(self.products.weights) >= _MANY

    @property
    def gathered(self) -> bool:
        """Whether what the entries of a list stand for is looked up once for all tiles."""
        return is_gathered(self.products.tiles)

    @property
    def kept(self) -> bool:
        """Whether the sums of a tile's last segment stay in registers until they become outputs."""
        found = self.lookup is not None
        return stays(self.products, lookup=found, iterated=self.iterated) if self.rows else found or not self.iterated


@dataclass(frozen=True)
class ConvTile:
    """One tile of a group's outputs.

    ``asks_blank`` puts a branch before each position, to what a window of zeros gives. ``channel_loops`` says of each segment
    whether its input channels are a loop; with ``row_loops``, the rows of a channel are one in it. So many loops over
    positions, from the outermost on, are ``unwalked``.
    """

    outputs: int
    asks_blank: bool
    channel_loops: tuple[bool, ...]
    unwalked: int
    row_loops: bool = False


@dataclass(frozen=True, eq=False)
class ConvPlan(LayerPlan):
    """A convolution, whose ``groups`` are alike in all but their weights.

    ``skips_rows`` puts a branch before each row of a window, round it where it is blank. Groups that are ``iterated`` are in a
    loop that is not walked. ``copied`` says that the values are first copied to where they have an edge.
    """

    groups: tuple[Products, ...]
    requantize: RequantizePlan
    tiles: tuple[ConvTile, ...]
    skips_rows: bool = False
    iterated: bool = False
    copied: bool = False

    @property
    def shape(self) -> str:
        return BLANK_ROWS if self.skips_rows else "windows"

    @property
    def unwalked_loops(self) -> tuple[str, ...]:
        """As :attr:`DensePlan.unwalked_loops`."""
        most = max(tile.unwalked for tile in self.tiles)
        return (("groups",) if self.iterated else ()) + ("rows", "columns")[:most]


@dataclass(frozen=True)
class PoolPlan(LayerPlan):
    """A pool; ``unwalked`` and ``copied`` as for :class:`ConvTile` and :class:`ConvPlan`.

    The values of a ``looped`` window are not written out.
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
class NetworkPlan:
    """``sample`` is how the first layer gets its inputs, ``features`` are those that the code may use.

    ``estimates`` are of each layer, ``stack`` are the bytes of it that the code needs.
    """

    features: KernelFeatures
    sample: SampleForm
    layers: tuple[DensePlan | ConvPlan | PoolPlan, ...]
    estimates: tuple[Estimate, ...]
    stack: int


def is_gathered(tiles: int) -> bool:
    return tiles > MOST_UNROLLED
