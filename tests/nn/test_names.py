"""Keras's names: those that are here, the table of them in docs/keras.md, and a script that changes one word."""

from __future__ import annotations

import importlib
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine
from keras_golden import live_keras

from fastlstm import backend, nn
from fastlstm.nn import losses, metrics, models, utils

ROOT = Path(__file__).parents[2]
SURFACE = json.loads((ROOT / "tests" / "data" / "keras_surface.json").read_text())
TABLE = runpy.run_path(str(ROOT / "docs" / "scripts" / "keras_names.py"))
MAKE = runpy.run_path(str(ROOT / "tests" / "data" / "make_keras_surface.py"))
OWN = {  # of ours alone
    "": {"GRU", "LSTM", "Activation", "Bidirectional", "Dense", "Dropout", "Embedding", "Flatten",
         "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Masking", "RepeatVector", "SpatialDropout1D",
         "TimeDistributed", "GradientNorms", "load_keras", "load_model", "set_random_seed"},
    "callbacks": {"Progress"}, "metrics": {"LossMetric"}, "models": {"load_keras"}, "utils": {"plot_history"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def plain_engine() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


@pytest.mark.parametrize("module", TABLE["OURS"])
def test_our_names_are_keras(module: str) -> None:
    ours = importlib.import_module(f"fastlstm.nn.{module}".rstrip("."))
    modules = {name.rpartition(".")[2] for name in SURFACE["modules"] if name.rpartition(".")[0] == module}
    assert set(ours.__all__) - set(SURFACE["modules"][module]) - modules <= OWN.get(module, set())


def test_the_page_has_the_table() -> None:
    """python docs/scripts/keras_names.py writes it."""
    assert TABLE["BEGIN"] + TABLE["table"]() + TABLE["END"] in (ROOT / "docs" / "keras.md").read_text()


def test_the_table_says_what_lacks() -> None:
    same, different, missing = TABLE["compared"]("layers", SURFACE["modules"]["layers"])
    assert "`Masking`" in same
    assert "`LSTM` without `activity_regularizer`, `unroll`, `use_cudnn`" in different
    assert "`Conv1D`" in missing
    assert len(same) + len(different) + len(missing) == len(SURFACE["modules"]["layers"])


def test_the_stored_names_are_those_of_keras() -> None:
    keras = live_keras()
    if keras.__version__ != SURFACE["version"]:
        pytest.skip("another version of Keras")
    for name, module in MAKE["modules"](keras).items():
        assert sorted(SURFACE["modules"][name]) == MAKE["names"](module, with_parameters=False), name


SCRIPT = """
import fastlstm.nn as keras
from fastlstm.nn import layers

keras.utils.set_random_seed(1)
x = keras.preprocessing.sequence.pad_sequences(sentences, maxlen=6)
y = keras.utils.to_categorical(labels, num_classes=3)
model = keras.Sequential(
    [
        keras.Input(shape=(6,)),
        layers.Embedding(10, 4, mask_zero=True, embeddings_initializer=keras.initializers.RandomUniform(seed=1)),
        layers.SpatialDropout1D(0.1),
        layers.Bidirectional(keras.layers.LSTM(4, kernel_regularizer=keras.regularizers.l2(1e-4))),
        layers.Dense(3, activation="softmax", kernel_constraint=keras.constraints.max_norm(3.0)),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)),
    loss=keras.losses.CategoricalCrossentropy(),
    metrics=[keras.metrics.CategoricalAccuracy(), keras.metrics.mean_squared_error],
)
model.summary(print_fn=lines.append)
history = model.fit(x, y, epochs=3, batch_size=4, validation_split=0.25, verbose=0,
                    callbacks=[keras.callbacks.EarlyStopping(patience=1)])
result = model.evaluate(x, y, verbose=0, return_dict=True)
again = keras.models.clone_model(model)
again.set_weights(model.get_weights())
"""


def test_a_script_of_a_sequential() -> None:
    rng = np.random.default_rng(0)
    sentences = [rng.integers(1, 10, rng.integers(1, 9)).tolist() for _ in range(12)]
    there: dict[str, Any] = {"sentences": sentences, "labels": rng.integers(0, 3, 12), "lines": []}
    exec(SCRIPT, there)
    assert set(there["result"]) == {"loss", "categorical_accuracy", "mean_squared_error"}
    assert len(there["history"].epoch) in (2, 3)
    x = there["x"]
    assert (there["again"].predict(x, verbose=0) == there["model"].predict(x, verbose=0)).all()
    assert "Total params" in there["lines"][0]


# names that are new beside what there was


@pytest.mark.parametrize(("name", "options"), [("mean_squared_error", {}), ("mean_absolute_error", {}), ("huber", {"delta": 0.3}),
    ("binary_crossentropy", {"label_smoothing": 0.1}), ("categorical_crossentropy", {"from_logits": True})])  # fmt: skip
def test_functions_of_losses(name: str, options: Any, rng: np.random.Generator) -> None:
    y_true, y_pred = rng.uniform(0.01, 0.99, (4, 3, 2)), rng.uniform(0.01, 0.99, (4, 3, 2))
    if name == "categorical_crossentropy":
        y_true = np.eye(2)[rng.integers(0, 2, (4, 3))]
    function = getattr(losses, name)
    values = function(y_true, y_pred, **options)
    assert values.shape == (4, 3)
    made = losses.get(name)
    for key, value in options.items():
        setattr(made, key, value)
    assert values.mean() == pytest.approx(made(y_true, y_pred), rel=1e-12)
    assert type(losses.get(function)) is type(losses.get(name))
    metric = metrics.get(function)
    assert (type(metric), metric.name) == (metrics.LossMetric, losses.get(name).name)


def test_functions_of_accuracies() -> None:
    p = np.array([[0.1, 0.7, 0.2], [0.4, 0.3, 0.3]])
    assert metrics.sparse_categorical_accuracy([1, 2], p).tolist() == [1, 0]
    assert metrics.categorical_accuracy(np.eye(3)[[1, 2]], p).tolist() == [1, 0]
    assert metrics.top_k_categorical_accuracy(np.eye(3)[[2, 0]], p, k=1).tolist() == [0, 1]
    assert metrics.sparse_top_k_categorical_accuracy([2, 0], p, k=2).tolist() == [1, 1]
    assert metrics.binary_accuracy([[1], [0]], [[0.6], [0.6]], threshold=0.7).tolist() == [[0], [1]]


@pytest.mark.parametrize("kind", [metrics.MeanSquaredError, metrics.MeanAbsoluteError, metrics.BinaryCrossentropy,
                                  metrics.CategoricalCrossentropy, metrics.SparseCategoricalCrossentropy])  # fmt: skip
def test_losses_as_metrics(kind: Any, tmp_path: Path) -> None:
    metric = kind(name="mine")
    again = metrics.deserialize(metrics.serialize(metric))
    assert (type(again), again.get_config()) == (kind, metric.get_config())
    sparse = kind is metrics.SparseCategoricalCrossentropy
    y_true, y_pred = np.array([0, 1]) if sparse else np.eye(2), np.array([[0.8, 0.2], [0.4, 0.6]])
    metric.update_state(y_true, y_pred)
    assert metric.result() == pytest.approx(metric.loss(y_true, y_pred))
    pytest.importorskip("safetensors")
    model = nn.Sequential([nn.Dense(2, "softmax", input_shape=(3,))])
    model.compile("sgd", "sparse_categorical_crossentropy" if sparse else "mse", metrics=[kind()])
    model.save(tmp_path / "m.safetensors")
    assert type(nn.load_model(tmp_path / "m.safetensors").metrics[1]) is kind


def test_things_and_their_records() -> None:
    for module, thing in ((nn.losses, losses.Huber(0.5)), (nn.optimizers, nn.optimizers.SGD(0.1, 0.9)),
                          (nn.initializers, nn.initializers.Constant(2.0)), (nn.regularizers, nn.regularizers.L2(0.1)),
                          (nn.constraints, nn.constraints.MaxNorm(1.0)),
                          (nn.optimizers.schedules, nn.optimizers.schedules.CosineDecay(0.1, 10))):  # fmt: skip
        record = json.loads(json.dumps(module.serialize(thing)))
        assert repr(module.deserialize(record)) == repr(thing)
    assert nn.activations.deserialize(nn.activations.serialize(nn.activations.relu)) is nn.activations.relu


def test_models_as_text() -> None:
    model = nn.Sequential([nn.LSTM(3, input_shape=(4, 2)), nn.Dense(1)], name="m")
    for again in (models.model_from_json(model.to_json()), models.clone_model(model)):
        assert again.get_config() == model.get_config()
        assert (again.flat_params != model.flat_params).any()


def test_arrays_like_keras() -> None:
    utils_of_keras = live_keras().utils
    ragged = [[1, 2, 3], [4], [], [5, 6]]
    for options in (
        {},
        {"maxlen": 2},
        {"padding": "post"},
        {"maxlen": 2, "truncating": "post", "value": 9, "dtype": "float32"},
    ):
        theirs = utils_of_keras.pad_sequences(ragged, **options)
        ours = utils.pad_sequences(ragged, **options)
        assert (ours.tolist(), ours.dtype) == (theirs.tolist(), theirs.dtype)
    steps = [np.ones((2, 3)), np.ones((4, 3))]
    assert (utils.pad_sequences(steps) == utils_of_keras.pad_sequences(steps)).all()
    for labels in ([0, 2, 1], [[0], [1]], [[0, 1], [2, 2]]):
        assert (utils.to_categorical(labels, 4) == utils_of_keras.to_categorical(labels, 4)).all()
        assert (utils.to_categorical(labels) == utils_of_keras.to_categorical(labels)).all()
    x = np.array([[3.0, -4.0], [0.0, 0.0]])
    for options in ({}, {"order": 1}, {"order": 3}):
        np.testing.assert_allclose(utils.normalize(x, **options), utils_of_keras.normalize(x, **options), rtol=1e-6)


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: utils.to_categorical([0.5]), ValueError, "x: expected whole class numbers, got 0.5"),
    (lambda: utils.to_categorical([3], 2), ValueError, "x: expected class numbers 0 to 1, got 3"),
    (lambda: utils.to_categorical([-1]), ValueError, "x: expected class numbers 0 to -?[01], got -1"),
    (lambda: utils.to_categorical([]), ValueError, "num_classes: expected a number for no classes, got None"),
    (lambda: utils.to_categorical([1], 1.5), TypeError, "num_classes: expected an integer"),
    (lambda: utils.pad_sequences([1, 2]), ValueError, r"sequences\[0\]: expected a sequence, got a number"),
    (lambda: utils.pad_sequences(3), TypeError, "sequences: expected a list of sequences, got int"),
    (lambda: utils.pad_sequences([["a"]]), TypeError, r"sequences\[0\]: expected real numbers"),
    (lambda: utils.pad_sequences([[1]], padding="before"), ValueError, "padding: expected 'pre' or 'post', got 'before'"),
    (lambda: utils.pad_sequences([[1]], truncating=1), ValueError, "truncating: expected 'pre' or 'post', got 1"),
    (lambda: utils.pad_sequences([[1]], maxlen=0), ValueError, "maxlen: expected at least 1, got 0"),
    (lambda: utils.pad_sequences([[[1, 2]], [[1]]]), ValueError, r"sequences\[1\]: expected steps of shape \(2,\), as before, got \(1,\)"),
    (lambda: utils.normalize([1.0], order=0), ValueError, "order: expected at least 1, got 0"),
    (lambda: utils.normalize(2.0), ValueError, "x: expected an array with axes"),
    (lambda: models.clone_model(3), TypeError, "model: expected a Sequential, got int"),
    (lambda: models.model_from_json("{"), ValueError, "json_string: expected JSON"),
    (lambda: models.model_from_json('{"class_name": "Functional"}'), ValueError, "json_string: expected the description of a Sequential, got 'Functional'"),
    (lambda: models.model_from_json('{"class_name": "Sequential"}'), ValueError, "config: expected a dict with a list of layers"),
    (lambda: models.model_from_json(3), TypeError, "json_string: expected a str, got int"),
    (lambda: losses.get([]), TypeError, "loss: expected a name or a Loss.*got list"),
    (lambda: losses.get(abs), TypeError, "loss: expected a name or a Loss"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=lambda one: one if isinstance(one, str) else "")
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
