"""ONNX graphs whose model is an ensemble of trees: TreeEnsembleClassifier, -Regressor and TreeEnsemble of ai.onnx.ml.

https://onnx.ai/onnx/operators defines them. Where the definition leaves the label open, it is onnxruntime's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network import MAX_CLASSES
from ..network.inputformat import InputFormat
from ..network.layers import expect
from ..network.model import LABEL, VALUE, VECTOR
from ..network.preparation import MOST_BYTES, Preparation
from ..trees.fixedpoint import fixed
from ..trees.forest import Forest
from . import tree_columns, tree_ends, tree_nodes, tree_nodes5
from .ensembles import Ensemble, Floats, compare
from .onnx_constants import COMPUTE
from .onnx_file import source, where
from .onnx_operands import Operands, from_tensor
from .options import ImportOptions
from .steps import naming
from .tree_columns import Row
from .tree_ends import Ends
from .tree_nodes import Nodes

if TYPE_CHECKING:
    import onnx

DOMAIN = "ai.onnx.ml"
CLASSIFIER, REGRESSOR, ENSEMBLE = _ENSEMBLES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")
_AFTER = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_KEEP_ORDER = ("NONE", "SOFTMAX", "LOGISTIC")
_HALF = 0.5 + 2.0**-25
"""A sum is above 1/2 if the float32 nearest to it is: votes of half the trees, each of 1/n in float32, are not."""
_MISSING = "rows with missing values are refused; the trees have branches for them"
_BOTH = "onnxruntime compares one of them with 0; export weights of one class, or an ArgMax of the scores"


def is_ensemble(model: onnx.ModelProto) -> bool:
    """Whether the graph has trees."""
    return any(node.op_type in _ENSEMBLES and node.domain == DOMAIN for node in model.graph.node)


def read(model: onnx.ModelProto, name: str, options: ImportOptions) -> Ensemble:
    """The trees of ``model``. Raises :class:`ModelError`, naming the node, for what cannot be imported."""
    plain = options.bits == 8 and not options.packed and not options.shape and options.architecture is None
    expect(plain, "is an ensemble of trees, whose samples are bytes of columns; give no bits, shape or architecture")
    walk = _Walk(model)
    with naming(walk.on.where):
        rule = _asked(_RULES[walk.on.node.op_type](walk), options)
    floats = rule.floats
    compared = compare(floats)
    form = InputFormat((compared.size,), prepared=_preparation(compared.columns))
    labels = options.labels or rule.labels
    count = len(rule.labels)
    expect(len(labels) == count, f"has {count} outputs but there are {len(labels)} labels; give one label an output")
    for label in labels:
        expect(label.isprintable() and bool(label), f"its label {label!r} cannot be shown; give --labels")
    made = fixed(compared.trees, floats.base)
    notes = [*rule.notes, *([_MISSING] if floats.nodes.missing else [])]
    card = {"source": source(model), **({"import": "; ".join(notes)} if notes else {}), **options.card}
    scale, tolerance = made.scale / floats.divisor, made.tolerance / floats.divisor
    forest = Forest(options.name or name, form, labels, made.trees, made.base, scale, tolerance, card, result=rule.result)
    found = Ensemble(forest, floats)
    return found if options.columns is None else found.named(options.columns)


def _preparation(columns: list[dict[str, Any]]) -> Preparation:
    try:
        return Preparation("columns", {"columns": columns})
    except ModelError as error:
        count = sum(len(each["bounds"]) for each in columns)
        fact = f"has {count:,} thresholds, over the {MOST_BYTES >> 20} MiB of JSON that a preparation holds"
        raise ModelError(f"{fact}; train fewer trees, or with a max_depth") from error


class _Walk:
    """The nodes of a graph, in order: those that make the ``row`` of the trees, the trees, ``on``, and the ``ends``."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.ends, self.row, self._made = Ends(), Row(), 0
        self._on: Operands | None = None
        text = {each.name: each for each in graph.initializer if each.data_type == each.STRING}
        self._texts = {name: tuple(map(_text, each.string_data)) for name, each in text.items()}
        self._constants = {each.name: from_tensor(each) for each in graph.initializer if each.name not in text}
        given = [each for each in graph.input if each.name not in self._constants and each.name not in text]
        self.columns, self._rows = tree_columns.begin(given)
        for number, node in enumerate(graph.node, 1):
            here = where(number, node, len(graph.node))
            with naming(here):
                self._take(Operands(node, here, (), "", 1, self._constants))
        self.outputs = [each.name for each in graph.output]
        self.ends.check(self.outputs)

    @property
    def on(self) -> Operands:
        """The node of the trees."""
        if self._on is None:
            raise ModelError("has no ensemble of trees that comes before what takes its outputs; export it again")
        return self._on

    def _take(self, on: Operands) -> None:
        node, inputs = on.node, [name for name in on.node.input if name]
        expect(node.domain in ("", "ai.onnx", DOMAIN), f"{on.where} is of the domain {node.domain!r}; export with ONNX's own")
        if node.op_type in _ENSEMBLES and node.domain == DOMAIN:
            expect(self._on is None, f"{on.where} is a second ensemble of trees; export one, or a forest instead of bagging")
            expect(inputs[0] in self._rows, f"{on.where} takes {inputs[0]!r}, which is no rows; export it again")
            self._on, self.row = on, self._rows[inputs[0]]
            self.ends.begin(node, classifier=node.op_type == CLASSIFIER)
        elif any(name in self.ends.names for name in inputs):
            several = self.on.node.op_type == ENSEMBLE and self.on.attribute("n_targets", 1) > 1
            self.ends.take(on, self._texts, classifier=several or self.on.node.op_type == CLASSIFIER)
        elif any(name in self._rows for name in inputs):
            row = self._rows[node.output[0]] = tree_columns.step(on, self._rows)
            self._made += len(row)
            tree_columns.check(on, row, self._made)
        else:
            known = node.op_type in COMPUTE and all(name in self._constants for name in inputs)
            expect(known, f"{on.where} makes a constant in a way that is not known; fold constants first, as onnxsim does")
            self._constants[node.output[0]] = COMPUTE[node.op_type](on)


