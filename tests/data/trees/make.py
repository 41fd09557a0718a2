"""Makes the .onnx files beside it, of data that come with scikit-learn.

pip install scikit-learn skl2onnx lightgbm xgboost onnxmltools; python make.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

HERE = Path(__file__).parent
BINARY, WINE, DIABETES = (load(return_X_y=True) for load in (load_breast_cancer, load_wine, load_diabetes))
NAMES = np.array(load_wine().target_names)[WINE[1]]


def put(name: str, model: Any) -> None:
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def sklearn(name: str, model: Any, x: Any, y: Any, **options: Any) -> None:
    put(name, to_onnx(model.fit(x, y), x[:1].astype(np.float32), options=options or None))


def other(name: str, convert: Any, model: Any, x: Any, y: Any) -> None:
    types = [("input", FloatTensorType([None, x.shape[1]]))]
    put(name, convert(model.fit(x, y), initial_types=types, target_opset=15))


def main() -> None:
    small = {"max_depth": 4, "random_state": 0}
    sklearn("skl-forest", RandomForestClassifier(7, **small), WINE[0], NAMES, zipmap=False)
    sklearn("skl-forest-2", RandomForestClassifier(9, **small), *BINARY)
    boost = GradientBoostingClassifier(n_estimators=5, max_depth=2, random_state=0)
    sklearn("skl-boost-2", boost, *BINARY)
    sklearn("skl-scaled", make_pipeline(StandardScaler(), boost), *WINE)
    sklearn("skl-clipped", make_pipeline(MinMaxScaler(clip=True), RandomForestClassifier(5, **small)), *WINE)
    sklearn("skl-value", RandomForestRegressor(7, **small), *DIABETES)
    both = np.stack([DIABETES[1], DIABETES[0][:, 6]], axis=1)
    sklearn("skl-vector", RandomForestRegressor(7, **small), DIABETES[0][:, :6], both)
    lgb = {"n_estimators": 5, "num_leaves": 7, "verbose": -1}
    other("lgb-2", onnxmltools.convert_lightgbm, lightgbm.LGBMClassifier(**lgb), *BINARY)
    other("lgb-3", onnxmltools.convert_lightgbm, lightgbm.LGBMClassifier(**lgb), WINE[0], NAMES)
    other("lgb-value", onnxmltools.convert_lightgbm, lightgbm.LGBMRegressor(**lgb), *DIABETES)
    xgb = {"n_estimators": 5, "max_depth": 3}
    other("xgb-2", onnxmltools.convert_xgboost, xgboost.XGBClassifier(**xgb), *BINARY)
    other("xgb-3", onnxmltools.convert_xgboost, xgboost.XGBClassifier(**xgb), *WINE)
    other("xgb-value", onnxmltools.convert_xgboost, xgboost.XGBRegressor(**xgb), *DIABETES)


if __name__ == "__main__":
    main()
