"""Makes keras_training_golden.npz: Keras's losses with gradients, metrics, updates and schedules, in float64.

KERAS_BACKEND=tensorflow python tests/data/make_keras_training_golden.py     # needs keras and tensorflow, which
                                                                             # computes in float64 all the way

What is asked of both sides is in the tables below, which the tests read too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

N, T, K = 6, 4, 3
VARIABLES = {"kernel": (5, 3), "bias": (3,), "other": (2, 2, 2)}
STEPS = 8

# class, arguments, shape of the predictions
LOSSES: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "binary": ("BinaryCrossentropy", {}, (N, 1)),
    "binary_wide": ("BinaryCrossentropy", {"label_smoothing": 0.2}, (N, T, K)),
    "binary_logits": ("BinaryCrossentropy", {"from_logits": True}, (N, T, K)),
    "binary_logits_smooth": ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, (N, K)),
    "categorical": ("CategoricalCrossentropy", {}, (N, K)),
    "categorical_smooth": ("CategoricalCrossentropy", {"label_smoothing": 0.3}, (N, T, K)),
    "categorical_logits": ("CategoricalCrossentropy", {"from_logits": True}, (N, T, K)),
    "sparse": ("SparseCategoricalCrossentropy", {}, (N, T, K)),
    "sparse_logits": ("SparseCategoricalCrossentropy", {"from_logits": True}, (N, K)),
    "sparse_ignore": ("SparseCategoricalCrossentropy", {"ignore_class": 1}, (N, T, K)),
    "squared": ("MeanSquaredError", {}, (N, T, K)),
    "absolute": ("MeanAbsoluteError", {}, (N, K)),
    "huber": ("Huber", {"delta": 0.4}, (N, T, K)),
}
METRICS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "binary": ("BinaryAccuracy", {}, (N, 1)),
    "binary_wide": ("BinaryAccuracy", {"threshold": 0.7}, (N, T, K)),
    "categorical": ("CategoricalAccuracy", {}, (N, T, K)),
    "sparse": ("SparseCategoricalAccuracy", {}, (N, T, K)),
    "top": ("TopKCategoricalAccuracy", {"k": 2}, (N, K)),
    "sparse_top": ("SparseTopKCategoricalAccuracy", {"k": 2}, (N, K)),
    "root": ("RootMeanSquaredError", {}, (N, T, K)),
    "r2": ("R2Score", {}, (N, K)),
    "r2_weighted": ("R2Score", {"class_aggregation": "variance_weighted_average"}, (N, K)),
    "auc": ("AUC", {}, (N, 1)),
    "auc_few": ("AUC", {"thresholds": [0.2, 0.3, 0.7]}, (N, 1)),
    "auc_pr": ("AUC", {"curve": "PR"}, (N, K)),
    "auc_pr_minoring": ("AUC", {"curve": "PR", "summation_method": "minoring"}, (N, K)),
    "auc_majoring": ("AUC", {"summation_method": "majoring", "num_thresholds": 7}, (N, K)),
    "auc_logits": ("AUC", {"from_logits": True}, (N, 1)),
}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "sgd_momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "sgd_clipnorm": ("SGD", {"learning_rate": 0.1, "clipnorm": 1.5}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.5, "rho": 0.8, "weight_decay": 0.02}),
    "rmsprop_centered": ("RMSprop", {"centered": True, "epsilon": 1e-3, "clipnorm": 0.7}),
    "rmsprop_both": ("RMSprop", {"centered": True, "momentum": 0.3, "global_clipnorm": 0.9}),
    "adam": ("Adam", {}),
    "adam_amsgrad": ("Adam", {"amsgrad": True, "learning_rate": 0.05, "clipvalue": 0.6}),
    "adam_clipnorm": ("Adam", {"beta_1": 0.7, "beta_2": 0.9, "clipnorm": 0.5, "weight_decay": 0.3}),
    "adamw": ("AdamW", {"learning_rate": 0.01, "global_clipnorm": 2.0}),
}
SCHEDULES: dict[str, tuple[str, dict[str, Any]]] = {
    "exponential": ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    "exponential_stairs": (
        "ExponentialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True},
    ),
    "inverse": ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    "inverse_stairs": (
        "InverseTimeDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ),
    "polynomial": ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "power": 2.0}),
    "polynomial_cycle": (
        "PolynomialDecay",
        {"initial_learning_rate": 0.1, "decay_steps": 9, "end_learning_rate": 0.01, "cycle": True},
    ),
    "cosine": ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 20, "alpha": 0.1}),
    "cosine_warmup": (
        "CosineDecay",
        {"initial_learning_rate": 0.0, "decay_steps": 20, "warmup_target": 0.2, "warmup_steps": 7},
    ),
    "piecewise": ("PiecewiseConstantDecay", {"boundaries": [5, 12], "values": [0.1, 0.05, 0.01]}),
}
SCHEDULE_STEPS = range(40)


def targets(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """For the class of that name."""
    if name.startswith("Sparse"):
        return rng.integers(0, shape[-1], shape[:-1])
    if name.startswith(("Categorical", "TopK")):
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    if name.startswith(("Binary", "AUC")):
        return rng.integers(0, 2, shape).astype(float)
    return rng.standard_normal(shape)


def predictions(name: str, arguments: dict[str, Any], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if arguments.get("from_logits"):
        return 3 * rng.standard_normal(shape)
    if name.startswith(("Categorical", "Sparse", "TopK", "Binary", "AUC")):
        p = rng.uniform(0.05, 0.95, shape)
        if "Accuracy" not in name and shape[-1] == 1:  # clipped, with no gradient
            p[:2, 0] = 0.0, 1.0
        return p
    return rng.standard_normal(shape)


def main() -> None:
    import keras
    import tensorflow as tf

    keras.config.set_floatx("float64")
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for case, (name, arguments, shape) in LOSSES.items():
        loss = getattr(keras.losses, name)(**arguments)
        t, p = targets(name, shape, rng), predictions(name, arguments, shape, rng)
        w = rng.uniform(size=shape[:-1])
        arrays |= {f"loss/{case}/{k}": v for k, v in {"y_true": t, "y_pred": p, "weight": w}.items()}
        for kind, weight in (("plain", None), ("weighted", w)):
            q = tf.constant(p)
            with tf.GradientTape() as tape:
                tape.watch(q)
                value = loss(t, q, weight)
            slope = tape.gradient(value, q)
            arrays |= {f"loss/{case}/{kind}": value.numpy(), f"loss/{case}/{kind}_gradient": slope.numpy()}
    for case, (name, arguments, shape) in METRICS.items():
        batches = [(targets(name, shape, rng), predictions(name, arguments, shape, rng)) for _ in range(3)]
        weights = [rng.uniform(size=shape[0]) for _ in batches]
        arrays |= {
            f"metric/{case}/y_true": np.stack([t for t, _ in batches]),
            f"metric/{case}/y_pred": np.stack([p for _, p in batches]),
            f"metric/{case}/weight": np.stack(weights),
        }
        for kind in ("plain", "weighted"):
            metric = getattr(keras.metrics, name)(**arguments)
            results = []
            for (t, p), w in zip(batches, weights, strict=True):
                p = p.astype(np.float32) if "Top" in name else p  # all that TensorFlow takes there
                metric.update_state(t, p, None if kind == "plain" else w)
                results.append(float(metric.result()))
            arrays[f"metric/{case}/{kind}"] = np.array(results)
    begin = [rng.standard_normal(shape) for shape in VARIABLES.values()]
    gradients = [[rng.standard_normal(shape) for shape in VARIABLES.values()] for _ in range(STEPS)]
    flat = lambda arrays: np.concatenate([np.array(a).reshape(-1) for a in arrays])  # noqa: E731
    arrays |= {"optimizer/begin": flat(begin), "optimizer/gradients": np.stack([flat(g) for g in gradients])}
    for case, (name, arguments) in OPTIMIZERS.items():
        optimizer = getattr(keras.optimizers, name)(**arguments)
        variables = [keras.Variable(a, name=key) for a, key in zip(begin, VARIABLES, strict=True)]
        optimizer.build(variables)
        path = []
        for gradient in gradients:
            optimizer.apply([tf.constant(g) for g in gradient], variables)
            path.append(flat([v.numpy() for v in variables]))
        arrays[f"optimizer/{case}"] = np.stack(path)
    for case, (name, arguments) in SCHEDULES.items():
        schedule = getattr(keras.optimizers.schedules, name)(**arguments)
        arrays[f"schedule/{case}"] = np.array([float(schedule(step)) for step in SCHEDULE_STEPS])
    np.savez_compressed(Path(__file__).parent / "keras_training_golden.npz", **arrays)


if __name__ == "__main__":
    main()
