"""GRUs of PyTorch, Keras and JAX on random problems: their numbers, forward and backward, in float64.

A case is a dict of arrays: x (N, T, D), dy and y (N, T, M), the weights and their gradients under the library's own
names, the initial and the last state and their gradients. tests/data/make_gru_golden.py writes them down;
tests/test_reference_gru.py holds fastlstm against them, and against the libraries themselves where they are installed.
"""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import Any

import numpy as np

N, T, D, H = 3, 5, 2, 4
LENGTHS = np.array([5, 0, 3])
TORCH = {  # layers, both directions, lengths, biases
    "single": (1, False, None, True),
    "no_bias": (1, False, None, False),
    "stack": (2, False, None, True),
    "both": (1, True, None, True),
    "stack_both_lengths": (2, True, [4, 1, 5], True),
}
KERAS = {  # reset_after, mask, go_backwards, use_bias
    "after": (True, False, False, True),
    "after_mask": (True, True, False, True),
    "after_backwards_no_bias": (True, False, True, False),
    "before": (False, False, False, True),
    "before_mask": (False, True, False, True),
    "before_backwards_no_bias": (False, False, True, False),
}
JAX = {"after": True, "before": False}  # with lengths, resets and factors of h: is the reset gate behind the product?
CASES = [f"{library}/{name}" for library, names in (("torch", TORCH), ("keras", KERAS), ("jax", JAX)) for name in names]


def run(case: str) -> dict[str, np.ndarray]:
    """What the library of a case answers; each case's place is its seed."""
    library, name = case.split("/")
    runner = {"torch": of_torch, "keras": of_keras, "jax": of_jax}[library]
    return {key: np.asarray(value) for key, value in runner(name, np.random.default_rng(CASES.index(case))).items()}


