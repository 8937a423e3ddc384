"""The estimators' numbers: against networks made by hand, scikit-learn's scores, differences and repetitions."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import numpy as np
import pytest
from own_cells import minimal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.utils.class_weight import compute_sample_weight

import fastlstm
from fastlstm import nn, reference
from fastlstm.sklearn import LSTMClassifier, LSTMRegressor, network

ENDLESS = {"n_iter_no_change": np.inf, "random_state": 0}
QUICK = {"max_iter": 4, "learning_rate_init": 0.05, **ENDLESS}
CLASSES = {2: np.array(["no", "yes"]), 3: np.array(["a", "b", "c"])}


def seed_of(random_state: int) -> int:
    return int(np.random.RandomState(random_state).randint(np.iinfo(np.int32).max))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("weighted", [False, True])
def test_first_loss_by_hand(ragged: list[np.ndarray], weighted: bool, rng: Any) -> None:
    """The loss of the first epoch is that of the first weights, which the reference runs sequence by sequence."""
    numbers = rng.integers(0, 3, 30)
    weights = rng.uniform(0, 2, 30) if weighted else np.ones(30)
    alpha = 0.5
    fitted = LSTMClassifier(5, alpha=alpha, max_iter=1, **ENDLESS)
    fitted.fit(ragged, CLASSES[3][numbers], weights if weighted else None)
    first = network.build(fitted._built, fitted._head(), 2, np.float64, seed_of(0))
    W, U, b, V, c = first.get_weights()
    each = np.concatenate([np.full(len(one), weight) for one, weight in zip(ragged, weights, strict=True)])
    steps = np.concatenate(ragged)
    mean = np.average(steps, axis=0, weights=each)
    deviation = np.sqrt(np.average((steps - mean) ** 2, axis=0, weights=each))
    h = np.stack([reference.forward((x - mean) / deviation, fastlstm.Params(W, U, b))[0][-1] for x in ragged])
    probability = softmax(h @ V + c)[np.arange(30), numbers]
    loss = np.average(-np.log(probability), weights=weights)
    penalty = alpha / 2 / weights.sum() * sum((w**2).sum() for w in (W, U, V))
    np.testing.assert_allclose(fitted.loss_curve_, [loss + penalty], rtol=1e-12)


def test_a_fit_is_that_of_a_model_made_by_hand(rng: Any) -> None:
    X, targets = rng.standard_normal((45, 6, 2)), 5 + 3 * rng.standard_normal((45, 2))
    fitted = LSTMRegressor(
        (5, 4), bidirectional=True, dropout=0.3, recurrent_dropout=0.2, alpha=0.0, batch_size=20, **QUICK
    ).fit(X, targets)
    model = nn.Sequential(seed=seed_of(0))
    for units, sequences in ((5, True), (4, False)):
        half = nn.LSTM(units, return_sequences=sequences, recurrent_dropout=0.2, dtype="float64")
        model.add(nn.Bidirectional(half, dtype="float64"))
        model.add(nn.Dropout(0.3, dtype="float64"))
    model.add(nn.Dense(2, dtype="float64"))
    model.build((None, 6, 2))
    model.compile(nn.optimizers.Adam(0.05, clipnorm=1.0), "mse")
    x = (X - X.mean(axis=(0, 1))) / X.std(axis=(0, 1))
    history = model.fit(x, (targets - targets.mean(axis=0)) / targets.std(axis=0), batch_size=20, epochs=4, verbose=0)
    np.testing.assert_allclose(fitted.model_.flat_params, model.flat_params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fitted.loss_curve_, history.history["loss"], rtol=1e-10)
    expected = model.predict(x, verbose=0) * targets.std(axis=0) + targets.mean(axis=0)
    np.testing.assert_allclose(fitted.predict(X), expected, rtol=1e-9)


def test_penalties_of_a_smaller_last_batch(rng: Any) -> None:
    """Each batch's penalty is divided by its own weights, as in MLPClassifier."""
    X, targets = rng.standard_normal((5, 3, 1)), rng.standard_normal(5)
    options = {**QUICK, "max_iter": 1, "learning_rate_init": 1e-9}
    losses = [
        LSTMRegressor(3, alpha=alpha, batch_size=4, scale=False, **options).fit(X, targets) for alpha in (0.0, 2.0)
    ]
    model = losses[0].model_
    squares = sum((w**2).sum() for w in model.get_weights() if w.ndim == 2)
    # the mean over samples: 4 with squares / 4, one with squares / 1; as the squared error, not halved
    expected = losses[0].loss_curve_[0] + 2.0 * squares * (4 / 4 + 1 / 1) / 5
    np.testing.assert_allclose(losses[1].loss_curve_[0], expected, rtol=1e-6)


