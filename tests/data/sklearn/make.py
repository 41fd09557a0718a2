"""Makes the ONNX files and the rows beside it, with scikit-learn 1.9 and skl2onnx 1.20: python make.py

The tests read the files and need neither package. Data are of scikit-learn: iris, and of diabetes four columns.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

HERE = Path(__file__).parent
IRIS, DIABETES = load_iris(), load_diabetes(scaled=False)
X, SPECIES = IRIS.data.astype(np.float32), IRIS.target_names[IRIS.target]
TWO = np.where(IRIS.target == 1, "yes", "no")
Z, PROGRESS = DIABETES.data[:, [2, 3, 4, 8]].astype(np.float32), DIABETES.target
BOTH = np.stack([PROGRESS, DIABETES.data[:, 6]], axis=1)


def write(name: str, model: Any, rows: np.ndarray, target: np.ndarray, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = None if "initial_types" in options else rows[:1]
        made = to_onnx(model.fit(rows, target), first, **options)
    (HERE / f"{name}.onnx").write_bytes(made.SerializeToString())


def table(name: str, columns: list[str], rows: np.ndarray, target: np.ndarray | None) -> None:
    lines = [",".join([*columns, *(["class"] if target is not None else [])])]
    lines += [",".join([*map(str, row), *([target[n]] if target is not None else [])]) for n, row in enumerate(rows)]
    (HERE / f"{name}.csv").write_text("\n".join(lines) + "\n")


def mlp(kind: Any) -> Any:
    return kind(hidden_layer_sizes=(8, 6), max_iter=3000, random_state=1)


PLAIN = {"options": {"zipmap": False}}
write("logistic", make_pipeline(StandardScaler(), LogisticRegression()), X, SPECIES)
write("logistic-two", make_pipeline(StandardScaler(), LogisticRegression()), X, IRIS.target == 1, **PLAIN)
write("mlp", make_pipeline(StandardScaler(), mlp(MLPClassifier)), X, SPECIES, **PLAIN)
write("mlp-two", make_pipeline(StandardScaler(), mlp(MLPClassifier)), X, TWO)
write("minmax", make_pipeline(MinMaxScaler(), LogisticRegression(C=100)), X, IRIS.target)
write("robust", make_pipeline(RobustScaler(), LogisticRegression()), X, IRIS.target)
write("pca", make_pipeline(StandardScaler(), PCA(3), mlp(MLPClassifier)), X, IRIS.target)
write("best", make_pipeline(SelectKBest(k=2), StandardScaler(), LogisticRegression()), X, SPECIES)
write("binarizer", make_pipeline(StandardScaler(), Binarizer(threshold=0.25), LogisticRegression()), X, SPECIES)
write("svm", make_pipeline(StandardScaler(), LinearSVC()), X, SPECIES, options={LinearSVC: {"raw_scores": True}})
write("svm-two", make_pipeline(StandardScaler(), LinearSVC()), X, TWO, options={LinearSVC: {"raw_scores": True}})
write("svc-two", make_pipeline(StandardScaler(), SVC(kernel="linear")), X, TWO, **PLAIN)
write("svc-chance", make_pipeline(StandardScaler(), SVC(kernel="linear", probability=True)), X, TWO, **PLAIN)
write("svc-three", make_pipeline(StandardScaler(), SVC(kernel="linear")), X, SPECIES, **PLAIN)
write("svc-rbf", make_pipeline(StandardScaler(), SVC()), X, TWO, **PLAIN)
write("imputer", make_pipeline(SimpleImputer(), LogisticRegression()), X, SPECIES)
write("normalizer", make_pipeline(Normalizer(), LogisticRegression()), X, SPECIES)
write("ridge", make_pipeline(StandardScaler(), Ridge()), Z, PROGRESS)
write("linear", LinearRegression(), Z, PROGRESS)
write("svr", make_pipeline(StandardScaler(), SVR(kernel="linear")), Z[:40], PROGRESS[:40])
write("mlp-value", make_pipeline(StandardScaler(), mlp(MLPRegressor)), Z, PROGRESS)
write("linear-vector", make_pipeline(StandardScaler(), LinearRegression()), Z, BOTH)
write("mlp-vector", make_pipeline(StandardScaler(), mlp(MLPRegressor)), Z, BOTH)
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ONE_EACH = {"initial_types": [(name, FloatTensorType([None, 1])) for name in NAMES], **PLAIN}
MIXED = {"initial_types": [("sepals", FloatTensorType([None, 2]))], **PLAIN}
MIXED["initial_types"] += [(name, Int64TensorType([None, 1])) for name in NAMES[2:]]
SCALERS = ColumnTransformer([("petals", StandardScaler(), [3, 2]), ("sepals", MinMaxScaler(), [0, 1])])
write("frame", make_pipeline(StandardScaler(), mlp(MLPClassifier)), X, SPECIES, **ONE_EACH)
write("branches", make_pipeline(SCALERS, LogisticRegression(C=20)), X, SPECIES, **ONE_EACH)
write("whole", make_pipeline(StandardScaler(), LogisticRegression()), X.round(), SPECIES, **MIXED)
table("iris", NAMES, X, SPECIES)
table("diabetes", ["bmi", "bp", "s1", "s5"], Z, None)
