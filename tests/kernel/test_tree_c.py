"""The C that forests are compared with computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from clang import find_clang
from ebpfnn_plugins.run import RunTrigger
from forests import forest, grown, random_forest, samples_of, skinny

from ebpfnn.bench import tree_c
from ebpfnn.errors import NotSupported
from ebpfnn.session import Session
from ebpfnn.trees import reference

pytestmark = pytest.mark.root
DRAWN = np.random.default_rng(6)
FORESTS = {
    "one tree": random_forest(1, 1, 8, 6, 2),
    "a score alone": random_forest(2, 20, 3, 30, 1),
    "64 labels": random_forest(3, 3, 4, 9, 64),
    "all depths": forest(
        [grown(DRAWN, depth, 20, 3) for depth in (0, 1, 6)] + [skinny(DRAWN, 60, 20, 3)], 20, -(2**31) + 40_000
    ),
}


@pytest.mark.parametrize("name", FORESTS)
def test_it_is_exact(name: str) -> None:
    clang, made = find_clang(), FORESTS[name]
    if clang is None:
        pytest.skip("clang is not installed")
    samples = samples_of(made, 2)
    with Session(made, RunTrigger(), body=tree_c.body(made, clang)) as session:
        found = session.infer_many(samples)
    assert np.array_equal(found.scores, reference.scores(made, samples))
    assert np.array_equal(found.labels, reference.labels(made, samples))


def test_a_compiler_that_fails_is_told_on_one_line() -> None:
    with pytest.raises(NotSupported, match="clang failed") as refused:
        tree_c.body(FORESTS["one tree"], "/bin/false")
    assert "\n" not in str(refused.value)