@pytest.mark.parametrize("K", CLASSES)
def test_scores_are_those_of_sklearn(ragged: list[np.ndarray], K: int, rng: Any) -> None:
    labels, weights = CLASSES[K][rng.integers(0, K, 30)], rng.uniform(size=30)
    fitted = LSTMClassifier(4, **QUICK).fit(ragged, labels, validation_data=(ragged, labels, weights))
    assert fitted.score(ragged, labels) == accuracy_score(labels, fitted.predict(ragged))
    probabilities = fitted.predict_proba(ragged)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-15)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(ragged)).all()
    assert (fitted.predict_log_proba(ragged) == np.log(probabilities)).all()
    assert fitted.validation_scores_ is not None
    assert len(fitted.validation_scores_) == fitted.n_iter_ == 4
    np.testing.assert_allclose(fitted.validation_scores_[-1], fitted.score(ragged, labels, weights), rtol=1e-12)
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    learnt = clone(fitted).set_params(alpha=0.0, max_iter=1, learning_rate_init=1e-12).fit(ragged, labels)
    np.testing.assert_allclose(learnt.loss_curve_[0], log_loss(labels, learnt.predict_proba(ragged)), rtol=1e-8)


@pytest.mark.parametrize("K", [None, 1, 3])
def test_scores_of_regression(ragged: list[np.ndarray], K: int | None, rng: Any) -> None:
    targets = 1e4 + 20 * rng.standard_normal(30 if K is None else (30, K))
    fitted = LSTMRegressor(4, **QUICK).fit(ragged, targets, validation_data=(ragged, targets))
    assert fitted.predict(ragged).shape == targets.shape
    assert fitted.score(ragged, targets) == r2_score(targets, fitted.predict(ragged))
    assert fitted.validation_scores_ is not None
    np.testing.assert_allclose(fitted.validation_scores_[-1], fitted.score(ragged, targets), rtol=1e-9)
    np.testing.assert_allclose(fitted.target_mean_, targets.mean(axis=0).reshape(-1), rtol=1e-13)
    np.testing.assert_allclose(fitted.target_scale_, targets.std(axis=0).reshape(-1), rtol=1e-10)


def difference(f: Any, X: list[np.ndarray], i: int, place: tuple[int, ...]) -> Any:
    """Of what f makes of sequence i, by the number at that place."""
    step, found = 1e-5, []
    for sign in (1, -1):
        moved = X[i].copy()
        moved[place] += sign * step
        found.append(f([moved])[0])
    return (found[0] - found[1]) / (2 * step)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("K", CLASSES)
