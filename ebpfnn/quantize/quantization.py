"""Post-training quantization: a float network and calibration samples become integers with proven bounds.

The equations are those of docs/quantization.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..network import QuantizedNetwork, reference
from ..network.encoding import levels
from ..network.graph import SAMPLE, takers
from ..network.layers import (
    INT32_MAX,
    MAX_SHIFT,
    Conv2d,
    Dense,
    Join,
    Layer,
    MaxPool,
    Requantization,
    SquaredError,
    expect,
    image_shape,
)
from . import comparing, float_reference, functions, joining
from .checks import check
from .float_reference import forward, pool_window
from .floats import (
    Activation,
    AvgPool,
    FloatAdd,
    FloatConcat,
    FloatConv2d,
    FloatDense,
    FloatJoin,
    FloatLayer,
    FloatSingle,
    FloatSquaredError,
    Network,
)
from .scales import (
    Range,
    activation_range,
    average_range,
    clamped,
    function_range,
    quantized_weights,
    score_range,
    weight_scales,
)

_MOST_VALUES = 1 << 24
"""How many float64 values a layer's calibrated outputs may be: 128 MiB."""
_MOST_COUNTED = _MOST_VALUES // 4
"""And when those that are 0 are counted: shares need fewer, and integers take longer."""

_Floats = NDArray[np.float64]


def quantize(network: Network, calibration: NDArray[np.uint8]) -> QuantizedNetwork:
    """``network`` in integers, its activations' scales chosen on ``calibration``, uint8 ``[n, *shape]`` of pixels, n >= 1.

    A few hundred samples like those to come are enough; of more than fit 128 MiB in the widest layer, evenly spaced ones
    are used. The same network and samples give the same integers.

    What fake quantization in training must compute to see these integers, all in float32 with IEEE division:

    * weights: ``w = clip(rint(W / s_w), -q, q)``, ``rint`` to nearest even, ``q = 2^(weight_bits - 1) - 1``. ``s_w`` is the
      layer's ``weight_scale``, or for 8 bits ``max|W| / 127`` of each output (equation 2).
    * activations: ``clip(floor(v / scale + 0.5), low, high)``: halves go up. With a ``scale`` and ``bits`` the range is
      0..2^bits - 1 where the slope is 0 or ``low >= 0``, else -(2^(bits - 1) - 1)..2^(bits - 1) - 1, narrowed to
      ``rint(low / scale)..rint(high / scale)``.
    * the sum between them stays real: the integers differ from it by the rounding of the bias to ``s_w * s_x`` and of the
      multiplier to 31 bits (equations 3 and 9).

    The last layer gives int32 scores in one scale (equation 12), whatever its activation's ``bits`` and ``scale``.

    Raises :class:`ModelError`, naming the layer, for weights that are not finite or do not fit, and :class:`InputError` for
    calibration samples of another dtype or shape, or none.
    """
    network = _ended(network)
    calibration = _bounded(network, calibration, _MOST_VALUES)
    layers: list[Layer] = []
    ranges = {SAMPLE: comparing.sample_range(network)}
    positive, joint = joining.never_negative(network), _joint_ranges(network, calibration)
    held = {SAMPLE: levels(network.input, calibration) / network.input.highest}
    last_taker = {source: by[-1:] for source, by in takers(network.takes).items()}
    integers: Layer
    for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
        try:
            check(layer)
            values = _forward(_without_functions(layer), *(held[source] for source in sources))
            outputs = None if number + 1 == len(network.layers) else values
            given = [ranges[source] for source in sources]
            if isinstance(layer, FloatAdd | FloatConcat):
                integers, ranges[number] = _join(layer, given, outputs, positive=positive[number])
            elif isinstance(layer, FloatSquaredError):
                integers, ranges[number] = SquaredError(), comparing.error_range(layer, given, held[sources[0]][0].size)
            else:
                shape = held[sources[0]].shape[1:]
                integers, ranges[number] = _quantize_layer(layer, shape, given[0], outputs, joint.get(number))
            held[number] = _of_functions(layer, values)
        except ModelError as error:
            raise ModelError(f"network '{network.name}', layer {number} {error}") from error
        layers.append(integers)
        for source in set(sources):
            if last_taker[source] == (number,):
                del held[source]
    found = ranges[len(layers) - 1]
    try:
        whole = QuantizedNetwork(
            network.name,
            network.input,
            network.labels,
            tuple(layers),
            found.scale,
            card=network.card,
            events=network.events,
            result=network.result,
            sources=network.sources,
        )
    except ModelError as error:
        raise ModelError(f"network '{network.name}': {error}") from error
    return replace(whole, density=reference.density(whole, _bounded(network, calibration, _MOST_COUNTED)))


