"""Values with thresholds of their own, in the kernel: at the corners, by every body, and in packets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import definitions
import numpy as np
import pytest
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from networks import around_own, own_format, samples, small_weights

from ebpfnn.compiler import Body, KernelFeatures, build_twin, compile_network
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import MOST_OWN
from ebpfnn.plugin import Trigger
from ebpfnn.session import Session

pytestmark = pytest.mark.root
FORMS = [{}, {"packed": True}, {"packed": True, "bit_order": "little"}]
FEATURES = {"iterators": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}


def expect_right(made: QuantizedNetwork, body: Body, trigger: Callable[[], Trigger] = RunTrigger) -> None:
    """Each sample by the definition of a level, which shares no code with the package."""
    given = np.concatenate([around_own(made.input), samples(made.input.shape, 2)])
    assert len({tuple(definitions.scores(made, sample.tolist())) for sample in given}) > 1
    with Session(made, trigger(), body=body) as session:
        for sample in given:
            assert session.infer(sample).scores.tolist() == definitions.scores(made, sample.tolist())


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("widths", [(1, 3, 2), (5, 3), (9, 70, 3), (41, 33, 5)], ids=str)
def test_every_plan(widths: tuple[int, ...], bits: int, form: dict[str, Any], features: KernelFeatures) -> None:
    made = small_weights(widths, own_format(widths[0], bits, 3, **form), 1)
    for plan in ("straight", "listed", "rows"):
        expect_right(made, compile_network(made, features, plan))


@pytest.mark.parametrize("naive", [False, True], ids=["twin", "naive"])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 13])
def test_in_c(size: int, bits: int, form: dict[str, Any], naive: bool) -> None:
    made = small_weights((size, 9, 3), own_format(size, bits, 4, **form), 1)
    expect_right(made, build_twin(made, naive=naive))


@pytest.mark.parametrize("trigger", [XdpTrigger, TcTrigger, CgroupSkbTrigger])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_samples_in_packets(form: dict[str, Any], trigger: Callable[[], Trigger]) -> None:
    made = small_weights((13, 9, 3), own_format(13, 2, 5, **form), 1)
    expect_right(made, compile_network(made, OLDEST), trigger)


def test_as_many_values_as_may_have_their_own() -> None:
    made = small_weights((MOST_OWN, 3), own_format(MOST_OWN, 4, 6), 1)
    given = around_own(made.input)[::9]
    for plan in ("straight", "rows"):
        with Session(made, RunTrigger(), body=compile_network(made, OLDEST, plan)) as session:
            found = session.infer_many(given).scores.tolist()
        assert found == [definitions.scores(made, sample.tolist()) for sample in given]