@dataclass(frozen=True, eq=False)
class _Rule:
    """``floats`` whose scores say what ``result`` is. ``plain`` is whether they may also be a vector, if people say so."""

    floats: Floats
    labels: tuple[str, ...]
    result: str
    notes: tuple[str, ...] = ()
    plain: bool = False


def _asked(rule: _Rule, options: ImportOptions) -> _Rule:
    """``rule`` with the kind of results that was asked for. Raises :class:`ModelError` if it has another one."""
    if options.result in (None, rule.result):
        return rule
    fact = f"its trees give a result of kind {rule.result}, and cannot give {options.result}"
    expect(rule.plain and options.result == VECTOR, f"{fact}; leave out --result")
    return replace(rule, result=VECTOR)


def _regression(walk: _Walk) -> _Rule:
    on = walk.on
    targets, after = on.attribute("n_targets", 1), on.attribute("post_transform", "NONE")
    expect(1 <= targets <= MAX_CLASSES, f"{on.where} gives {targets} values; 1 to {MAX_CLASSES} are taken")
    expect(after == "NONE", f"{on.where} ends with {after}, which cannot be imported; export its raw value")
    how = on.attribute("aggregate_function", "SUM")
    expect(how in ("SUM", "AVERAGE"), f"{on.where} takes the {how} of its trees; only SUM and AVERAGE can be imported")
    found = tree_nodes.read(on, "target", targets)
    divisor = len(found.roots) if how == "AVERAGE" else 1
    base = _base(on, (0, targets)) * divisor
    floats = Floats(walk.columns, walk.row, found, base if base.size else np.zeros(targets), divisor)
    if targets == 1:
        return _Rule(floats, (walk.outputs[0],), VALUE)
    return _Rule(floats, tuple(map(str, range(targets))), VECTOR)


def _either(walk: _Walk) -> _Rule:
    """One target is a value, and of several the highest score is the label, unless people say otherwise."""
    on = walk.on
    count, after, how = on.attribute("n_targets", 1), on.attribute("post_transform", 0), on.attribute("aggregate_function", 1)
    expect(how in (0, 1), f"{on.where} takes the least or the greatest of its trees; only sums and averages can be imported")
    expect(after == 0 or (count > 1 and after in (1, 2)), f"{on.where} ends with transform {after}; export its raw scores")
    nodes = tree_nodes5.read(on, count)
    floats = Floats(walk.columns, walk.row, nodes, np.zeros(count), 1 if how else len(nodes.roots))
    if count == 1:
        return _Rule(floats, (walk.outputs[0],), VALUE)
    names = walk.ends.classes or tuple(map(str, range(count)))
    expect(len(names) == count, f"{on.where} has {count} scores, and its ArgMax chooses of {len(names)}; export it again")
    plain = after == 0 and set(walk.ends.names.values()) == {tree_ends.SCORES}
    return _Rule(floats, names, LABEL, plain=plain)


