"""Makes the ONNX files beside it, with TensorFlow 2.21, Keras 3.15 and tf2onnx 1.17: python make.py

The tests read the files and need none of these. Weights are random; a batch normalization has a mean and a variance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from keras import layers

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(1)


def write(name: str, shape: tuple[int, ...], *steps: Any, opset: int = 18) -> None:
    """``steps`` are layers and functions, one behind the other."""
    keras.utils.set_random_seed(len(name))
    given = tip = keras.Input(shape)
    for step in steps:
        tip = step(tip)
    model = keras.Model(given, tip)
    for layer in model.layers:
        spread(layer)
    signature = [tf.TensorSpec((None, *shape), tf.float32, name="x")]
    called = tf.function(lambda x: model(x, training=False), input_signature=signature)
    made, _ = tf2onnx.convert.from_function(called, input_signature=signature, opset=opset)
    (HERE / f"{name}.onnx").write_bytes(made.SerializeToString())


def spread(layer: Any) -> None:
    """Biases that are not 0, and a batch normalization that changes something."""
    if isinstance(layer, layers.BatchNormalization):
        count = layer.gamma.shape[0]
        moved = RANDOM.normal(0, 0.3, (2, count))
        layer.set_weights([RANDOM.uniform(0.5, 1.5, count), *moved, RANDOM.uniform(0.5, 1.5, count)])
    elif getattr(layer, "bias", None) is not None:
        layer.bias.assign(RANDOM.normal(0, 0.1, layer.bias.shape))


def residual(inside: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: layers.Add()([x, inside(x)])


def one_after_the_other(*steps: Any) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return call


write(
    "flatten",
    (12, 12, 1),
    layers.Conv2D(4, 3, padding="same", strides=2, activation="relu"),
    layers.Conv2D(6, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.Flatten(),
    layers.Dropout(0.5),
    layers.Dense(5, activation="softmax"),
)
write(
    "rescaled",
    (8, 8, 3),
    layers.Rescaling(1 / 127.5, offset=-1),
    layers.Conv2D(4, 3, padding="same", activation="relu"),
    layers.AveragePooling2D(2),
    layers.Flatten(),
    layers.Dense(5),
)
write(
    "separable",
    (10, 10, 1),
    layers.SeparableConv2D(6, 3, padding="same", activation="relu"),
    layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False),
    layers.BatchNormalization(),
    layers.ReLU(6.0),
    layers.Conv2D(8, 1, use_bias=False),
    layers.BatchNormalization(),
    layers.GlobalAveragePooling2D(),
    layers.Dense(5, activation="softmax"),
)
write(
    "residual",
    (8, 8, 3),
    layers.Conv2D(6, 3, padding="same", activation="relu"),
    residual(one_after_the_other(layers.Conv2D(6, 3, padding="same"), layers.BatchNormalization())),
    layers.Activation("relu"),
    layers.GlobalAveragePooling2D(),
    layers.Dense(5),
)
write(
    "causal",
    (24, 3),
    layers.Conv1D(8, 3, padding="causal", activation="relu"),
    residual(layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu")),
    layers.GlobalMaxPooling1D(),
    layers.Dense(4),
)
write(
    "padded",
    (9, 9, 3),
    layers.ZeroPadding2D(((1, 0), (0, 2))),
    layers.Conv2D(4, 3, strides=2, activation="relu"),
    layers.ZeroPadding2D(1),
    layers.DepthwiseConv2D(3),
    layers.GlobalAveragePooling2D(),
    layers.Dense(4),
)
write(
    "slopes",
    (10, 10, 1),
    layers.Conv2D(4, 3),
    layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.RandomUniform(0, 1)),
    layers.GlobalMaxPooling2D(),
    layers.Dense(8),
    layers.PReLU(alpha_initializer=keras.initializers.RandomUniform(0, 1)),
    layers.Dense(4, activation="softmax"),
)
write(
    "detector",
    (41, 1),
    layers.Conv1D(8, 3, padding="same", activation="relu"),
    layers.MaxPooling1D(2),
    layers.Conv1D(8, 3, activation="relu"),
    layers.Flatten(),
    layers.Dense(1, activation="sigmoid"),
)
