"""Architectures of trees as short strings, and which options trees take.

==================  ==================================================================================
``tree:8``          one decision tree, of at most 8 comparisons
``forest:16x8``     a random forest: 16 trees, of at most 8 comparisons each
``boost:32x4``      gradient boosting: 32 rounds of trees of at most 4 comparisons, one a class of three
                    or more
==================  ==================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from ..errors import ModelError
from ..trees.forest import MOST_TREES
from .options import BOOST, KINDS_OF_TREES, TREE, Distortion, Options, Precision

DEEPEST = 64
_WORD = re.compile(r"(?P<kind>[a-z]+):(?:(?P<trees>[0-9]{1,6})x)?(?P<depth>[0-9]{1,6})")
_USED = {"output", "data", "dataset", "prepare", "input_shape", "label", "ignore", "split_by", "columns", "encode", "spec"}
_USED |= {"class_weights", "architecture", "name", "seed", "threads", "leaf_rows", "distortion", "precision"}
_NAMES = {"teaching": "teacher", "input_bits": "bits", "thresholds": "threshold", "idle": "trim-idle"}
"""What options are called on the command line, where not by the name of their field."""
_ON_CPU = ("auto", "cpu")


@dataclass(frozen=True)
class Ensemble:
    """``kind`` is "tree", "forest" or "boost"; of ``trees``, or rounds of boosting, none compares more than ``depth`` times."""

    kind: str
    trees: int
    depth: int


def parse(architecture: str) -> Ensemble:
    """The trees that ``architecture`` names. Raises :class:`ModelError` for one that is malformed, or too large."""
    found = _WORD.fullmatch(architecture)
    if not found or found["kind"] not in KINDS_OF_TREES or (found["trees"] is None) != (found["kind"] == TREE):
        raise ModelError(f"architecture {architecture!r} is none of trees; give one such as tree:8, forest:16x8 or boost:32x4")
    trees, depth = int(found["trees"] or 1), int(found["depth"])
    if not (1 <= trees <= MOST_TREES and 1 <= depth <= DEEPEST):
        limits = f"1 to {MOST_TREES:,} trees of depth 1 to {DEEPEST}"
        raise ModelError(f"architecture {architecture!r}: there may be {limits}; give such numbers")
    return Ensemble(found["kind"], trees, depth)


def check(options: Options) -> Ensemble:
    """The trees of ``options``. Raises :class:`ModelError` as :func:`parse`, and for an option that trees have no use for."""
    ensemble = parse(options.architecture)
    used = _USED | ({"learning_rate"} if ensemble.kind == BOOST else set())
    used |= {"device"} if options.device in _ON_CPU else set()
    for given, usual in (
        (options, Options(options.output)),
        (options.precision, Precision()),
        (options.distortion, Distortion()),
    ):
        for field in fields(given) if given is not None else ():
            if field.name not in used and getattr(given, field.name) != getattr(usual, field.name):
                option = _NAMES.get(field.name, field.name.replace("_", "-"))
                raise ModelError(f"--{option}: trees, {options.architecture!r}, have no use for it; leave it out")
    return ensemble
