"""The maps that make the C twin a network of its own."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from networks import conv2d, dense, network, random_network, weighted
from tablenets import cascade, table
from twins import contents, variable

from ebpfnn.built import read_built
from ebpfnn.compiler import build_twin
from ebpfnn.compiler.twin import MAX_INPUTS, MAX_LAYERS, lay_out, verifier_steps, workspace_size
from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Add, ByteLanes, Concat, MaxPool, Requantization, Weighted, Window
from ebpfnn.network.network import MOST_STAGES
from ebpfnn.obj import MapSpec, ObjectSpec, insn

LAYER = struct.Struct("<20I4i2I3Ii3I3I128s")
STAGE = struct.Struct("<4I16s3I2Ii")
FLAT = (1, 1)
NO_WINDOW = (0,) * 10
NO_GROUPS = (0,) * 8  # and no activation table


def layer_table(spec: ObjectSpec, depth: int) -> list[tuple[int, ...]]:
    table = variable(spec, "nn_layers")
    assert len(table) == MAX_LAYERS * LAYER.size
    assert not any(table[depth * LAYER.size :])
    return [entry[:-4] for entry in LAYER.iter_unpack(table[: depth * LAYER.size])]


def places_of(spec: ObjectSpec, depth: int) -> list[tuple[int, int, list[tuple[int, ...]]]]:
    """What each layer takes and gives, and its sources."""
    found = []
    for entry in LAYER.iter_unpack(variable(spec, "nn_layers")[: depth * LAYER.size]):
        takes, gives, sources, joined = entry[-4:]
        assert not any(joined[16 * sources :])
        found.append((takes, gives, list(struct.iter_unpack("<3Ii", joined[: 16 * sources]))))
    return found


def three_layers() -> QuantizedNetwork:
    return network(
        [
            dense(np.ones((3, 4)), np.zeros(3), shift=11, low=-127, high=127, zero_point=-5),
            dense(np.ones((2, 3)), np.zeros(2), shift=12, low=0, high=255),
            dense(np.ones((5, 2)), np.zeros(5), shift=13, low=-7, high=9),
        ]
    )


def test_the_table_of_dense_layers() -> None:
    spec = lay_out(three_layers())
    assert layer_table(spec, 3) == [
        (0, 4, *FLAT, 3, *FLAT, *NO_WINDOW, 0, 0, 11, -127, 127, -5, 0, 0, *NO_GROUPS),
        (0, 3, *FLAT, 2, *FLAT, *NO_WINDOW, 12, 3, 12, 0, 255, 0, 0, 0x80, *NO_GROUPS),
        (0, 2, *FLAT, 5, *FLAT, *NO_WINDOW, 0, 0, 13, -7, 9, 0, 0, 0, *NO_GROUPS),
    ]
    assert variable(spec, "nn_depth") == struct.pack("<I", 1)
    assert stage_table(spec) == [(4, 8, 0, 0, b"", 0, 0, 0, 0, 3, 0)]


def test_a_chain_computes_in_one_place() -> None:
    sample = 0xFFFFFFFF
    assert places_of(lay_out(three_layers()), 3) == [(sample, 0, []), (0, 0, []), (0, 0, [])]
    assert places_of(lay_out(random_network([12, 3], 1, bits=1)), 1) == [(0, 0, [])]


@pytest.mark.parametrize(("bits", "sample", "levels"), [(8, 0xFFFFFFFF, 0), (4, 0, 4)])
def test_a_graph_keeps_what_layers_give(bits: int, sample: int, levels: int) -> None:
    one, two = np.full(1, 1 << 8, np.int32), np.full(2, 1 << 8, np.int32)
    first = dense(np.ones((4, 4)), np.zeros(4), low=-7, high=7)
    total = Add(np.array([3, -5], np.int32), np.full(1, 9, np.int32), Requantization(one, one, 8, 0, 9))
    both = Concat(np.array([1, 2], np.int32), Requantization(two, two, 8, 0, 255))
    layers = (first, total, both, dense(np.ones((2, 8)), np.zeros(2)))
    form = InputFormat((4,), bits, () if bits == 8 else tuple(range(1, 16)))
    net = QuantizedNetwork("test", form, ("a", "b"), layers, sources=((-1,), (0, -1), (1, -1), (2,)))
    spec = lay_out(net)
    assert places_of(spec, 4) == [
        (sample, levels, []),
        (levels, levels + 4, [(levels, 4, 0x80, 3), (sample, 4, 0, -5)]),
        (levels + 4, levels + 8, [(levels + 4, 4, 0, 1), (sample, 4, 0, 1)]),
        (levels + 8, levels + 16, []),
    ]
    assert [entry[0] for entry in layer_table(spec, 4)] == [0, 4, 5, 0]
    assert workspace_size(net) == 4 * 8 + 2 * 8 + levels + 4 + 4 + 8 + 2


def stage_table(spec: ObjectSpec) -> list[tuple[object, ...]]:
    (depth,) = struct.unpack("<I", variable(spec, "nn_depth"))
    stages = list(STAGE.iter_unpack(variable(spec, "nn_stages")))
    assert len(stages) == MOST_STAGES
    assert not any(any(stage[:4]) for stage in stages[depth:])
    return [(*stage[:4], stage[4].rstrip(b"\0"), *stage[5:]) for stage in stages[:depth]]


def image_layers() -> QuantizedNetwork:
    window = Window((3, 2), (2, 1), (1, 0, 2, 1))
    return network(
        [
            conv2d(np.ones((4, 1, 3, 2)), np.zeros(4), window, 2, 7, shift=9, low=-8, high=7),
            MaxPool(Window((2, 3), (2, 2), (0, 1, 1, 0))),
            conv2d(np.ones((5, 4, 1, 1)), np.zeros(5), Window((1, 1)), shift=8, low=0, high=7, zero_point=3),
            dense(np.ones((2, 40)), np.zeros(2)),
        ],
        InputFormat((2, 7, 9)),
    )


def test_the_table_of_layers_over_images() -> None:
    low, high = -(2**31), 2**31 - 1
    assert layer_table(lay_out(image_layers()), 4) == [
        (1, 2, 7, 9, 4, 4, 9, 3, 2, 2, 1, 1, 0, 2, 1, 1, 2, 0, 0, 9, -8, 7, 0, 7, 0, *NO_GROUPS),
        (2, 4, 4, 9, 4, 2, 4, 2, 3, 2, 2, 0, 1, 1, 0, 1, 1, 24, 4, 0, 0, 0, 0, 0, 0x80, *NO_GROUPS),
        (1, 4, 2, 4, 5, 2, 4, 1, 1, 1, 1, 0, 0, 0, 0, 4, 5, 24, 4, 8, 0, 7, 3, 0, 0x80, *NO_GROUPS),
        (0, 40, *FLAT, 2, *FLAT, *NO_WINDOW, 0, 0, 30, low, high, 0, 0, 0, *NO_GROUPS),
    ]


def test_where_layers_compute() -> None:
    net = image_layers()
    assert [number(net, f"nn_widest_{name}") for name in ("input", "output", "edged")] == [40, 144, 4 * 5 * 10]
    assert workspace_size(net) == build_twin(net).workspace == 4 * (144 + 200) + 2 * 40 + 144
    assert workspace_size(three_layers()) == 4 * 5 + 2 * 4 + 5


@pytest.mark.parametrize(("bits", "activations"), [(8, 3), (1, 12), (4, 12)])
def test_levels_lie_where_activations_do(bits: int, activations: int) -> None:
    assert workspace_size(random_network([12, 3], 1, bits=bits)) == 4 * 3 + 2 * 12 + activations


def number(net: QuantizedNetwork, name: str) -> int:
    return int.from_bytes(variable(lay_out(net), name), "little")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (InputFormat((12,)), (12, 8, 0, 0, b"", 0)),
        (InputFormat((3, 4), 1, (9,)), (12, 1, 0, 7, b"\x09", 0)),
        (InputFormat((12,), 2, (9, 99, 200), True), (12, 2, 1, 6, bytes([9, 99, 200]), 0)),
        (InputFormat((12,), 4, tuple(range(1, 16)), True, "little"), (12, 4, 1, 0, bytes(range(1, 16)), 0)),
        (InputFormat((2,), 1, value_thresholds=((9,), (256,))), (2, 1, 0, 7, b"", 1)),
        (InputFormat((2,), 1, (), True, "little", ((9,), (256,))), (2, 1, 1, 0, b"", 0)),
    ],
)
def test_the_input(form: InputFormat, expected: tuple[object, ...]) -> None:
    ((values, bits, packed, flip, thresholds, own, *others),) = stage_table(lay_out(one_layer(form)))
    assert (values, bits, packed, flip if bits < 8 else 0, thresholds, own) == expected
    assert others == [0, 0, 0, 1, 0]


def test_thresholds_of_their_own_lie_less_one() -> None:
    form = InputFormat((3,), 2, value_thresholds=((1, 2, 255), (1, 256, 256), (128, 128, 129)))
    assert contents(lay_out(one_layer(form)), "nn_own_thresholds") == bytes([0, 1, 254, 0, 255, 255, 127, 127, 128])
    assert contents(lay_out(one_layer(replace(form, packed=True))), "nn_own_thresholds") == bytes(8)


def one_layer(form: InputFormat) -> QuantizedNetwork:
    return network([dense(np.ones((2, form.size)), np.zeros(2))], form)


def test_one_layer_object_in_several_places() -> None:
    first = dense(np.ones((3, 4)), np.zeros(3), low=-127, high=127)
    square = dense(np.full((3, 3), 2), np.zeros(3), low=-127, high=127)
    spec = lay_out(network([first, square, square]))
    assert [entry[17:19] for entry in layer_table(spec, 3)] == [(0, 0), (12, 3), (0, 0)]
    assert contents(spec, "nn_hidden_weights") == bytes([1] * 12 + [2] * 9)


def test_tables() -> None:
    """Two layers of tables and one between them: rows and orders of all lie in one map, multipliers by the layer."""
    first = table(1, 3, 10, bits=1, members=2, requantization=ByteLanes(3))
    middle = dense(np.ones((2, 10)), np.zeros(2), low=-4, high=3)
    last = table(2, 2, 2, bits=4, members=2, low=-4)
    spec = lay_out(network([first, middle, last], InputFormat((3,), 1, (9,))))
    low, high = -(2**31), 2**31 - 1
    assert layer_table(spec, 3) == [
        (3, 3, *FLAT, 10, *FLAT, *NO_WINDOW, 0, 0, 3, 0, 31, 0, 0, 0, 0, 2, 2, 1, 0, 0, 0, 1),
        (0, 10, *FLAT, 2, *FLAT, *NO_WINDOW, 0, 10, 30, -4, 3, 0, 0, 0, *NO_GROUPS),
        (3, 2, *FLAT, 2, *FLAT, *NO_WINDOW, 0, 0, 30, low, high, 0, 0, 0x80, 0, 1, 2, 4, -4, 4, 80, 0),
    ]
    assert contents(spec, "nn_tables") == first.tables.tobytes() + last.tables.tobytes()
    assert struct.unpack("<6I", contents(spec, "nn_order")) == (0, 1, 2, 0xFFFFFFFF, 0, 1)
    assert contents(spec, "nn_hidden_multipliers") == bytes(80) + pairs(middle)
    assert contents(spec, "nn_places") == bytes(8)


def test_the_stages_of_a_cascade() -> None:
    form = InputFormat((3,), 2, value_thresholds=((1, 2, 3),) * 3)
    narrow = replace(form, bits=1, value_thresholds=((9,), (10,), (11,)))
    nets = [network([dense(np.full((2, 3), n), [n, n])], given) for n, given in enumerate([form, InputFormat((3,)), narrow])]
    deep = replace(nets[1], layers=(dense(np.ones((4, 3)), np.zeros(4), low=0, high=7), dense(np.ones((2, 4)), np.zeros(2))))
    spec = lay_out(cascade(nets[0], deep, nets[2], margin=77))
    assert stage_table(spec) == [
        (3, 2, 0, 6, b"", 1, 0, 0, 0, 1, 77),
        (3, 8, 0, 0, b"", 0, 9, 0, 1, 2, 77),
        (3, 1, 0, 7, b"", 1, 9, 0, 3, 1, 0),
    ]
    assert contents(spec, "nn_own_thresholds") == bytes([0, 1, 2] * 3 + [8, 9, 10])
    assert [entry[17:19] for entry in layer_table(spec, 4)] == [(0, 0), (0, 0), (6, 2), (14, 4)]
    assert contents(spec, "nn_output_weights") == bytes([0] * 6 + [1] * 8 + [2] * 6)
    assert workspace_size(cascade(*nets)) == 4 * 2 + 2 * 3 + 3


def test_the_places_of_values_in_packed_samples() -> None:
    form = InputFormat((4,), 1, (9,), packed=True, order=(2, 0, 3, 1))
    spec = lay_out(one_layer(form))
    assert struct.unpack("<4I", contents(spec, "nn_places")) == (1, 3, 0, 2)
    assert stage_table(spec)[0][7] == 1


@pytest.mark.parametrize("naive", [False, True])
def test_dense_weights_lie_input_by_input_unless_naive(naive: bool) -> None:
    tested = random_network("conv4x3-pool2-5-3", 1, (1, 8, 8))
    spec = lay_out(tested, naive=naive)
    image, first, second = (layer.weights for layer in weighted(tested))
    orders = [image, *(weights if naive else weights.T for weights in (first, second))]
    assert contents(spec, "nn_hidden_weights") == orders[0].tobytes() + orders[1].tobytes()
    assert contents(spec, "nn_output_weights") == orders[2].tobytes()


def test_biases_and_multipliers() -> None:
    tested = random_network("dw3-pool2-5-3", 2, (2, 8, 8))
    spec = lay_out(tested)
    *hidden, last = weighted(tested)
    assert contents(spec, "nn_hidden_bias") == b"".join(layer.bias.tobytes() for layer in hidden)
    assert contents(spec, "nn_output_bias") == last.bias.tobytes()
    assert contents(spec, "nn_hidden_multipliers") == b"".join(pairs(layer) for layer in hidden)
    assert contents(spec, "nn_output_multipliers") == pairs(last)


def pairs(layer: Weighted) -> bytes:
    by = layer.requantization
    return b"".join(struct.pack("<2i", *pair) for pair in zip(by.positive, by.negative, strict=True))


def test_a_network_without_hidden_layers_has_maps_all_the_same() -> None:
    spec = lay_out(random_network([5, 2], 3))
    for part in ("weights", "bias", "multipliers"):
        assert contents(spec, f"nn_hidden_{part}") == bytes(8)
    assert len(contents(spec, "nn_output_weights")) == 10


def test_parameters_are_frozen_and_as_large_as_their_contents() -> None:
    def immutable(spec: MapSpec) -> bool:
        return spec.frozen and spec.contents is not None and spec.value_size == len(spec.contents)

    spec = lay_out(random_network("conv4x3-pool2-2", 4))
    assert all(immutable(each) for each in spec.maps.values())


def test_two_networks_share_nothing() -> None:
    first, second = random_network([5, 4, 2], 5), random_network("conv4x3-pool2-2", 6)
    one = lay_out(first)
    before = {name: spec.contents for name, spec in one.maps.items()}
    lay_out(second)
    assert {name: spec.contents for name, spec in one.maps.items()} == before


def test_as_many_inputs_as_there_is_room_for() -> None:
    assert lay_out(random_network([MAX_INPUTS, 1], 9)).maps["nn_output_weights"].value_size == MAX_INPUTS
    with pytest.raises(ModelError, match=f"{MAX_INPUTS + 1} inputs to a dense layer; the C twin takes at most {MAX_INPUTS}"):
        lay_out(random_network([MAX_INPUTS + 1, 1], 9))


def test_as_many_layers_as_there_is_room_for() -> None:
    assert len(layer_table(lay_out(random_network([2] * (MAX_LAYERS + 1), 7)), MAX_LAYERS)) == MAX_LAYERS
    with pytest.raises(ModelError, match=f"network 'test' has {MAX_LAYERS + 1} layers; the C twin takes at most {MAX_LAYERS}"):
        lay_out(random_network([2] * (MAX_LAYERS + 2), 8))


@pytest.mark.parametrize("naive", [False, True])
@pytest.mark.parametrize("architecture", ["conv16x3-conv16x3-10", "pool5s1-pool5s1-5", "2352-64-10"])
def test_what_is_far_more_than_a_verifier_walks(naive: bool, architecture: str) -> None:
    net = random_network(architecture, 1, (3, 28, 28))
    assert verifier_steps(net) > 1_500_000
    with pytest.raises(ModelError) as caught:
        build_twin(net, naive=naive)
    fact = (
        f"network 'test' ({net.architecture}) takes a verifier some {verifier_steps(net):,} steps in C, and it walks 1,000,000"
    )
    assert str(caught.value) == f"{fact}; use fewer or narrower layers"


@pytest.mark.parametrize("name", ["network", "naive"])
def test_nothing_is_negated(name: str) -> None:
    """Before Linux 6.18 the verifier knows nothing of a number that was, so that no loop over it ends."""
    code = b"".join(function.code for function in read_built(name).functions.values())
    assert code
    assert not [index for index, each in enumerate(insn.decode_all(code)) if each.opcode in (0x84, 0x87)]  # BPF_NEG