def test_input_gradient_of_a_class(ragged: list[np.ndarray], K: int, scale: bool, rng: Any) -> None:
    labels = CLASSES[K][np.arange(30) % K]
    fitted = LSTMClassifier((4, 3), bidirectional=True, dropout=0.5, recurrent_dropout=0.3, scale=scale, **QUICK)
    fitted.fit(ragged, labels)
    weights = fitted.model_.get_weights()
    likeliest = fitted.predict_proba(ragged).argmax(axis=1)
    found, of_last = fitted.input_gradient(ragged), fitted.input_gradient(ragged, label=CLASSES[K][-1])
    assert [one.shape for one in found] == [one.shape for one in ragged]
    for i, place in ((0, (0, 1)), (3, (-1, 0)), (7, (1, 0))):
        slopes = difference(fitted.predict_proba, ragged, i, place)
        np.testing.assert_allclose(found[i][place], slopes[likeliest[i]], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(of_last[i][place], slopes[-1], rtol=1e-5, atol=1e-9)
    assert all((one == two).all() for one, two in zip(weights, fitted.model_.get_weights(), strict=True))


def test_input_gradient_of_a_number(rng: Any) -> None:
    X, targets = 3 * rng.standard_normal((20, 4, 2)), 100 + 7 * rng.standard_normal((20, 2))
    fitted = LSTMRegressor(4, cell="peephole", **QUICK).fit(X, targets)
    for output in (0, 1):
        found = fitted.input_gradient(X, output=output)
        assert found.shape == X.shape
        slope = difference(lambda one: fitted.predict(np.array(one)), list(X), 2, (1, 1))[output]
        np.testing.assert_allclose(found[2, 1, 1], slope, rtol=1e-6)
    table = LSTMRegressor(4, **QUICK).fit(X[:, :, 0], targets[:, 0])
    assert table.input_gradient(X[:, :, 0]).shape == (20, 4)


def test_weights_of_classes(ragged: list[np.ndarray], rng: Any) -> None:
    labels = CLASSES[3][rng.choice(3, 30, p=[0.6, 0.3, 0.1])]
    own = rng.uniform(0.5, 2, 30)
    by_class = {"a": 1.0, "b": 3.0, "c": 0.5}
    plain = LSTMClassifier(4, scale=False, **QUICK)
    for given, factors in (
        (by_class, [by_class[one] for one in labels]),
        ("balanced", compute_sample_weight("balanced", labels)),
    ):
        found = clone(plain).set_params(class_weight=given).fit(ragged, labels)
        expected = clone(plain).fit(ragged, labels, sample_weight=factors)
        np.testing.assert_allclose(found.model_.flat_params, expected.model_.flat_params, rtol=1e-9, atol=1e-12)
    twice = np.repeat(np.arange(30), 1 + np.arange(30) % 2)
    both = [
        clone(plain).set_params(class_weight="balanced").fit(*data)
        for data in ((ragged, labels, 1 + np.arange(30) % 2), ([ragged[i] for i in twice], labels[twice]))
    ]
    np.testing.assert_allclose(*(one.model_.flat_params for one in both), rtol=1e-9, atol=1e-12)
    unlike = clone(plain).set_params(class_weight=by_class).fit(ragged, labels, sample_weight=own)
    assert not np.allclose(unlike.model_.flat_params, found.model_.flat_params)


def test_partial_fit_goes_on(ragged: list[np.ndarray], rng: Any) -> None:
    labels = CLASSES[3][np.arange(30) % 3]
    given = LSTMClassifier((4, 3), dropout=0.2, recurrent_dropout=0.2, batch_size=7, **QUICK)
    whole, parts = clone(given).fit(ragged, labels), clone(given)
    for _ in range(4):
        parts.partial_fit(ragged, labels, classes=["c", "a", "b"])
    assert (whole.model_.flat_params == parts.model_.flat_params).all()
    assert whole.loss_curve_ == parts.loss_curve_
    assert parts.n_iter_ == 1
    before = parts.model_.flat_params.copy()
    parts.set_params(learning_rate_init=1e-12).partial_fit(ragged[:3], labels[:3])  # another setting is heeded
    np.testing.assert_allclose(parts.model_.flat_params, before, atol=1e-10)


def test_warm_start(ragged: list[np.ndarray], rng: Any) -> None:
    targets = rng.standard_normal(30)
    given = LSTMRegressor(4, warm_start=True, **QUICK).fit(ragged, targets)
    first, mean = given.loss_curve_, given.feature_mean_
    given.fit(ragged[:20], targets[:20])
    assert len(given.loss_curve_) == 8
    assert given.loss_curve_[:4] == first
    assert given.feature_mean_ is mean
    cold = LSTMRegressor(4, **QUICK).fit(ragged, targets).fit(ragged, targets)
    assert cold.loss_curve_ == first
    with pytest.raises(ValueError, match=r"hidden_layer_sizes: expected \(4,\), as of the weights that are kept"):
        given.set_params(hidden_layer_sizes=5).fit(ragged, targets)


def waiting(values: list[float], tol: float, patience: float) -> int:
    """Epochs until MLPClassifier stops, by its own words, where smaller is better."""
    best, waited = np.inf, 0
    for epoch, value in enumerate(values):
        waited = waited + 1 if value > best - tol else 0
        best = min(best, value)
        if waited > patience:
            return epoch + 1
    return len(values)


def test_training_ends_by_the_loss(ragged: list[np.ndarray], rng: Any) -> None:
    labels = CLASSES[2][rng.integers(0, 2, 30)]
    given = LSTMClassifier(4, **QUICK).set_params(max_iter=40)
    curve = given.fit(ragged, labels).loss_curve_
    given.set_params(tol=float(np.quantile(-np.diff(curve), 0.7)))
    for patience in (1, 3):
        expected = waiting(curve, given.tol, patience)
        assert expected < 40
        stopped = clone(given).set_params(n_iter_no_change=patience).fit(ragged, labels)
        assert stopped.n_iter_ == expected
        assert stopped.loss_curve_ == curve[:expected]
    with pytest.warns(ConvergenceWarning, match="hasn't converged yet"):
        clone(given).set_params(max_iter=2, n_iter_no_change=3).fit(ragged, labels)


@pytest.mark.parametrize("given", [False, True])
def test_early_stopping(ragged: list[np.ndarray], given: bool, rng: Any) -> None:
    labels = CLASSES[3][rng.integers(0, 3, 30)]
    fitted = LSTMClassifier(4, early_stopping=True, validation_fraction=0.3, **QUICK)
    fitted.set_params(max_iter=40, n_iter_no_change=5, learning_rate_init=0.2)
    held_out = (ragged[:9], labels[:9]) if given else None
    fitted.fit(ragged[9:] if given else ragged, labels[9:] if given else labels, validation_data=held_out)
    scores = fitted.validation_scores_
    assert scores is not None
    assert fitted.n_iter_ == len(scores) == waiting([-one for one in scores], fitted.tol, 5) < 40
    assert fitted.best_validation_score_ == max(scores) > scores[-1]
    assert fitted.best_loss_ is None
    if given:  # the best weights are back
        assert fitted.score(*held_out) == max(scores)  # type: ignore[misc]


def test_what_is_held_out_has_no_part_in_the_scale(rng: Any) -> None:
    X, targets = rng.standard_normal((20, 3, 2)), rng.standard_normal(20)
    fitted = LSTMRegressor(3, early_stopping=True, validation_fraction=0.25, **QUICK).fit(X, targets)
    state = np.random.RandomState(0)
    state.randint(np.iinfo(np.int32).max)
    learn = state.permutation(20)[5:]  # as scikit-learn's ShuffleSplit draws
    np.testing.assert_allclose(fitted.feature_mean_, X[learn].mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(fitted.target_mean_, [targets[learn].mean()], rtol=1e-12)


@pytest.mark.parametrize("X", [np.ones((6, 3)), np.ones((6, 3, 1)), [np.ones(3)] * 6, [np.ones((3, 1))] * 6])
def test_one_feature_in_any_form(X: Any, rng: Any) -> None:
    numbers, targets = rng.standard_normal((6, 3)), np.arange(6.0)
    given = numbers.reshape(np.shape(X)) if isinstance(X, np.ndarray) else [one.reshape(X[0].shape) for one in numbers]
    expected = LSTMRegressor(3, **QUICK).fit(numbers, targets).predict(numbers)
    fitted = LSTMRegressor(3, **QUICK).fit(given, targets)
    assert (fitted.predict(given) == expected).all()
    assert (fitted.predict([one[:, None] for one in numbers]) == expected).all()
    assert (fitted.predict(numbers) == expected).all()


@pytest.mark.parametrize("kind", ["peephole", "interpolated", "normalized"])
def test_cells(ragged: list[np.ndarray], kind: str) -> None:
    labels = [x[-1, 0] > 3 for x in ragged]
    fitted = LSTMClassifier((3, 2), cell=kind, bidirectional=True, **QUICK).fit(ragged, labels)
    assert min(fitted.loss_curve_) < fitted.loss_curve_[0]
    assert {layer.forward_layer.cell for layer in fitted.model_.layers[:2]} == {kind}


@pytest.mark.parametrize("kind", ["gru", "gru_before", minimal], ids=str)
def test_the_gru_and_cells_of_ones_own(ragged: list[np.ndarray], kind: Any) -> None:
    labels = [x[-1, 0] > 3 for x in ragged]
    given = LSTMClassifier((3, 2), cell=kind, **QUICK)
    fitted = clone(given).fit(ragged, labels)
    assert min(fitted.loss_curve_) < fitted.loss_curve_[0]
    if isinstance(kind, str):
        assert {layer.reset_after for layer in fitted.model_.layers[:2]} == {kind == "gru"}
    else:
        assert {layer.cell.name for layer in fitted.model_.layers[:2]} == {"minimal"}
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.predict_proba(ragged) == fitted.predict_proba(ragged)).all()
    assert again.fit(ragged, labels).loss_curve_ == fitted.loss_curve_


def test_with_the_kernels(kernels: None, rng: Any) -> None:
    X = [rng.standard_normal((length, 3)).astype(np.float32) for length in rng.integers(2, 9, 120)]
    labels = np.array(["down", "up"])[[int(one[:, 0].sum() > 0) for one in X]]
    given = LSTMClassifier(8, learning_rate_init=0.03, batch_size=32, max_iter=30, **ENDLESS)
    fitted = clone(given).fit(X[:80], labels[:80])
    assert fitted.model_.dtype == np.float32
    assert fitted.score(X[80:], labels[80:]) > 0.8
    assert (clone(given).fit(X[:80], labels[:80]).model_.flat_params == fitted.model_.flat_params).all()
    together = fitted.predict_proba(X)
    assert (np.concatenate([fitted.predict_proba([one]) for one in X[:5]]) == together[:5]).all()
    assert len(fitted.input_gradient(X)) == 120


def test_what_is_printed(ragged: list[np.ndarray], capsys: Any) -> None:
    labels = np.arange(30) % 2
    LSTMClassifier(3, verbose=True, tol=1.0, **QUICK).set_params(n_iter_no_change=1).fit(ragged, labels)
    printed = capsys.readouterr().out
    assert "Epoch 3/4" in printed
    assert "Training loss did not improve more than tol=1.000000 for 1 consecutive epochs. Stopping." in printed
    LSTMClassifier(3, **QUICK).fit(ragged, labels)
    assert capsys.readouterr().out == ""


def test_interrupted(ragged: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    original = network.Watch.on_epoch_end

    def interrupt(self: Any, epoch: int, logs: Any = None) -> None:
        original(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(network.Watch, "on_epoch_end", interrupt)
    with pytest.warns(UserWarning, match="interrupted by user"):
        fitted = LSTMClassifier(3, **QUICK).fit(ragged, np.arange(30) % 2)
    assert fitted.n_iter_ == 2
    assert fitted.predict(ragged).shape == (30,)


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("fastlstm.sklearn.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match=r"LSTMRegressor: expected scikit-learn to be installed, it is not"):
        fastlstm.sklearn.LSTMRegressor  # noqa: B018
    assert "LSTMClassifier" in dir(fastlstm.sklearn)
    with pytest.raises(AttributeError, match="has no attribute 'GRUClassifier'"):
        fastlstm.sklearn.GRUClassifier  # noqa: B018
