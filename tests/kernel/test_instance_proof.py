"""What an instance is proved by: a body that is wrong on few samples only is refused, wherever it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from instances import all_names, names
from networks import THRESHOLDS, dense, input_format, network

from ebpfnn import Instance
from ebpfnn.compiler import Body
from ebpfnn.errors import SessionError
from ebpfnn.instance import Store
from ebpfnn.instance.proof import proving
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins
from ebpfnn.session.compiling import compile_here

WEIGHTS = np.arange(1, 19).reshape(2, 9) * [[1], [-1]]
NETWORK = network([dense(WEIGHTS, [7, 9])])
# When a body leaves an earlier sample's scores: of nine bytes, ``bright`` are not 0, and their sum is ``sum``.
WRONG = {
    "blank": "!sum",
    "all 255": "sum == 9 * 255",
    "one value": "bright == 9 && sum % 9 == 0 && sum / 9 == values[0] && values[0] == values[4] && values[0] == values[8]",
    "a single pixel": "bright == 1",
    "the first pixel alone": "bright == 1 && values[0]",
    "the last pixel alone": "bright == 1 && values[8]",
    "few pixels": "bright == 1 || bright == 2",
    "noise": "bright > 6 && values[0] != values[1]",
}
BODY = """
#include <ebpfnn/abi.h>
int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	const __u8 *values = sample;
	__s32 first = 7, second = 9;
	__u32 sum = 0, bright = 0;

	for (int i = 0; i < 9; i++) {
		first += (i + 1) * values[i];
		second -= (i + 10) * values[i];
		sum += values[i];
		bright += values[i] != 0;
	}
	(void)sum, (void)bright;
	if (WRONG)
		return 0;
	result->scores[0] = first;
	result->scores[1] = second;
	result->label = second > first;
	return 0;
}
"""


@pytest.fixture
def body(build_spec: Callable[[str], ObjectSpec]) -> Callable[[str], Body]:
    """A body for :data:`NETWORK` that is wrong where the condition says."""
    return lambda wrong: Body(build_spec(BODY.replace("WRONG", wrong)), 0)


@pytest.mark.root
@pytest.mark.parametrize("trigger", ["run", "tracepoint", "xdp"])
def test_a_body_that_is_right_is_taken(body: Callable[[str], Body], trigger: str, store: Store, tracing: None) -> None:
    with Instance.load(NETWORK, Plugins.installed().trigger(trigger), name="one", body=body("0")):
        assert names(store) == all_names("one")


@pytest.mark.root
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("trigger", ["run", "tracepoint", "xdp"])
def test_a_body_that_is_wrong_at_times_is_refused(
    body: Callable[[str], Body], wrong: str, trigger: str, store: Store, tracing: None
) -> None:
    with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
        Instance.load(NETWORK, Plugins.installed().trigger(trigger), name="one", body=body(wrong))
    assert names(store) == set()


@pytest.mark.root
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_nor_is_it_swapped_in(body: Callable[[str], Body], wrong: str, store: Store) -> None:
    with Instance.load(NETWORK, RunTrigger(), name="one", body=body("0")) as instance:
        with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
            instance.swap(NETWORK, body=body(wrong))
        with instance.session() as session:
            blank = np.zeros(9, np.uint8)
            assert session.infer(blank).scores.tolist() == reference.scores(NETWORK, blank).tolist()


@pytest.mark.root
def test_an_event_that_cannot_be_provoked_is_proved_as_well(body: Callable[[str], Body], store: Store, tracing: None) -> None:
    with pytest.raises(
        SessionError, match=r"differ from the reference \(sample 1 of the proof, by BPF_PROG_RUN of the same code"
    ):
        Instance.load(
            NETWORK, Plugins.installed().trigger("tracepoint"), "syscalls:sys_enter_acct", name="one", body=body("!sum")
        )
    assert names(store) == set()


@pytest.mark.root
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("which", ["lowest", "highest"])
def test_a_threshold_that_is_off_by_one_is_refused(bits: int, which: str, store: Store) -> None:
    made = network(NETWORK.layers, input_format((9,), bits))
    place = 0 if which == "lowest" else len(THRESHOLDS[bits]) - 1
    for step in (-1, 1):
        thresholds = tuple(each + step * (number == place) for number, each in enumerate(THRESHOLDS[bits]))
        wrong = compile_here(replace(made, input=replace(made.input, thresholds=thresholds)))
        with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
            Instance.load(made, RunTrigger(), name="one", body=wrong)
    assert names(store) == set()


@pytest.mark.root
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("place", [0, -1])
def test_a_threshold_of_one_value_that_is_off_by_one_is_refused(bits: int, place: int, store: Store) -> None:
    own = [list(THRESHOLDS[bits]) for _ in range(9)]
    made = network(NETWORK.layers, InputFormat((9,), bits, value_thresholds=tuple(map(tuple, own))))
    for step in (-1, 1):
        bent = [list(each) for each in own]
        bent[4][place] += step
        wrong = compile_here(replace(made, input=replace(made.input, value_thresholds=tuple(map(tuple, bent)))))
        with pytest.raises(SessionError, match="the scores in the kernel differ from the reference"):
            Instance.load(made, RunTrigger(), name="one", body=wrong)
    assert names(store) == set()


def test_samples_around_thresholds_of_their_own() -> None:
    form = InputFormat((2,), 2, value_thresholds=((1, 9, 256), (7, 7, 200)))
    found = proving(form).tolist()
    for sample in ([0, 6], [1, 7], [8, 6], [9, 7], [255, 199], [255, 200]):
        assert sample in found


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", [(1,), (2,), (9,), (3, 5), (2, 4, 4)])
def test_a_dozen_samples_none_like_the_one_before(shape: tuple[int, ...], bits: int) -> None:
    found = proving(input_format(shape, bits))
    assert found.shape[1:] == shape
    assert len(found) <= 20
    assert any(one.max() > 0 and not two.any() for one, two in pairwise(found))
    for value in (0, 255, *(each - gap for each in (THRESHOLDS[bits] or (1,))[:1] for gap in (0, 1))):
        assert any((sample == value).all() for sample in found)
