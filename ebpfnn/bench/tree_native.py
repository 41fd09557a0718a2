"""The same trees in the C that treelite and tl2cgen make of them, built by the host's compiler."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..trees import Forest, Tree
from .native import Kind, Timed, build, possible
from .tree_rows import boosted, of_one_label
from .weights import aligned

TL2CGEN = Kind("tl2cgen", "tl2cgen.c", frozenset())
_LIBRARIES = ("treelite", "tl2cgen")
_MOST_NODES = 1 << 15  # a C compiler takes minutes for more


class _Network(ctypes.Structure):
    """``struct network`` of native/tl2cgen.c."""

    _fields_ = (("sample_bytes", ctypes.c_int32),)


class Tl2cgenRunner(Timed):
    """Branches in float32, one sample a call. Raises :class:`NotSupported` without a compiler that takes them."""

    exact = False
    takes = "float32"

    def __init__(self, forest: Forest) -> None:
        super().__init__(TL2CGEN.name, len(forest.labels))
        with TemporaryDirectory() as directory:
            _generate(forest, Path(directory))
            self._library = build(TL2CGEN, (f"-I{directory}", f"{directory}/main.c"))
        self._network = _Network(4 * forest.input.size)

    def load(self, samples: NDArray[np.uint8]) -> None:
        flat = samples.reshape(len(samples), -1)
        held = aligned(flat.shape, np.float32)
        held[...] = flat
        self.hold_samples(held.view(np.uint8))

    def scores(self, count: int) -> NDArray[Any]:
        return super().scores(count).view(np.float32)


def tree_runners(forest: Forest, left_out: dict[str, str]) -> Iterator[Timed]:
    """The rows in C. For each that cannot be made, ``left_out`` gets the reason, by its name."""
    missing = next((library for library in _LIBRARIES if not find_spec(library)), None)
    if missing:
        left_out[TL2CGEN.name] = f"{missing} is not installed"
    elif forest.nodes > _MOST_NODES:
        left_out[TL2CGEN.name] = f"{forest.nodes:,} nodes, which a C compiler takes minutes for"
    else:
        for _ in possible((TL2CGEN,), left_out):
            try:
                yield Tl2cgenRunner(forest)
            except NotSupported as reason:
                left_out[TL2CGEN.name] = str(reason)


def _generate(forest: Forest, directory: Path) -> None:
    """Writes main.c and header.h."""
    import tl2cgen

    with _silence():
        tl2cgen.generate_c_code(as_treelite(forest), dirpath=str(directory), params={}, verbose=False)


@contextmanager
def _silence() -> Iterator[None]:
    """Drops what the libraries write to standard output and error, in C++ too, which no option turns off."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept, nothing = [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nothing, stream)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        for stream, former in enumerate(kept, 1):
            os.dup2(former, stream)
        for each in (*kept, nothing):
            os.close(each)


def as_treelite(forest: Forest) -> Any:
    """A model of treelite: one label is a number, and several have a leaf vector, or of boosted trees a tree each."""
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

    classes, count = len(forest.labels), len(forest.trees)
    several, vectors = classes > 1, classes > 1 and not boosted(forest)
    labels = [-1 if vectors else of_one_label(tree) for tree in forest.trees]
    builder = ModelBuilder(
        threshold_type="float32",
        leaf_output_type="float32",
        metadata=Metadata(
            num_feature=forest.input.size,
            task_type="kMultiClf" if several else "kRegressor",
            average_tree_output=False,
            num_target=1,
            num_class=[classes],
            leaf_vector_shape=(1, classes if vectors else 1),
        ),
        tree_annotation=TreeAnnotation(num_tree=count, target_id=[0] * count, class_id=labels),
        postprocessor=PostProcessorFunc(name="identity_multiclass" if several else "identity"),
        base_scores=list(map(float, forest.base)),
    )
    for tree, label in zip(forest.trees, labels, strict=True):
        _add(builder, tree, tree.leaves.tolist() if vectors else tree.leaves[:, label].tolist())
    return builder.commit()


def _add(builder: Any, tree: Tree, leaves: list[Any]) -> None:
    children = np.where(tree.children >= 0, tree.children, tree.nodes - 1 - tree.children)
    builder.start_tree()
    for node, (value, threshold, (left, right)) in enumerate(zip(tree.values, tree.thresholds, children, strict=True)):
        builder.start_node(node)
        builder.numerical_test(
            feature_id=int(value),
            threshold=float(threshold),
            default_left=True,
            opname="<",
            left_child_key=int(left),
            right_child_key=int(right),
        )
        builder.end_node()
    for leaf, adds in enumerate(leaves, tree.nodes):
        builder.start_node(leaf)
        builder.leaf(adds)
        builder.end_node()
    builder.end_tree()
