"""Graphs over rows of a table: what comes before their first layer becomes a part of it, and of the preparation of columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import expect
from ..network.preparation import Preparation
from ..quantize import ranges, tabular
from ..quantize.floats import FloatLayer, Network
from ..quantize.ranges import Split
from ..quantize.tabular import Affine, Columns, Rows, Tabular
from . import reconstruction, scoring
from .fold import fold
from .onnx_joined import MOST_COLUMNS
from .options import ImportOptions
from .steps import LARGEST, Binarize, Chain, Floats, Linear, Quantize, Reshape, Scale, Select, Step

_DRAWN = 2_000
"""How many rows are drawn if none are given."""
_REMEDY = "give --calibration rows, a table of the columns"


def network(chain: Chain, name: str, options: ImportOptions, card: dict[str, str]) -> Tabular:
    """The network of ``chain``, whose columns have the ranges of ``options.rows``, or of the file's scaler without them.

    Raises :class:`ModelError` for steps that no layer can do, and where nothing tells a range.
    """
    size = chain.input_shape[0]
    reconstruction.check_rows(chain, options)
    scoring.whole(chain, options)
    _check_options(options, size)
    rows = options.rows(size, chain.columns) if options.rows else None
    front = _Front(size, rows)
    rest = list(chain.steps)
    while rest and front.take(rest[0]):
        rest.pop(0)
    names = rows.names if rows else chain.columns or tuple(f"x{number}" for number in range(size))
    columns = _columns(front, names, rows, options.column_bytes)
    first, two = front.affine(), scoring.of_two(chain, options)
    if two and not rest:
        first = scoring.doubled_affine(first)
    coded = tabular.over_bytes(first, columns)
    following = Chain((coded.weights.shape[1],))
    for step in [Linear("the first layer", coded.weights, coded.bias), *rest]:
        following.append(step)
    _, layers = fold(following, (0.0,), (1.0,))
    if two and rest:
        layers = (*layers[:-1], scoring.doubled(layers[-1]))
    found = _network(chain, name, options, card, columns, layers)
    drawn = rows is None
    return Tabular(found, columns, first, rows or _drawn(front, names), drawn)


def _check_options(options: ImportOptions, size: int) -> None:
    plain = options.bits == 8 and not options.thresholds and not options.packed
    expect(plain, "takes rows of a table, which have 8 bits a value; leave out --bits, --threshold and --packed")
    scaled = (options.mean, options.std) != ((0.0,), (1.0,))
    expect(not scaled, "takes rows of a table, which nothing scales; leave out --mean and --std")
    expect(size <= MOST_COLUMNS, f"takes rows of {size} columns, over {MOST_COLUMNS:,}; give fewer")
    expect(options.shape in (None, (size,)), f"takes rows of {size} columns; leave out --input-shape")


def _network(
    chain: Chain, name: str, options: ImportOptions, card: dict[str, str], columns: Columns, layers: tuple[FloatLayer, ...]
) -> Network:
    prepared = Preparation("columns", tabular.options(columns))
    options, result = replace(scoring.labelled(chain, options), prepared=prepared, shape=None), scoring.result(chain, options)
    return replace(options.network(name, (sum(each.count for each in columns),), layers, card), result=result)


@dataclass(frozen=True, eq=False)
class _Diagonal:
    """``x[places] * factor + offset``."""

    places: NDArray[np.int64]
    factor: Floats
    offset: Floats


class _Front:
    """What a graph does with its columns before the first step that is not linear.

    ``scaled`` is the first scaling of all columns, of a scaler that learned means and deviations; ``bounds`` are those of a
    Binarizer, for each column.
    """

    def __init__(self, size: int, rows: Rows | None) -> None:
        self.size = size
        self.rows = rows
        self.scaled: _Diagonal | None = None
        self.bounds: Floats | None = None
        self._now: _Diagonal | Affine = _Diagonal(np.arange(size), np.ones(size), np.zeros(size))

    def take(self, step: Step) -> bool:
        """Whether ``step`` is a part of the front."""
        if isinstance(step, Scale):
            self._scale(step)
        elif isinstance(step, Select):
            self._select(step)
        elif isinstance(step, Binarize):
            self._binarize(step)
        elif isinstance(step, Linear):
            _check(step, len(step.bias) * self.size)
            before = self.affine()
            self._now = Affine(step.weights @ before.weights, step.bias + step.weights @ before.bias)
        elif isinstance(step, Quantize):
            return self._only_rounds(step)
        else:
            return isinstance(step, Reshape) and len(step.shape) == 1
        return True

    def _only_rounds(self, step: Quantize) -> bool:
        """Whether ``step`` limits no row: then it is left out, as columns have steps of their own, which fit their values."""
        now = self._now
        if isinstance(now, Affine) or self.rows is None or self.bounds is not None:
            return False
        values = (self.rows.values[:, now.places] * now.factor + now.offset) / step.scale + step.zero_point
        return bool((values >= step.low - 0.5).all() and (values <= step.high + 0.5).all())

    def affine(self) -> Affine:
        """All of it."""
        now = self._now
        if isinstance(now, Affine):
            return now
        expect(len(now.places) * self.size <= LARGEST, f"has {len(now.places)} of {self.size} columns; give fewer")
        weights = np.zeros((len(now.places), self.size))
        weights[np.arange(len(now.places)), now.places] = now.factor
        return Affine(weights, now.offset)

    def _scale(self, step: Scale) -> None:
        now = self._now
        if isinstance(now, Affine):
            self._now = Affine(now.weights * step.factor.reshape(-1, 1), now.bias * step.factor + step.offset)
            return
        factor = np.broadcast_to(step.factor, now.factor.shape)
        self._now = _Diagonal(now.places, now.factor * factor, now.offset * factor + step.offset)
        whole = np.array_equal(now.places, np.arange(self.size)) and self.bounds is None
        if self.scaled is None and whole and "(Scaler)" in step.where:
            self.scaled = self._now

    def _select(self, step: Select) -> None:
        now, places = self._now, step.places
        if isinstance(now, Affine):
            _check(step, len(places) * self.size)
            self._now = Affine(now.weights[places], now.bias[places])
        else:
            self._now = _Diagonal(now.places[places], now.factor[places], now.offset[places])

    def _binarize(self, step: Binarize) -> None:
        """The bound of a column is the first float32 for which its scaled value is above the threshold."""
        now = self._now
        once = not isinstance(now, Affine) and len(set(now.places.tolist())) == len(now.places) and self.bounds is None
        if not once or isinstance(now, Affine):
            step.refuse("splits what is made of several columns; put the Binarizer in front of what mixes them")
        with np.errstate(all="ignore"):
            bounds = ((step.threshold - now.offset) / now.factor).astype(np.float32)
        if not (now.factor > 0).all() or not np.isfinite(bounds).all():
            step.refuse("splits columns that are scaled by what is not positive, which cannot be imported")
        self.bounds = np.full(self.size, np.inf)
        self.bounds[now.places] = np.nextafter(bounds, np.float32(np.inf))
        self._now = _Diagonal(now.places, np.ones(len(now.places)), np.zeros(len(now.places)))


def _check(step: Step, size: int) -> None:
    if size > LARGEST:
        step.refuse(f"makes a layer of {size} weights, over {LARGEST}; give a smaller network")


def _columns(front: _Front, names: tuple[str, ...], rows: Rows | None, count: int) -> Columns:
    if front.bounds is not None:  # a column that is not looked at splits where no value does
        largest = float(np.finfo(np.float32).max)
        return tuple(Split(name, min(float(bound), largest)) for name, bound in zip(names, front.bounds, strict=True))
    if rows is not None:
        return tuple(ranges.of_values(name, rows.values[:, place], count) for place, name in enumerate(names))
    means, deviations = _scaler(front)
    told = zip(names, means.tolist(), deviations.tolist(), strict=True)
    return tuple(ranges.of_scale(name, mean, deviation, count) for name, mean, deviation in told)


def _scaler(front: _Front) -> tuple[Floats, Floats]:
    """What the file's scaler learned of the columns: means and deviations."""
    scaled = front.scaled
    if scaled is None or not (scaled.factor > 0).all():
        raise ModelError(f"nothing in it tells the range of its {front.size} columns; {_REMEDY}")
    return -scaled.offset / scaled.factor, 1 / scaled.factor


def _drawn(front: _Front, names: tuple[str, ...]) -> Rows:
    """Rows as the file's scaler describes them, each column by itself."""
    random = np.random.default_rng(1)
    if front.bounds is not None:
        bounds = np.where(np.isfinite(front.bounds), front.bounds, 0.0)
        return Rows(bounds + random.choice([-1.0, 1.0], (_DRAWN, front.size)) * (1 + np.abs(bounds)), names)
    means, deviations = _scaler(front)
    return Rows(random.normal(means, deviations, (_DRAWN, front.size)), names)
