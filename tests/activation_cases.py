"""Keras's activations at some points, and whole layers with them, in float64: numbers and gradients by JAX.

tests/data/make_activations_golden.py writes the first down; tests/nn/test_activations.py holds fastlstm against them,
and against Keras itself where it is installed.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from gru_cases import in_float64

N, T, D, H = 3, 5, 2, 4
X = np.concatenate([[-700.3, -31.4, -8.1, -1e-3, -1e-9, 1e-9, 1e-3, 8.1, 31.4, 700.3], np.linspace(-3.77, 3.79, 60)])
"""Points that are none where a slope jumps."""


def names() -> list[str]:
    """All that fastlstm has."""
    from fastlstm.nn._src import cells

    return list(cells.FUNCTIONS)


def of_keras(name: str) -> Any:
    """The function. Before version 3, hard_sigmoid was another one."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jax
        import keras
    if name == "hard_sigmoid_keras2":
        return lambda x: jax.numpy.clip(0.2 * x + 0.5, 0, 1)
    # the first makes float32 of float64
    return jax.numpy.tanh if name == "tanh" else keras.activations.get(name)


def values(name: str) -> dict[str, np.ndarray]:
    """At X, with slopes."""
    import jax

    with in_float64():
        function = of_keras(name)
        y, back = jax.vjp(function, jax.numpy.asarray(X))
        assert y.dtype == np.float64
        return {"y": np.asarray(y), "slope": np.asarray(back(jax.numpy.ones_like(y))[0])}


def layer(kind: str, activation: str, recurrent_activation: str, rng: np.random.Generator) -> dict[str, Any]:
    """Of an LSTM or a GRU: weights, x, dy, y, and the gradients."""
    functions = of_keras(activation), of_keras(recurrent_activation)
    import jax
    import keras

    usual = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        with in_float64():
            made = getattr(keras.layers, kind)(H, *functions, return_sequences=True)
            made.build((N, T, D))
            weights = [rng.uniform(-0.9, 0.9, tuple(one.shape)) for one in made.trainable_variables]
            x, dy = rng.standard_normal((N, T, D)), rng.standard_normal((N, T, H))

            def outputs(weights: Any, x: Any) -> Any:
                y, _ = made.stateless_call(weights, [one.value for one in made.non_trainable_variables], x)
                return (y * dy).sum(), y

            (_, y), (dweights, dx) = jax.value_and_grad(outputs, (0, 1), has_aux=True)(weights, x)
            assert y.dtype == np.float64
            return {"weights": weights, "x": x, "dy": dy, "y": np.asarray(y), "dx": np.asarray(dx),
                    "grads": [np.asarray(one) for one in dweights]}  # fmt: skip
    finally:
        keras.config.set_floatx(usual)