def _classification(walk: _Walk) -> _Rule:
    on = walk.on
    own = on.attribute("classlabels_strings") or on.attribute("classlabels_int64s") or ()
    labels = tuple(map(_text, own))
    count = len(labels)
    expect(2 <= count <= MAX_CLASSES, f"{on.where} has {count} labels; 2 to {MAX_CLASSES} are taken")
    after = on.attribute("post_transform", "NONE")
    expect(after in _AFTER, f"{on.where} ends with {after!r}, which is not known; export it again")
    kept = walk.ends.own_label or after in _KEEP_ORDER
    expect(kept, f"{on.where} ends with {after}, and an ArgMax takes that; export the label of the trees")
    nodes = tree_nodes.read(on, "class", count)
    used = nodes.given.any(axis=0)
    names = walk.ends.classes or labels
    expect(len(names) == count, f"{on.where} has {count} labels, and its ArgMax chooses of {len(names)}; export it again")
    if count == 2 and used.sum() == 1:
        return _of_one_score(walk, nodes, int(used.argmax()), names, after)
    for lost in np.flatnonzero(~used)[:1].tolist():
        raise ModelError(f"{on.where} has no weights of class {lost}, {labels[lost]!r}; train with samples of every class")
    base = _base(on, (0, count))
    if count == 2:
        expect(not walk.ends.own_label, f"{on.where} has weights of both of two classes, and {_BOTH}")
    elif not base.size and nodes.weights.min() < 0:
        _check_given(on, nodes)
    return _Rule(Floats(walk.columns, walk.row, nodes, base if base.size else np.zeros(count)), names, LABEL)


def _of_one_score(walk: _Walk, nodes: Nodes, used: int, labels: tuple[str, ...], after: str) -> _Rule:
    """Two classes by one score: the second one if it is above 0, or above 1/2 where all weights say how likely it is."""
    on = walk.on
    base = _base(on, (0,) if used else (0, 1))
    likely = bool((nodes.weights >= 0).all())
    expect(not used or walk.ends.own_label, f"{on.where} has weights of the second class alone; export the label of the trees")
    scores = np.stack([np.zeros(len(nodes.weights)), nodes.weights[:, used]], axis=1)
    limits = np.array([_HALF if likely else 0.0, float(base.sum())])
    odd = likely and after != "NONE"
    notes = (f"no weight is negative, so the label is {labels[1]!r} above 1/2, as onnxruntime has it",) if odd else ()
    return _Rule(Floats(walk.columns, walk.row, replace(nodes, weights=scores), limits), labels, LABEL, notes)


def _check_given(on: Operands, nodes: Nodes) -> None:
    """A class of which no leaf says anything is left out by onnxruntime, and is 0 by the definition.

    So some tree must say something of it at each of its leaves, unless all scores are 0 or more.
    """
    lacking = np.zeros((len(nodes.roots), nodes.given.shape[1]), bool)
    np.logical_or.at(lacking, nodes.tree[nodes.leaves], ~nodes.given[nodes.leaves])
    for lost in np.flatnonzero(lacking.all(axis=0))[:1].tolist():
        fact = f"has no weight of class {lost} in some leaves of every tree, which is not the same to all programs"
        raise ModelError(f"{on.where} {fact}; export it with a weight of 0 there")


def _base(on: Operands, sizes: tuple[int, ...]) -> NDArray[np.float64]:
    found = tree_nodes.floats(on, "base_values").astype(np.float64)
    wanted = " or ".join(map(str, sizes))
    expect(len(found) in sizes, f"{on.where} has {len(found)} base values; only {wanted} can be imported here")
    expect(bool(np.isfinite(found).all()), f"{on.where} has base values that are not finite numbers; train again")
    return found


_RULES = {CLASSIFIER: _classification, REGRESSOR: _regression, ENSEMBLE: _either}


def _text(label: bytes | int) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
