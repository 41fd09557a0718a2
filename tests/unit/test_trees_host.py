"""trees.h by the host's compiler matches the reference, bit for bit."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from forests import forest, grown, random_forest, samples_of, skinny
from host import build
from twins import contents, variable

from ebpfnn.errors import ModelError
from ebpfnn.trees import Forest, reference
from ebpfnn.trees.twin import build_twin, lay_out

DRAWN = np.random.default_rng(8)
TABLES, MASKS = ("nodes", "roots", "base", "leaves"), ("node_mask", "row_mask", "value_mask")


class HostForest(ctypes.Structure):
    """``struct nn_tree_forest``."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in TABLES),
        *((name, ctypes.c_uint64) for name in ("count", "depth", "values", "labels", *MASKS)),
    )


class Workspace(ctypes.Structure):
    """``struct nn_tree_workspace``."""

    _fields_ = (("scores", ctypes.c_void_p), ("values", ctypes.c_void_p))


@pytest.fixture(scope="module", params=["-O2", "-O0"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(tmp_path_factory.mktemp("host"), request.param, source="host_trees.c")


def assert_equal(library: ctypes.CDLL, made: Forest) -> None:
    spec, samples = lay_out(made), samples_of(made, 5)
    held = {name: ctypes.create_string_buffer(contents(spec, f"nn_tree_{name}")) for name in TABLES}
    numbers = (variable(spec, f"nn_tree_{name}") for name in ("count", "depth", "values", "labels", *MASKS))
    host = HostForest(*map(ctypes.addressof, held.values()), *(int.from_bytes(each, "little") for each in numbers))
    scores, values = np.zeros(len(made.labels), np.int32), np.full(host.value_mask + 1, 0x5A, np.uint8)
    workspace = Workspace(scores.ctypes.data, values.ctypes.data)
    expected = zip(reference.labels(made, samples).tolist(), reference.scores(made, samples).tolist(), strict=True)
    for sample, (label, wanted) in zip(np.ascontiguousarray(samples), expected, strict=True):
        found = library.host_infer_trees(ctypes.byref(host), ctypes.c_void_p(sample.ctypes.data), ctypes.byref(workspace))
        assert (found, scores.tolist()) == (label, wanted)
        assert (values[made.input.size :] == 0x5A).all()


@pytest.mark.parametrize("size", [(1, 8, 6, 2), (20, 4, 30, 64), (3, 0, 2, 1), (9, 6, 300, 3)])
def test_random_forests(library: ctypes.CDLL, size: tuple[int, int, int, int]) -> None:
    for seed in range(3):
        assert_equal(library, random_forest(seed, *size))


def test_trees_of_all_depths(library: ctypes.CDLL) -> None:
    trees = [grown(DRAWN, depth, 12, 3) for depth in (0, 1, 4, 9)]
    assert_equal(library, forest([*trees, skinny(DRAWN, 60, 12, 3)], 12))


def test_scores_at_the_ends_of_int32(library: ctypes.CDLL) -> None:
    tree = grown(DRAWN, 2, 4, 2, 1.0)
    for end in (-(2**31), 2**31 - 1):
        leaves = np.full((4, 2), end, np.int32)
        assert_equal(library, forest([type(tree)(tree.values, tree.thresholds, tree.children, leaves)], 4, 0))


def test_a_forest_that_no_verifier_walks_is_refused() -> None:
    made = forest([grown(DRAWN, 3, 9, 64, 1.0)] * 2000, 9)
    with pytest.raises(ModelError, match="use fewer trees or levels, or leave out --twin"):
        build_twin(made)
