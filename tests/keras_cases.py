"""Models that Keras and fastlstm.nn must agree on: each is described once, by names that both know.

`run` builds one with either, gives it the same weights and data, and returns what comes out: predictions, the loss, and
the weights after one step of gradient descent at rate 1, which show every gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from activation_cases import of_keras

Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """Layers (class name and arguments; a wrapper's layer is such a pair too) on x (N, T, D)."""

    layers: list[tuple[str, dict[str, Any]]]
    shape: tuple[int, int, int] = (5, 7, 3)
    holes: bool = False  # steps that Masking leaves out: at the beginning, within, at the end, or all
    loss: str = "mse"
    batch_shape: bool = False  # whether the batch size is fixed, as stateful layers want it
    empty: bool = True  # whether the holes leave nothing of one sequence
    words: int = 0  # x is (N, T), numbers below that, with zeros at the end and in between
    steps: int = 1  # of gradient descent
    rate: float = 1.0


def lstm(units: int = 4, **more: Any) -> tuple[str, dict[str, Any]]:
    return "LSTM", {"units": units, **more}


def both(merge_mode: str = "concat", **more: Any) -> tuple[str, dict[str, Any]]:
    return "Bidirectional", {"layer": lstm(**more), "merge_mode": merge_mode}


def dense(units: int, activation: str | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
    return "Dense", {"units": units, "activation": activation, **more}


def embedding(**more: Any) -> tuple[str, dict[str, Any]]:
    return "Embedding", {"input_dim": 9, "output_dim": 5, **more}


def pooled(kind: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return f"Global{kind}Pooling1D", more


def bound(kind: str, **more: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": more}


FROZEN: dict[str, Any] = {"trainable": False}
WORDS: dict[str, Any] = {"words": 9, "steps": 3, "rate": 0.3}
STEPS: dict[str, Any] = {"steps": 3, "rate": 0.3}
L1L2 = {"class_name": "L1L2", "config": {"l1": 0.02, "l2": 0.03}}
MASK = ("Masking", {"mask_value": 0.5})
RELU = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}
SOFTSIGN = {"activation": "softsign", "recurrent_activation": "sparse_sigmoid"}
CASES: dict[str, Case] = {
    "last": Case([lstm()]),
    "sequences": Case([lstm(return_sequences=True)]),
    "no bias": Case([lstm(use_bias=False, return_sequences=True)]),
    "backwards": Case([lstm(go_backwards=True)]),
    "backwards, sequences": Case([lstm(go_backwards=True, return_sequences=True), lstm(3)]),
    "stack": Case([lstm(5, return_sequences=True), lstm(3), dense(2)]),
    "the post": Case([lstm(5, return_sequences=True), lstm(6), dense(1, "sigmoid")], loss="binary_crossentropy"),
    "wide": Case([lstm(33, return_sequences=True), lstm(17)], shape=(9, 12, 10)),
    "regularized": Case(
        [
            lstm(kernel_regularizer="l2", recurrent_regularizer="l1", bias_regularizer=L1L2),
            dense(2, kernel_regularizer="l1", bias_regularizer="l2"),
        ]
    ),
    "masked": Case([MASK, lstm()], holes=True),
    "masked, sequences": Case([MASK, lstm(return_sequences=True), dense(2)], holes=True),
    "masked, zeros": Case([MASK, lstm(return_sequences=True, zero_output_for_mask=True), lstm(3)], holes=True),
    "masked, backwards": Case([MASK, lstm(go_backwards=True)], holes=True),
    "masked, backwards, sequences": Case([MASK, lstm(return_sequences=True, go_backwards=True), lstm(3)], holes=True),
    "masked, both": Case([MASK, both(), dense(2)], holes=True),
    "masked, both, sequences": Case([MASK, both(return_sequences=True), lstm(3)], holes=True),
    "masked, both, mul": Case([MASK, both("mul", return_sequences=True)], holes=True),
    "masked stack": Case([MASK, lstm(return_sequences=True), both(return_sequences=True), lstm(2)], holes=True),
    "concat": Case([both(return_sequences=True), dense(2)]),
    "concat, last": Case([both()]),
    "sum": Case([both("sum", return_sequences=True), lstm(3)]),
    "ave": Case([both("ave")]),
    "mul": Case([both("mul", return_sequences=True)]),
    "both backwards layer": Case(
        [
            (
                "Bidirectional",
                {
                    "layer": lstm(4, return_sequences=True),
                    "backward_layer": lstm(3, return_sequences=True, go_backwards=True),
                },
            )
        ]
    ),
    "stateful": Case([lstm(stateful=True, return_sequences=True), lstm(3, stateful=True)], batch_shape=True),
    "stateful both": Case([both(stateful=True)], batch_shape=True),
    "time distributed": Case([lstm(return_sequences=True), ("TimeDistributed", {"layer": dense(3, "tanh")})]),
    "inference dropout": Case([lstm(return_sequences=True), ("Dropout", {"rate": 0.0}), lstm(2)]),
    "softmax": Case([lstm(), dense(4, "softmax")], loss="categorical_crossentropy"),
    "softmax, steps": Case([lstm(return_sequences=True), dense(4, "softmax")], loss="sparse_categorical_crossentropy"),
    **{f"dense {name}": Case([lstm(), dense(3, name)]) for name in
       ("linear", "relu", "sigmoid", "tanh", "softmax", "softplus", "elu", "exponential")},
    "lstm relu": Case([lstm(return_sequences=True, **RELU), both(units=3, **RELU)]),
    "masked gru softsign": Case(
        [MASK, ("GRU", {"units": 4, "return_sequences": True, **SOFTSIGN}), dense(2)], holes=True
    ),
    "old keras": Case([lstm(activation="elu", recurrent_activation="hard_sigmoid_keras2"), dense(2)]),
    "words": Case([embedding(), lstm(), dense(1)], **WORDS),
    "words, masked": Case([embedding(mask_zero=True), lstm(), dense(1)], **WORDS),
    "words, masked, sequences": Case(
        [embedding(mask_zero=True), lstm(return_sequences=True), ("Activation", {"activation": "relu"}), dense(2)],
        **WORDS,
    ),
    "words, masked, both": Case([embedding(mask_zero=True), both(return_sequences=True), pooled("Average")], **WORDS),
    "words, regularized": Case([embedding(embeddings_regularizer="l2"), ("Flatten", {}), dense(2)], **WORDS),
    "words, bound": Case(
        [embedding(embeddings_constraint=bound("UnitNorm", axis=1)), lstm(), dense(2)], **WORDS
    ),
    "words, frozen": Case([embedding(**FROZEN), lstm(), dense(2)], **WORDS),
    "frozen": Case(
        [lstm(return_sequences=True, kernel_regularizer="l2", **FROZEN), lstm(kernel_regularizer="l2"), dense(2)],
        **STEPS,
    ),
    "frozen, above": Case([lstm(), dense(3, "tanh", **FROZEN), dense(2)], **STEPS),
    "frozen, one inside": Case([("Bidirectional", {"layer": lstm(**FROZEN)}), dense(2)], **STEPS),
    "bound": Case(
        [
            lstm(
                kernel_constraint=bound("MaxNorm", max_value=0.5), recurrent_constraint="unit_norm",
                bias_constraint="non_neg", return_sequences=True,
            ),
            ("GRU", {"units": 4, "recurrent_constraint": bound("MinMaxNorm", min_value=0.2, max_value=0.9, rate=0.7),
                     "bias_constraint": bound("MaxNorm", max_value=0.3, axis=1)}),
            dense(2, kernel_constraint=bound("MaxNorm", max_value=0.4, axis=[0, 1]), bias_constraint="non_neg"),
        ],
        **STEPS,
    ),
    "bound, both": Case([both(kernel_constraint=bound("UnitNorm"), return_sequences=True), lstm(3)], **STEPS),
    "bound, frozen": Case([lstm(kernel_constraint="unit_norm", **FROZEN), dense(2)], **STEPS),
    "words, pooled": Case([embedding(), pooled("Max"), dense(2)], **WORDS),
    "encoder, decoder": Case(
        [lstm(), ("RepeatVector", {"n": 3}), lstm(5, return_sequences=True), dense(2)], **STEPS
    ),
    "mean": Case([lstm(return_sequences=True), pooled("Average"), dense(2)], **STEPS),
    "masked mean": Case([MASK, lstm(return_sequences=True), pooled("Average"), dense(2)], holes=True,
                        empty=False),
    "masked means": Case([MASK, pooled("Average", keepdims=True), dense(2)], holes=True, empty=False),
    "largest": Case([lstm(return_sequences=True), pooled("Max", keepdims=True), dense(2)], **STEPS),
    "masked largest": Case([MASK, lstm(return_sequences=True), pooled("Max"), dense(2)], holes=True),
    "equally large": Case([dense(4, "relu"), pooled("Max"), dense(2)]),
    "flattened": Case([lstm(return_sequences=True), ("Flatten", {}), dense(2)], batch_shape=True, **STEPS),
    "masked, flattened": Case([MASK, lstm(return_sequences=True), ("Flatten", {}), dense(2)], holes=True,
                              batch_shape=True),
    "no spatial dropout": Case([("SpatialDropout1D", {"rate": 0.0}), lstm(return_sequences=True), dense(2)]),
    **{f"activation {name}": Case([dense(4), ("Activation", {"activation": name}), lstm(2)], **STEPS) for name in
       ("linear", "relu", "sigmoid", "tanh", "softmax", "softplus", "elu", "exponential")},
}  # fmt: skip


def build(layers: Any, sequential: Any, entry: Any, case: Case) -> Any:
    """The model, by the classes of one of the two."""

    def made(description: tuple[str, dict[str, Any]]) -> Any:
        kind, arguments = description
        found = {key: made(value) if key in ("layer", "backward_layer") else value for key, value in arguments.items()}
        if found.get("recurrent_activation") == "hard_sigmoid_keras2" and "keras" in layers.__name__:
            found["recurrent_activation"] = of_keras("hard_sigmoid_keras2")
        return getattr(layers, kind)(**found)

    if case.words:
        first = entry(shape=(case.shape[1],))
    else:
        first = entry(batch_shape=case.shape) if case.batch_shape else entry(shape=(None, case.shape[2]))
    return sequential([first, *(made(one) for one in case.layers)])


def problem(case: Case, name: str) -> tuple[np.ndarray, Any]:
    """x, and a function that makes random targets like y."""
    rng = np.random.default_rng(sum(map(ord, name)))
    N, T, _ = case.shape
    x = rng.standard_normal(case.shape).astype(np.float32)
    if case.words:
        x = rng.integers(1, case.words, (N, T))
        x[0, 4:], x[1, :2], x[2, 3], x[3, -1] = 0, 0, 0, 0
    if case.holes:
        left_out = rng.random((N, T)) < 0.4
        left_out[0] = False
        left_out[1] = case.empty
        left_out[2, :3], left_out[3, -3:] = True, True
        x[left_out] = 0.5

    def targets(y: np.ndarray) -> np.ndarray:
        if case.loss == "sparse_categorical_crossentropy":
            return rng.integers(0, y.shape[-1], y.shape[:-1])
        if case.loss == "categorical_crossentropy":
            return np.eye(y.shape[-1], dtype=np.float32)[rng.integers(0, y.shape[-1], y.shape[:-1])]
        if case.loss == "binary_crossentropy":
            return rng.integers(0, 2, y.shape).astype(np.float32)
        return rng.standard_normal(y.shape).astype(np.float32)

    return x, targets


def weights_of(shapes: list[tuple[int, ...]], name: str) -> list[np.ndarray]:
    """Random, distinct, non-zero."""
    rng = np.random.default_rng(len(name))
    return [rng.uniform(-0.7, 0.7, shape).astype(np.float32) for shape in shapes]


def reset(model: Any) -> None:
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()


def run(model: Any, sgd: Any, case: Case, name: str) -> Arrays:
    """What comes out of a model."""
    x, targets = problem(case, name)
    model.set_weights(weights_of([one.shape for one in model.get_weights()], name))
    found: Arrays = {"predict": np.asarray(model.predict(x, batch_size=len(x), verbose=0))}
    if case.batch_shape:  # called, since Keras on JAX loses states between two calls of predict
        reset(model)
        found |= {f"call {i}": np.asarray(model(x)) for i in range(3)}
        reset(model)
    model.compile(loss=case.loss, optimizer=sgd(case.rate))
    y = targets(found["predict"])
    found["loss"] = np.asarray(model.evaluate(x, y, batch_size=len(x), verbose=0))
    reset(model)
    model.fit(x, y, batch_size=len(x), epochs=case.steps, verbose=0, shuffle=False)
    return found | {f"after {i}": array for i, array in enumerate(model.get_weights())}


def run_nn(name: str) -> Arrays:
    """By fastlstm."""
    from fastlstm import nn

    return run(build(nn, nn.Sequential, nn.Input, CASES[name]), nn.optimizers.SGD, CASES[name], name)


def run_keras(name: str) -> Arrays:
    """By Keras."""
    import keras

    return run(build(keras.layers, keras.Sequential, keras.Input, CASES[name]), keras.optimizers.SGD, CASES[name], name)