def of_torch(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """h and its gradients are (directions of layers, N, H)."""
    import torch

    layers, both, lengths, bias = TORCH[name]
    ways = layers * (2 if both else 1)
    gru = torch.nn.GRU(D, H, layers, bias=bias, bidirectional=both, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for weights in gru.parameters():
            weights.copy_(torch.from_numpy(rng.uniform(-0.6, 0.6, tuple(weights.shape))))
    x, h = (torch.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((N, T, D), (ways, N, H)))
    given = x
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, hn = gru(given, h)
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=T)
    dy, dhn = (torch.from_numpy(rng.standard_normal(tuple(a.shape))) for a in (y, hn))
    ((y * dy).sum() + (hn * dhn).sum()).backward()
    found = {"x": x, "h": h, "dy": dy, "dhn": dhn, "y": y, "hn": hn, "gx": x.grad, "gh": h.grad}
    found |= {f"weights.{key}": value for key, value in gru.state_dict().items()}
    found |= {f"grads.{key}": value.grad for key, value in gru.named_parameters()}
    return {key: value.detach().numpy() for key, value in found.items()} | (
        {} if lengths is None else {"lengths": np.array(lengths)}
    )


@contextmanager
def in_float64() -> Any:
    """JAX with 64 bits, for a while."""
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def of_keras(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """By Keras on JAX; y and dy in the order of the computation, zeros where the mask hides a step."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jax
        import keras

    usual = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        return _of_keras(keras, jax, KERAS[name], rng)
    finally:
        keras.config.set_floatx(usual)


def _of_keras(keras: Any, jax: Any, options: tuple[bool, ...], rng: np.random.Generator) -> dict[str, Any]:
    after, masked, backwards, bias = options
    with in_float64():
        layer = keras.layers.GRU(
            H, activation=jax.numpy.tanh,  # Keras's own makes float32 of float64
            reset_after=after, use_bias=bias, go_backwards=backwards, return_sequences=True, return_state=True,
        )  # fmt: skip
        layer.build((N, T, D))
        weights = [rng.uniform(-0.6, 0.6, tuple(one.shape)) for one in layer.trainable_variables]
        x, h = rng.standard_normal((N, T, D)), rng.standard_normal((N, H))
        dy, dhn = rng.standard_normal((N, T, H)), rng.standard_normal((N, H))
        mask = np.arange(T) < LENGTHS[:, None] if masked else None
        if mask is not None:
            dy = np.where(mask[..., None], dy, 0)

        def outputs(weights: Any, x: Any, h: Any) -> Any:
            rest = [one.value for one in layer.non_trainable_variables]
            (y, hn), _ = layer.stateless_call(weights, rest, x, initial_state=h, mask=mask)
            return (y * dy).sum() + (hn * dhn).sum(), (y, hn)

        (_, (y, hn)), (dweights, gx, gh) = jax.value_and_grad(outputs, (0, 1, 2), has_aux=True)(weights, x, h)
        y = np.asarray(y) if mask is None else np.where(mask[..., None], np.asarray(y), 0)
        names = [one.name for one in layer.trainable_variables]
        found = {"x": x, "h": h, "dy": dy, "dhn": dhn, "y": y, "hn": hn, "gx": gx, "gh": gh}
        found |= {f"weights.{key}": value for key, value in zip(names, weights, strict=True)}
        found |= {f"grads.{key}": value for key, value in zip(names, dweights, strict=True)}
        if mask is not None:
            found["lengths"] = LENGTHS
        return {key: np.asarray(value) for key, value in found.items()}


def of_jax(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """The equations of api.md on one lax.scan, as written; gradients by jax.grad. Weights under our names."""
    import jax
    import jax.numpy as jnp

    after = JAX[name]
    shapes = {"W": (D, 3 * H), "U": (H, 3 * H), "b": (3 * H,)} | ({"b_n": (H,)} if after else {})
    weights = {field: rng.uniform(-0.6, 0.6, shape) for field, shape in shapes.items()}
    x, h, mask = rng.standard_normal((N, T, D)), rng.standard_normal((N, H)), rng.uniform(0.5, 1.5, (N, H))
    dy, dhn = rng.standard_normal((N, T, H)), rng.standard_normal((N, H))
    reset, real = rng.random((N, T)) < 0.3, np.arange(T) < LENGTHS[:, None]

    def outputs(weights: Any, x: Any, h: Any) -> Any:
        (Wr, Wz, Wn), (Ur, Uz, Un), (br, bz, bn) = (jnp.split(weights[key], 3, -1) for key in ("W", "U", "b"))

        def step(h: Any, now: Any) -> Any:
            x, first, there = now
            old = jnp.where(first[:, None], 0, h)
            m = mask * old
            r = jax.nn.sigmoid(x @ Wr + m @ Ur + br)
            z = jax.nn.sigmoid(x @ Wz + m @ Uz + bz)
            seen = r * (m @ Un + weights["b_n"]) if after else (r * m) @ Un
            new = (1 - z) * jnp.tanh(x @ Wn + bn + seen) + z * old
            return jnp.where(there[:, None], new, h), jnp.where(there[:, None], new, 0)

        hn, y = jax.lax.scan(step, h, (x.transpose(1, 0, 2), reset.T & real.T, real.T))
        y = y.transpose(1, 0, 2)
        return (y * dy).sum() + (hn * dhn).sum(), (y, hn)

    with in_float64():
        (_, (y, hn)), (dweights, gx, gh) = jax.value_and_grad(outputs, (0, 1, 2), has_aux=True)(weights, x, h)
        found = {"x": x, "h": h, "dy": dy, "dhn": dhn, "y": y, "hn": hn, "gx": gx, "gh": gh}
        found |= {"h_mask": mask, "reset": reset, "lengths": LENGTHS}
        found |= {f"weights.{key}": value for key, value in weights.items()}
        found |= {f"grads.{key}": value for key, value in dweights.items()}
        return {key: np.asarray(value) for key, value in found.items()}
