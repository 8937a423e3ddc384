"""Bad input of the estimators: each an error that names the argument, what was expected and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastlstm.sklearn import LSTMClassifier, LSTMRegressor

X = np.random.default_rng(0).standard_normal((12, 4, 2))
RAGGED = [one[: 2 + i % 3] for i, one in enumerate(X)]
Y = np.arange(12) % 3
NAN = X.copy()
NAN[3, 1, 1] = np.nan


def with_entry(i: int, entry: Any) -> list[Any]:
    return [*RAGGED[:i], entry, *RAGGED[i + 1 :]]


PARAMETERS = [
    ({"hidden_layer_sizes": ()}, "hidden_layer_sizes: expected at least one layer, got none"),
    ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes: expected at least 1, got 0"),
    ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes: expected an integer, got float"),
    ({"hidden_layer_sizes": "12"}, "hidden_layer_sizes: expected an integer"),
    ({"cell": "lstm"}, "cell: expected one of 'standard'"),
    ({"cell": "projected"}, "cell: expected one whose h is as wide as its layer, got 'projected'"),
    ({"bidirectional": 1}, "bidirectional: expected True or False, got 1"),
    ({"dropout": 1.0}, "dropout: expected less than 1, got 1"),
    ({"recurrent_dropout": -0.1}, "recurrent_dropout: expected 0 to 1, got -0.1"),
    ({"alpha": -1}, "alpha: expected at least 0, got -1"),
    ({"batch_size": "all"}, "batch_size: expected 'auto' or an integer, got 'all'"),
    ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
    ({"learning_rate_init": 0}, "learning_rate_init: expected more than 0, got 0"),
    ({"learning_rate_init": "fast"}, "learning_rate_init: expected a number, got str"),
    ({"max_iter": 0}, "max_iter: expected at least 1, got 0"),
    ({"shuffle": "yes"}, "shuffle: expected True or False, got 'yes'"),
    ({"random_state": "seed"}, "'seed' cannot be used to seed"),
    ({"tol": -1.0}, "tol: expected at least 0, got -1"),
    ({"verbose": -1}, "verbose: expected True, False or an integer of at least 0, got -1"),
    ({"early_stopping": None}, "early_stopping: expected True or False, got None"),
    ({"n_iter_no_change": 1.5}, "n_iter_no_change: expected an integer, got float"),
    ({"n_iter_no_change": 0}, "n_iter_no_change: expected at least 1, got 0"),
    ({"clipnorm": 0.0}, "clipnorm: expected more than 0, got 0"),
    ({"scale": "minmax"}, "scale: expected True or False, got 'minmax'"),
    ({"early_stopping": True, "validation_fraction": 2}, "validation_fraction: expected 0 to 1, got 2"),
    ({"early_stopping": True, "validation_fraction": 0.01}, "validation_fraction: expected enough of 12 samples to"),
    ({"early_stopping": True, "validation_fraction": 0.99}, "validation_fraction: expected enough of 12 samples to"),
    ({"early_stopping": True, "validation_fraction": 0.0}, "validation_fraction: expected enough of 12 samples to"),
]


@pytest.mark.parametrize(("options", "message"), PARAMETERS, ids=[str(options) for options, _ in PARAMETERS])
@pytest.mark.parametrize("kind", [LSTMClassifier, LSTMRegressor])
def test_parameters(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        kind(**options).fit(X, Y)
    assert message in str(error.value)


DATA: list[tuple[Any, Any, dict[str, Any], str]] = [
    (NAN, Y, {}, "Input X contains NaN"),
    (np.where(np.isnan(NAN), np.inf, X), Y, {}, "Input X contains infinity"),
    (X[0, 0], Y, {}, "1D array"),
    (np.float64(3), Y, {}, "scalar array"),
    (X[None], Y, {}, "X: expected shape (N, T, D), (N, T), or a list of (T_i, D), none of them 0, got (1, 12, 4, 2)"),
    (X[:, :0], Y, {}, "X: expected shape (N, T, D), (N, T), or a list of (T_i, D), none of them 0, got (12, 0, 2)"),
    (X[:0], Y[:0], {}, "0 sample(s)"),
    ([], [], {}, "got an empty list"),
    (X.astype(complex), Y, {}, "Complex data not supported"),
    (X.astype(str), Y[:2], {}, "y: expected 12 targets, one for each sequence in X, got 2"),
    (with_entry(3, np.full((3, 2), np.nan)), Y, {}, "X[3]: expected finite numbers, got NaN or infinity at step 0"),
    (with_entry(5, X[5] * [[1], [1], [np.inf], [1]]), Y, {}, "X[5]: expected finite numbers, got NaN or infinity at step 2"),
    (with_entry(4, np.ones((3, 5))), Y, {}, "X[4]: expected shape (T, 2), as X[0], got (3, 5)"),
    (with_entry(4, np.ones(3)), Y, {}, "X[4]: expected shape (T, 2), as X[0], got (3,)"),
    (with_entry(4, np.ones((0, 2))), Y, {}, "X[4]: expected a sequence of shape (T, D) or (T,), none of them 0, got shape (0, 2)"),
    (with_entry(4, np.ones((1, 2, 2))), Y, {}, "X[4]: expected a sequence of shape (T, D) or (T,)"),
    (with_entry(4, 7.0), Y, {}, "X[4]: expected a sequence of shape (T, D) or (T,)"),
    (with_entry(4, [["a", "b"]]), Y, {}, "X[4]: expected real numbers, got dtype <U1"),
    (with_entry(4, np.array([[1, "a"]], object)), Y, {}, "X[4]: expected real numbers, got dtype object: 'a' at [0, 1]"),
    (with_entry(4, [[1, 2], [3]]), Y, {}, "X[4]: expected a sequence of shape (T, D), got none"),
    (X, None, {}, "y: expected targets, got None"),
    (X, Y[:11], {}, "y: expected 12 targets, one for each sequence in X, got 11"),
    (RAGGED, np.ones((12, 2, 2)), {}, "y"),
    (X, np.where(Y == 1, np.nan, Y), {}, "Input y contains NaN"),
    (X, Y, {"sample_weight": np.ones(11)}, "sample_weight: expected shape (12,), got (11,)"),
    (X, Y, {"sample_weight": np.ones((12, 4))}, "sample_weight: expected shape (12,), got (12, 4)"),
    (X, Y, {"sample_weight": -np.ones(12)}, "sample_weight: expected finite numbers of at least zero, got others"),
    (X, Y, {"sample_weight": np.full(12, np.nan)}, "sample_weight: expected finite numbers of at least zero"),
    (X, Y, {"sample_weight": np.zeros(12)}, "sample_weight: expected weights of which some are more than zero"),
    (X, Y, {"sample_weight": ["1"] * 12}, "sample_weight: expected numbers, got dtype <U1"),
    (X, Y, {"validation_data": X}, "validation_data: expected (X, y) or (X, y, sample_weight), got 12 entries"),
    (X, Y, {"validation_data": (X,)}, "validation_data: expected (X, y) or (X, y, sample_weight), got 1 entries"),
    (X, Y, {"validation_data": (X[:, :, :1], Y)}, "validation_data: X: expected sequences of shape (T, 2), as in fit, got (T, 1)"),
    (X, Y, {"validation_data": (X, Y[:3])}, "validation_data: y: expected 12 targets"),
    (X, Y, {"validation_data": (X, Y, np.ones(3))}, "validation_data: sample_weight: expected shape (12,), got (3,)"),
]  # fmt: skip


@pytest.mark.parametrize(("x", "y", "options", "message"), DATA, ids=[f"{i}" for i in range(len(DATA))])
@pytest.mark.parametrize("kind", [LSTMClassifier, LSTMRegressor])
def test_data(kind: Any, x: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        kind(3, max_iter=1).fit(x, y, **options)
    assert message in str(error.value)


CLASSES: list[tuple[Any, dict[str, Any], str]] = [
    (np.zeros(12), {}, "y: expected at least 2 classes, got one class"),
    (np.linspace(0, 1, 12), {}, "Unknown label type: continuous"),
    (np.ones((12, 2)), {}, "y should be a 1d array"),
    (Y, {"class_weight": "equal"}, "class_weight: expected a dict, 'balanced' or None, got 'equal'"),
    (Y, {"class_weight": {0: -1.0}}, "class_weight: expected finite numbers of at least zero"),
    (Y, {"class_weight": [1, 2, 3]}, "class_weight"),
    (np.array([0] * 11 + [1]), {"early_stopping": True}, "validation_fraction: expected enough of 12 samples"),
]


@pytest.mark.parametrize(("y", "options", "message"), CLASSES)
def test_classes(y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as error:
        LSTMClassifier(3, max_iter=1, **options).fit(X, y)
    assert message in str(error.value)


def test_later_calls() -> None:
    plain = {"max_iter": 1, "n_iter_no_change": np.inf}
    fitted, table = LSTMClassifier(3, **plain).fit(X, Y), LSTMRegressor(3, **plain).fit(X[:, :, 0], Y)
    regressor = LSTMRegressor(3, **plain).fit(X, np.ones((12, 2)))
    for call, message in (
        (lambda: fitted.predict(X[:, :, :1]), "X has 1 feature, but LSTMClassifier is expecting 2 features as input"),
        (lambda: fitted.predict(X[:, :, 0]), "X: expected shape (N, T, 2), or a list of (T_i, 2), as in fit, got (12, 4)"),
        (lambda: fitted.predict_proba([X[0, :, 0]]), "X: expected sequences of shape (T, 2), as in fit, got (T, 1)"),
        (lambda: regressor.fit(X, ["ok"] * 12), "y: expected real numbers, got others (could not convert string to float: 'ok'); LSTMClassifier"),
        (lambda: fitted.input_gradient(X, label=7), "label: expected one of [0, 1, 2], got 7"),
        (lambda: fitted.partial_fit(X, Y + 1), "y: expected classes of [0, 1, 2], got [3]"),
        (lambda: fitted.partial_fit(X, Y, classes=[0, 1]), "classes: expected [0 1 2], as at the first call, got [0 1]"),
        (lambda: table.predict(X[:, :3, 0]), "X has 3 features, but LSTMRegressor is expecting 4 features as input"),
        (lambda: table.predict(X), "X: expected sequences of shape (T, 1), as in fit, got (T, 2)"),
        (lambda: regressor.partial_fit(X, Y), "y: expected 2 numbers a sequence, as in the first fit, got 1"),
        (lambda: regressor.input_gradient(X, output=2), "output: expected less than 2, got 2"),
        (lambda: LSTMClassifier().partial_fit(X, Y), "classes: expected all classes at the first call"),
        (lambda: LSTMRegressor(early_stopping=True).partial_fit(X, Y), "early_stopping: expected False for partial_fit"),
        (lambda: LSTMClassifier(class_weight="balanced").partial_fit(X, Y), "class_weight: expected a dict or None"),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError)) as error:
            call()
        assert message in str(error.value)


def test_large_numbers_without_a_scale() -> None:
    with pytest.raises(ValueError, match="fit: expected finite weights, got others"):
        LSTMRegressor(3, scale=False, clipnorm=None, max_iter=3).fit(X, 1e200 * Y)


def test_weights_that_leave_nothing_to_validate_with() -> None:
    weights = np.zeros(12)
    weights[0] = 1
    with pytest.raises(ValueError, match="sample_weight: expected more than zero for some of the samples to"):
        LSTMRegressor(3, early_stopping=True, validation_fraction=0.5, random_state=0).fit(X, Y, weights)
