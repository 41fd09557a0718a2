"""The maps that make the C twin a network of its own."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from networks import dense, network, random_network

from ebpfnn.built import read_built
from ebpfnn.compiler import build_twin
from ebpfnn.compiler.twin import MAX_INPUTS, MAX_LAYERS
from ebpfnn.errors import ModelError
from ebpfnn.network import Dense, QuantizedNetwork
from ebpfnn.obj import MapSpec, ObjectSpec, insn

LAYER = struct.Struct("<5I2iI")


def contents(spec: ObjectSpec, name: str) -> bytes:
    found = spec.maps[name].contents
    assert found is not None
    return found


def variable(spec: ObjectSpec, name: str) -> bytes:
    place = spec.variables[name]
    return contents(spec, place.map)[place.offset : place.offset + place.size]


def layer_table(spec: ObjectSpec, depth: int) -> list[tuple[int, ...]]:
    table = variable(spec, "layers")
    assert len(table) == MAX_LAYERS * LAYER.size
    assert not any(table[depth * LAYER.size :])
    return list(LAYER.iter_unpack(table[: depth * LAYER.size]))


def three_layers() -> QuantizedNetwork:
    return network(
        [
            dense(np.ones((3, 4)), np.zeros(3), shift=11, low=-127, high=127),
            dense(np.ones((2, 3)), np.zeros(2), shift=12, low=0, high=255),
            dense(np.ones((5, 2)), np.zeros(5), shift=13, low=-7, high=9),
        ]
    )


def test_the_layer_table() -> None:
    spec = build_twin(three_layers())
    assert layer_table(spec, 3) == [
        (4, 3, 0, 0, 11, -127, 127, 0),
        (3, 2, 12, 3, 12, 0, 255, 0x80),
        (2, 5, 0, 0, 13, -7, 9, 0),
    ]
    assert variable(spec, "depth") == struct.pack("<I", 3)


def test_one_layer_object_in_several_places() -> None:
    first = dense(np.ones((3, 4)), np.zeros(3), low=-127, high=127)
    square = dense(np.full((3, 3), 2), np.zeros(3), low=-127, high=127)
    spec = build_twin(network([first, square, square]))
    assert [entry[2:4] for entry in layer_table(spec, 3)] == [(0, 0), (12, 3), (0, 0)]
    assert contents(spec, "hidden_weights") == bytes([1] * 12 + [2] * 9)


@pytest.mark.parametrize("naive", [False, True])
def test_weights_lie_input_by_input_unless_naive(naive: bool) -> None:
    tested = random_network((5, 4, 3, 2), seed=1)
    spec = build_twin(tested, naive=naive)
    orders = [layer.weights if naive else layer.weights.T for layer in tested.layers]
    assert contents(spec, "hidden_weights") == orders[0].tobytes() + orders[1].tobytes()
    assert contents(spec, "output_weights") == orders[2].tobytes()


def test_biases_and_multipliers() -> None:
    tested = random_network((5, 4, 3, 2), seed=2)
    spec = build_twin(tested)
    hidden, last = tested.layers[:-1], tested.layers[-1]
    assert contents(spec, "hidden_bias") == b"".join(layer.bias.tobytes() for layer in hidden)
    assert contents(spec, "output_bias") == last.bias.tobytes()
    assert contents(spec, "hidden_multipliers") == b"".join(map(pairs, hidden))
    assert contents(spec, "output_multipliers") == pairs(last)


def pairs(layer: Dense) -> bytes:
    return b"".join(struct.pack("<2i", *pair) for pair in zip(layer.positive, layer.negative, strict=True))


def test_a_network_without_hidden_layers_has_maps_all_the_same() -> None:
    spec = build_twin(random_network((5, 2), seed=3))
    for part in ("weights", "bias", "multipliers"):
        assert contents(spec, f"hidden_{part}") == bytes(8)
    assert len(contents(spec, "output_weights")) == 10


def test_parameters_are_frozen_and_as_large_as_their_contents() -> None:
    def immutable(spec: MapSpec) -> bool:
        return spec.frozen and spec.contents is not None and spec.value_size == len(spec.contents)

    spec = build_twin(random_network((5, 4, 2), seed=4))
    assert all(immutable(each) for each in spec.maps.values())


def test_two_networks_share_nothing() -> None:
    first, second = random_network((5, 4, 2), seed=5), random_network((5, 4, 2), seed=6)
    one = build_twin(first)
    before = {name: spec.contents for name, spec in one.maps.items()}
    build_twin(second)
    assert {name: spec.contents for name, spec in one.maps.items()} == before


def test_as_many_inputs_as_there_is_room_for() -> None:
    assert build_twin(random_network((MAX_INPUTS, 1), seed=9)).maps["output_weights"].value_size == MAX_INPUTS
    with pytest.raises(ModelError, match=f"{MAX_INPUTS + 1} inputs; the C twin takes at most {MAX_INPUTS}"):
        build_twin(random_network((MAX_INPUTS + 1, 1), seed=9))


def test_as_many_layers_as_there_is_room_for() -> None:
    assert len(layer_table(build_twin(random_network((2,) * (MAX_LAYERS + 1), seed=7)), MAX_LAYERS)) == MAX_LAYERS
    with pytest.raises(ModelError, match=f"network 'test' has {MAX_LAYERS + 1} layers; the C twin takes at most {MAX_LAYERS}"):
        build_twin(random_network((2,) * (MAX_LAYERS + 2), seed=8))


@pytest.mark.parametrize("name", ["network", "naive"])
def test_nothing_is_negated(name: str) -> None:
    """Before Linux 6.18 the verifier knows nothing of a number that was, so that no loop over it ends."""
    code = b"".join(function.code for function in read_built(name).functions.values())
    assert code
    assert not [index for index, each in enumerate(insn.decode_all(code)) if each.opcode in (0x84, 0x87)]  # BPF_NEG
