"""Tables, orders of packing and cascades in the kernel compute what the reference computes, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from networks import samples
from tablekinds import CASCADES, KINDS

from ebpfnn.compiler import Body
from ebpfnn.network import QuantizedNetwork
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
BuildBody = Callable[[QuantizedNetwork], Body]


every_network = pytest.mark.parametrize("tested", [*KINDS.values(), *CASCADES.values()], ids=[*KINDS, *CASCADES])


@every_network
def test_tables_and_cascades(build_body: BuildBody, tested: QuantizedNetwork) -> None:
    with Session(tested, RunTrigger(), body=build_body(tested)) as session:
        agree(session, samples(tested.input_shape, 0))


@every_network
def test_compiled(tested: QuantizedNetwork) -> None:
    with Session(tested, RunTrigger()) as session:
        for seed in range(3):
            agree(session, samples(tested.input_shape, seed))
