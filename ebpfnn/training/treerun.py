"""A training run of trees, from its options to the file that it writes. It needs scikit-learn, and no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..bodies import modelfile
from ..errors import InputError, ModelError, NotSupported
from ..plugin import Plugins
from ..quantize import floatfile
from ..trees import Forest
from ..trees.fixedpoint import fixed
from ..trees.forest import MOST_TREES
from . import card
from .class_weights import class_weights
from .data import Data, load
from .ensembles import Ensemble, check
from .options import BOOST, Options
from .output import check_writable
from .preparing import input_format


def run(options: Options, plugins: Plugins, tell: Callable[[str], object]) -> Path:
    """Trains, measures and saves; see :func:`ebpfnn.training.train`."""
    ensemble = check(options)
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        fact = f"--arch {options.architecture}: trees are trained by scikit-learn, which is not installed"
        raise NotSupported(f"{fact}; pip install 'ebpfnn[train]'") from error
    check_writable(options.output)
    data = load(options, plugins, tell)
    _check_classes(ensemble, data)
    forest = trained(options, ensemble, data)
    modelfile.save(forest, options.output)
    floatfile.beside(options.output).unlink(missing_ok=True)  # of another model
    return options.output


def trained(options: Options, ensemble: Ensemble, data: Data) -> Forest:
    """Trees that learned from the training samples of ``data``, in integers, with their card."""
    from . import growing, sklearn_trees

    weights = class_weights(options.class_weights, data.training.labels, data.names)
    grown = growing.grow(options, ensemble, data.training, weights)
    trees, base = sklearn_trees.float_trees(grown.estimator, len(data.names))
    made = fixed(trees, base)
    form = input_format(options.precision, data.training.samples.shape[1:], data.preparation)
    forest = Forest(options.name, form, data.names, made.trees, made.base, made.scale, made.tolerance, events=data.events)
    sklearn_trees.check(grown.estimator, forest, data.training.samples)
    shares = growing.share(grown.estimator, data.held_out), growing.share(grown.estimator, data.test)
    return replace(forest, card=card.of_trees(options, forest, data, grown.recipe, shares))


def _check_classes(ensemble: Ensemble, data: Data) -> None:
    """Raises for data of one class, and for more trees, one a class and round, than a forest has."""
    classes = len(np.unique(data.training.labels))
    if classes < 2:
        only = data.names[data.training.labels[0]]
        raise InputError(f"data: all samples to learn from are of class '{only}'; give samples of another class too")
    trees = ensemble.trees * (classes if ensemble.kind == BOOST and classes > 2 else 1)
    if trees > MOST_TREES:
        fact = f"{ensemble.trees:,} rounds of {classes} trees are {trees:,}, and a forest has at most {MOST_TREES:,}"
        raise ModelError(f"{fact}; give {MOST_TREES // classes} rounds at most")