def _bounded(network: Network, calibration: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """So many of the samples, evenly spaced, that no layer has more than ``most`` values."""
    shape = network.input.shape
    if calibration.dtype != np.uint8 or calibration.shape[1:] != shape or calibration.ndim == 0:
        given = f"{calibration.dtype} {list(calibration.shape)}"
        raise InputError(f"calibration samples: {given}; give uint8 [n, *{list(shape)}]")
    if not len(calibration):
        raise InputError("calibration samples: none given; give at least one, preferably some hundreds")
    count = min(len(calibration), max(1, most // _widest(network)))
    return calibration[np.arange(count) * len(calibration) // count]


def _joint_ranges(network: Network, calibration: NDArray[np.uint8]) -> dict[int, Range]:
    """The range of the outputs of each layer that becomes a part of channels side by side, and of nothing else."""
    parts, compared = joining.shared(network), comparing.compared(network)
    if not parts:
        return compared
    positive, joint = joining.never_negative(network), {}
    values = {SAMPLE: levels(network.input, calibration) / network.input.highest}
    for number, (layer, sources) in enumerate(zip(network.layers, network.takes, strict=True)):
        with np.errstate(over="ignore", invalid="ignore"):
            values[number] = forward(layer, *(values[source] for source in sources))
        if number in parts.values() and np.isfinite(values[number]).all():
            by = Activation(slope=0.0) if positive[number] else Activation()
            joint[number] = activation_range(by, values[number])
    return {number: joint[join] for number, join in parts.items() if join in joint} | compared


def _join(layer: FloatJoin, given: list[Range], outputs: _Floats | None, *, positive: bool) -> tuple[Join, Range]:
    """The integers of a layer that joins values in ``given``, and what its outputs are in."""
    by = layer.activation
    if outputs is None:
        _, _, unit = joining.factors(given, layer.factors if isinstance(layer, FloatAdd) else (1.0, 1.0))
        found = score_range(by, np.array([unit]))
    else:
        found = activation_range(replace(by, slope=0.0) if positive else by, outputs)
    return joining.quantized(layer, given, requantization, found), found


def _widest(network: Network) -> int:
    """The most values that any layer is given or gives; of a graph, those of all layers, which are held together."""
    try:
        sizes = [math.prod(shape) for shape in float_reference.shapes(network)]
    except ModelError as error:
        raise ModelError(f"network '{network.name}', {error}") from error
    return sum(sizes) if network.sources else max(sizes)


def _forward(layer: FloatLayer, *given: _Floats) -> _Floats:
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = forward(layer, *given)
    within = bool((np.abs(outputs) <= np.finfo(np.float32).max).all())  # NaN compares false
    expect(within, "has outputs that exceed float32; scale its weights down")
    return outputs


def _ended(network: Network) -> Network:
    """``network`` with a layer that changes nothing behind functions at its end: scores come of sums."""
    last = network.layers[-1] if network.layers else None
    if not isinstance(last, (FloatDense, FloatConv2d)) or not last.activation.functions:
        return network
    size = len(network.labels)
    more = FloatDense(np.eye(size, dtype=np.float32), np.zeros(size, np.float32))
    sources = (*network.sources, (len(network.layers) - 1,)) if network.sources else ()
    return replace(network, layers=(*network.layers, more), sources=sources)


def _without_functions(layer: FloatLayer) -> FloatLayer:
    if not isinstance(layer, (FloatDense, FloatConv2d)):
        return layer
    return replace(layer, activation=replace(layer.activation, functions=()))


def _of_functions(layer: FloatLayer, values: _Floats) -> _Floats:
    given = layer.activation.functions if isinstance(layer, (FloatDense, FloatConv2d)) else ()
    return functions.apply(given, values)


def _quantize_layer(
    layer: FloatSingle, shape: tuple[int, ...], given: Range, outputs: _Floats | None, wanted: Range | None = None
) -> tuple[Layer, Range]:
    """The integers of ``layer`` for inputs of ``shape`` in ``given``, and what its outputs are in.

    ``outputs`` are its calibrated values, None for the last layer. ``wanted`` is what they have to be in, if that is known.
    """
    if isinstance(layer, MaxPool):
        return layer, given
    if isinstance(layer, AvgPool):
        return _average(layer, shape, given, outputs)
    scales = weight_scales(layer, given.scale)
    unit = scales * given.scale
    if wanted is None or layer.activation.functions:
        steps, found = _steps(layer.activation, unit, outputs, wanted)
    else:
        found = clamped(wanted, layer.activation)
        slope = np.array(layer.activation.slopes) if layer.activation.slopes else layer.activation.slope
        steps = requantization(unit, slope, found)
    weights = quantized_weights(layer, scales)
    bias = np.rint(layer.bias / unit) - given.zero_point * weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int64)
    expect(bool((np.abs(bias) <= INT32_MAX).all()), "has a bias past int32; scale the layer down")
    if isinstance(layer, FloatConv2d):
        return Conv2d(weights, bias.astype(np.int32), steps, layer.window, layer.groups, given.zero_point), found
    return Dense(weights, bias.astype(np.int32), steps), found


def _steps(by: Activation, unit: _Floats, outputs: _Floats | None, wanted: Range | None = None) -> tuple[Requantization, Range]:
    """The requantization of sums worth ``unit``, with the table of functions, and what it gives, perhaps ``wanted``."""
    slope = np.array(by.slopes) if by.slopes else by.slope
    if outputs is None or not by.functions:
        found = score_range(by, unit) if outputs is None else activation_range(by, outputs)
        return requantization(unit, slope, found), found
    index, found, table = function_range(by, outputs, wanted)
    return replace(requantization(unit, slope, index), activation=table, function=functions.named(by.functions)), found


def _average(layer: AvgPool, shape: tuple[int, ...], given: Range, outputs: _Floats | None) -> tuple[Conv2d, Range]:
    """Equation 16: a depthwise convolution of ones, whose sums are worth 1 / area each, in steps that fit the averages."""
    window, channels = pool_window(layer, shape), image_shape(shape)[0]
    unit = np.full(channels, given.scale / math.prod(window.kernel))
    found = score_range(Activation(), unit) if outputs is None else average_range(given, outputs)
    weights = np.ones((channels, 1, *window.kernel), np.int8)
    bias = np.full(channels, -given.zero_point * math.prod(window.kernel), np.int32)
    return Conv2d(weights, bias, requantization(unit, 1.0, found), window, channels, given.zero_point), found


def requantization(unit: NDArray[np.float64], slope: float | NDArray[np.float64], found: Range) -> Requantization:
    """Equation 9: the multipliers for accumulators worth ``unit`` each, float64 [channels], and outputs in ``found``.

    ``slope`` is one number, or one for each channel.

    Raises :class:`ModelError` where an accumulator is worth more than 2^30 steps of the output.
    """
    real = unit / found.scale
    steepest = float(np.max(slope))
    shift = _shift(float(real.max()) * max(1.0, steepest))
    positive, negative = (np.rint(np.ldexp(real * each, shift)).astype(np.int32) for each in (1.0, slope))
    named = "prelu" if np.ndim(slope) else ""
    return Requantization(positive, negative, shift, found.low, found.high, found.zero_point, steepest, function=named)


def _shift(largest: float) -> int:
    """Equation 10: the largest shift at which ``largest`` still makes a multiplier of at most 31 bits."""
    mantissa, exponent = math.frexp(largest)
    shift = 31 - exponent
    if np.rint(math.ldexp(mantissa, 31)) > INT32_MAX:
        shift -= 1
    expect(
        shift >= 1 and math.isfinite(largest),
        f"has weights too large for its outputs (factor {largest:.3g}); scale the layer down",
    )
    return min(shift, MAX_SHIFT)
