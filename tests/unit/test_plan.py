"""The plan of a network: made without an instruction, followed by the code, and what it says beforehand of that code."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from architectures import KINDS, SHAPE
from estimates import check_estimates
from networks import (
    FAR_CODE,
    FAR_WEIGHTS,
    conv2d,
    dense,
    far_code,
    far_weights,
    input_format,
    network,
    own_format,
    random_network,
)

from ebpfnn.compiler import KernelFeatures, bounds, compile_network, limits, plan_network
from ebpfnn.compiler import compile as compiling
from ebpfnn.compiler.choose_conv import MOST_LISTS, choose_conv, lists_windows
from ebpfnn.compiler.conv_list import FARTHEST_WEIGHTS, list_bytes
from ebpfnn.compiler.emitter import Emitter
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.plan import LISTED_WINDOWS, ConvPlan, DensePlan, PoolPlan
from ebpfnn.compiler.sample import SampleForm
from ebpfnn.compiler.values import OutputForm
from ebpfnn.errors import ModelError
from ebpfnn.evaluation.network_facts import describe_plan
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Dense, MaxPool, Requantization, Window

FEATURES = {"iterators": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}
of_every_kernel = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
WIDTHS = [(20, 5), (101, 40, 7), (300, 90, 5), (64, 130, 70, 10), (784, 32, 10)]
IMAGES = [
    ("conv8x5s2p2-conv16x3-pool2-32-10", (1, 14, 14)),
    ("conv32x3g8-5", (8, 16, 16)),
    ("conv16x3p1-conv40x3-5", (3, 9, 8)),
    ("pool3s2p1-dw3p1-7", (3, 33, 34)),
    ("conv3x6-gap", (24, 12, 12)),
]


def test_a_plan_is_made_without_an_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Emitter, "__init__", None)
    for net in (random_network((101, 40, 7), 1, bits=4), random_network("conv4x3p1-pool2-5", 1)):
        first, second = (plan_network(net, MIDDLE, "rows") for _ in range(2))
        assert describe_plan(first) == describe_plan(second)
        with pytest.raises(FrozenInstanceError):
            setattr(first.layers[0], "output", OutputForm())  # noqa: B010


def test_code_is_planned_once_and_anew_after_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[frozenset[tuple[int, int]]] = []

    def counted(*given: Any) -> Any:
        asked.append(given[3])
        assert len(asked) < 9
        return plan_network(*given)

    monkeypatch.setattr(compiling, "plan_network", counted)
    net = replace(random_network((784, 256, 128, 10), 1), density=(0.1, 0.1, 0.9))
    assert compile_network(net).plan.layers[0].shape == "listed"
    assert asked == [frozenset()]
    assert compile_network(net, OLDEST).plan.layers[0].shape == "straight"
    assert asked[1:] == [frozenset(), frozenset({(0, 0)})]
    monkeypatch.setattr(limits, "MOST_FORKS", 100)
    assert [code.shape for code in compile_network(net, OLDEST, "listed").layers] == ["straight"] * 3
    assert asked[3:] == [frozenset((0, layer) for layer in range(count)) for count in range(4)]


@of_every_kernel
@pytest.mark.parametrize("name", [None, "straight", "listed", "rows"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_estimates_of_dense_layers(widths: tuple[int, ...], name: str | None, features: KernelFeatures) -> None:
    for bits, packed in ((8, False), (4, False), (4, True), (1, False), (1, True)):
        check_estimates(random_network(widths, bits, bits=bits, packed=packed), features, name)


@of_every_kernel
@pytest.mark.parametrize("name", [None, "straight", "listed", "rows"])
@pytest.mark.parametrize("widths", [(1, 3), (41, 33, 5)], ids=str)
def test_estimates_of_values_with_their_own_thresholds(
    widths: tuple[int, ...], name: str | None, features: KernelFeatures
) -> None:
    for bits, packed in ((4, False), (2, False), (1, False), (1, True)):
        form = own_format(widths[0], bits, 1, packed=packed)
        check_estimates(replace(random_network(widths, bits, bits=bits), input=form), features, name)


@of_every_kernel
@pytest.mark.parametrize("density", [None, 0.1])
@pytest.mark.parametrize("image", [*IMAGES, *((kind, SHAPE) for kind in KINDS)], ids=lambda image: image[0])
def test_estimates_of_images(image: tuple[str, tuple[int, ...]], density: float | None, features: KernelFeatures) -> None:
    for bits, packed in ((8, False), (2, False), (1, True)):
        net = random_network(image[0], 2, image[1], bits=bits, packed=packed)
        check_estimates(replace(net, density=(density,) * len(net.layers)) if density else net, features)


@of_every_kernel
@pytest.mark.parametrize("density", [None, 0.1])
@pytest.mark.parametrize("architecture", ["conv7x4s2p1-dw3p1-conv40x1-dw3s2p1-conv50x1-gap", "conv20x3g2-dw2-pool2-conv70x1-5"])
def test_estimates_of_tight_code(architecture: str, density: float | None, features: KernelFeatures) -> None:
    net = random_network(architecture, 1, (2, 11, 17))
    check_estimates(replace(net, density=(density,) * len(net.layers)) if density else net, features, tight=True)


LISTS = "conv24x3p1-conv40x1-dw3p1-conv24x3g2-conv70x1-pool2-5"


def test_windows_are_listed_in_tight_code_if_many_values_are_zero() -> None:
    def shapes(density: float | None, features: KernelFeatures = NEWEST, *, tight: bool = True) -> list[str]:
        net = random_network(LISTS, 1, (2, 11, 17))
        net = replace(net, density=(density,) * len(net.layers)) if density else net
        return [layer.shape for layer in plan_network(net, features, tight=tight).layers]

    listed = [number for number, shape in enumerate(shapes(0.1)) if shape == LISTED_WINDOWS]
    assert listed == [1, 4]
    assert LISTED_WINDOWS not in shapes(0.9) + shapes(None) + shapes(0.1, MIDDLE) + shapes(0.1, tight=False)


def test_lists_of_windows_that_are_too_large() -> None:
    """Of weights farther than an offset reaches, or of more positions than there is memory for."""
    layer = random_network("conv40x3p1-3", 1, (64, 64, 64)).layers[0]
    assert isinstance(layer, Conv2d)
    products = choose_conv(layer, 0, 255, None)[0][0]
    most = MOST_LISTS // list_bytes(products)
    assert lists_windows(layer, products, most)
    assert not lists_windows(layer, products, most + 1)
    far = replace(products, weights=np.zeros((FARTHEST_WEIGHTS // products.row + 1, 40), np.int8))
    assert not lists_windows(layer, far, 1)


def test_a_layer_that_is_too_much_to_walk_lists_no_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_network(LISTS, 1, (2, 11, 17))
    net = replace(net, density=(0.1,) * len(net.layers))
    whole = compile_network(net, tight=True)
    assert LISTED_WINDOWS in [layer.shape for layer in whole.layers]
    monkeypatch.setattr(limits, "MOST_FORKS", 200)
    assert sum(layer.forks for layer in whole.layers) > limits.MOST_FORKS
    assert {layer.shape for layer in compile_network(net, tight=True).layers} == {"windows", "pool", "straight"}


@of_every_kernel
@pytest.mark.parametrize("net", [*map(far_weights, FAR_WEIGHTS), *map(far_code, FAR_CODE)], ids=[*FAR_WEIGHTS, *FAR_CODE])
def test_estimates_of_what_offsets_and_jumps_do_not_reach(net: QuantizedNetwork, features: KernelFeatures) -> None:
    check_estimates(net, features)


def one_scale(outputs: int, inputs: int, low: int, high: int) -> Dense:
    """A layer whose outputs come from a table, where its sums fit 16 bits."""
    multipliers = np.full(outputs, 1 << 30, np.int32)
    by = Requantization(multipliers, multipliers, 33, low, high)
    return Dense(np.ones((outputs, inputs), np.int8), np.arange(outputs, dtype=np.int32), by)


def test_each_layer_writes_what_the_next_one_reads() -> None:
    last = dense(np.ones((10, 48)), np.arange(10))
    few = plan_network(network([one_scale(48, 64, 0, 7), last], InputFormat((64,), 1, (100,))))
    assert [layer.output for layer in few.layers] == [OutputForm(3, levels=True), OutputForm(32)]
    assert isinstance(few.layers[0], DensePlan)
    assert few.layers[0].lookup is not None
    many = plan_network(network([one_scale(48, 64, 0, 255), last], InputFormat((64,), 1, (100,))))
    assert many.layers[0].output == OutputForm()


def test_each_image_has_the_edge_that_the_next_layer_reads() -> None:
    window = Window((3, 3), (1, 1), (1, 2, 1, 0))
    first = conv2d(np.ones((1, 1, 2, 2)), [0], Window((2, 2)), low=0, high=255)
    second = conv2d(np.ones((1, 1, 3, 3)), [0], window, pad_value=7, low=0, high=255)
    signed = conv2d(np.ones((1, 1, 1, 1)), [0], Window((1, 1)), low=-5, high=100)
    pool = MaxPool(Window((2, 2), (2, 2), (1, 1, 1, 1)))
    last = conv2d(np.ones((1, 1, 1, 1)), [0], Window((1, 1)))
    net = network([first, second, signed, pool, last], input_format((1, 6, 6)))
    plan = plan_network(net)
    edges = [(layer.output.edge, layer.output.fill) for layer in plan.layers]
    assert edges[:3] == [((1, 2, 1, 0), 7), ((0, 0, 0, 0), 0), ((1, 1, 1, 1), -5)]
    assert not any(layer.copied for layer in plan.layers if isinstance(layer, ConvPlan | PoolPlan))


def test_only_samples_are_copied_to_have_an_edge() -> None:
    edged, bare = (plan_network(random_network(name, 1)).layers for name in ("conv2x3p1-conv2x3p1-5", "conv2x3-conv2x3p1-5"))
    assert [layer.copied for layer in edged if isinstance(layer, ConvPlan)] == [True, False]
    assert [layer.copied for layer in bare if isinstance(layer, ConvPlan)] == [False, False]
    net = random_network("conv4x3-5", 1)
    sparse = replace(net, density=(0.1, 0.1))
    copied = [plan_network(each).layers[0] for each in (net, sparse)]
    assert [layer.copied for layer in copied if isinstance(layer, ConvPlan)] == [False, True]


@pytest.mark.parametrize(
    ("widths", "form", "name", "how"),
    [
        ("64-9-3", {}, None, SampleForm.BYTES),
        ("64-9-3", {"bits": 1, "packed": True}, "rows", SampleForm.PACKED),
        ("64-9-3", {"bits": 1, "packed": True}, "straight", SampleForm.TABLE_LEVELS),
        ("64-9-3", {"bits": 1}, "rows", SampleForm.COMPARED),
        ("64-90-3", {"bits": 1}, "rows", SampleForm.GATHERED_BITS),
        ("64-9-3", {"bits": 4}, "rows", SampleForm.EVEN_SIDE_BY_SIDE),
        ("64-9-3", {"bits": 4}, "straight", SampleForm.EVEN_LEVELS),
        ("64-9-3", {"bits": 2}, "rows", SampleForm.TABLE_LEVELS),
        ("conv2x3-5", {"bits": 4}, None, SampleForm.EVEN_LEVELS),
    ],
)
def test_how_the_first_layer_gets_its_inputs(widths: str, form: dict[str, Any], name: str | None, how: SampleForm) -> None:
    shape = (64,) if widths[0].isdigit() else None
    assert plan_network(random_network(widths, 1, shape, **form), NEWEST, name).sample is how


def test_the_cheapest_candidate_is_taken_or_the_one_that_was_named() -> None:
    net = replace(random_network((784, 64, 10), 1), density=(0.1, 0.9))
    candidates = plan_network(net).layers[0].candidates
    assert [each.cost for each in candidates] == sorted(each.cost for each in candidates)
    assert candidates[0].shape == "listed"
    named = plan_network(net, NEWEST, "straight").layers[0]
    assert named.candidates[0].shape == named.shape == "straight"
    assert {each.shape for each in named.candidates} == {"listed", "straight"}
    plain = plan_network(net, NEWEST, None, frozenset({(0, 0)})).layers[0]
    assert plain.shape == "straight"


def test_no_branch_round_blank_rows_in_a_loop_in_an_iterators_loop() -> None:
    """Channels are written out as far as offsets reach, and beyond that no row is skipped; callbacks are walked otherwise."""

    def first(architecture: str, shape: tuple[int, ...], *given: Any) -> tuple[bool, bool]:
        net = random_network(architecture, 1, shape)
        plan = plan_network(replace(net, density=(0.05,) * len(net.layers)), *given).layers[0]
        assert isinstance(plan, ConvPlan)
        return plan.skips_rows, any(any(tile.channel_loops) for tile in plan.tiles)

    assert first("conv32x3-10", (16, 14, 14)) == (True, False)
    assert first("conv16x7-10", (16, 12, 12)) == (False, False)
    assert first("conv16x7-10", (16, 12, 12), MIDDLE) == (True, True)
    assert first("conv32x3-10", (16, 14, 14), NEWEST, None, frozenset({(0, 0)})) == (False, False)


def test_loops_that_are_not_walked() -> None:
    def loops(architecture: str, shape: tuple[int, ...], features: KernelFeatures = NEWEST) -> list[tuple[str, ...]]:
        return [layer.unwalked_loops for layer in plan_network(random_network(architecture, 1, shape), features).layers]

    assert loops("784-90-10", (784,)) == [("tiles",), ()]
    assert loops("784-90-10", (784,), OLDEST) == [(), ()]
    assert loops("conv32x3g8-5", (8, 20, 20))[0] == ("groups", "rows")
    assert loops("conv48x7p3-pool2-5", (8, 28, 28))[:2] == [("rows", "columns"), ("channels",)]


def test_a_refusal_names_the_layer_that_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is found while the layer before is joined to it."""
    segments = bounds.segments

    def unproven(ranges: np.ndarray, bits: int, step: int = 1) -> tuple[int, ...]:
        if len(ranges) == 9:
            raise ModelError(f"{step} inputs can pass {bits} bits")
        return segments(ranges, bits, step)

    monkeypatch.setattr(bounds, "segments", unproven)
    with pytest.raises(ModelError, match=r"^network 'test': layer 1 has weights and inputs that no lane of 32 bits holds; use"):
        compile_network(random_network((20, 9, 5), 1))


def test_where_no_row_is_skipped_lanes_are_priced_without() -> None:
    """So many channels stand in a loop, round whose branches the verifier would walk too far."""
    net = random_network("conv48x3-conv24x5-gap-10", 1, (12, 12))
    net = replace(net, density=(0.1,) * len(net.layers))
    plan, without = plan_network(net).layers[1], plan_network(replace(net, density=())).layers[1]
    assert isinstance(plan, ConvPlan)
    assert not plan.skips_rows
    assert plan.candidates == without.candidates
