"""scikit-learn's own checks of estimators, all of them, on tables; and the essential ones again on other forms of X."""

from __future__ import annotations

import pickle
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastlstm.sklearn import LSTMClassifier, LSTMRegressor

ENDLESS = {"n_iter_no_change": np.inf, "random_state": 0}
SMALL = [
    LSTMClassifier(3, learning_rate_init=0.2, max_iter=20),
    LSTMRegressor(6, learning_rate_init=0.1, max_iter=40),
]


@parametrize_with_checks(SMALL)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_whole(estimator: Any, check: Any) -> None:
    check(estimator)


def forms(rng: Any) -> dict[str, Any]:
    lengths = rng.integers(2, 7, 24)
    return {
        "array": rng.standard_normal((24, 5, 2)),
        "list": [rng.standard_normal((length, 2)) for length in lengths],
        "list of one length": [rng.standard_normal((4, 2)) for _ in lengths],
        "flat list": [rng.standard_normal(length) for length in lengths],
        "objects": np.array([rng.standard_normal((length, 2)) for length in lengths], dtype=object),
    }


FORMS = list(forms(np.random.default_rng(0)))


@pytest.fixture(params=FORMS)
def X(request: pytest.FixtureRequest) -> Any:
    return forms(np.random.default_rng(1))[request.param]


@pytest.fixture(params=[LSTMClassifier, LSTMRegressor])
def estimator(request: pytest.FixtureRequest) -> Any:
    return request.param((4, 3), learning_rate_init=0.05, max_iter=6, **ENDLESS)


y = np.arange(24) % 3


def told(fitted: Any, X: Any) -> np.ndarray:
    return fitted.predict_proba(X) if hasattr(fitted, "predict_proba") else fitted.predict(X)


def some(X: Any, rows: Any) -> Any:
    return [X[i] for i in rows] if isinstance(X, list) else X[rows]


def test_fit_returns_self_changes_nothing_and_is_repeatable(estimator: Any, X: Any) -> None:
    before, given = estimator.get_params(), pickle.dumps((X, y))
    assert estimator.fit(X, y) is estimator
    assert estimator.get_params() == before
    assert pickle.dumps((X, y)) == given
    first = told(estimator, X)
    assert (told(estimator.fit(X, y), X) == first).all()
    assert (told(clone(estimator).fit(X, y), X) == first).all()
    assert estimator.n_features_in_ == np.ndim(X[0][0]) + 1


def test_a_sequence_is_told_alone_as_among_others(estimator: Any, X: Any) -> None:
    together = told(estimator.fit(X, y), X)
    order = np.random.default_rng(0).permutation(24)
    np.testing.assert_allclose(told(estimator, some(X, order)), together[order], rtol=0, atol=1e-12)
    alone = np.concatenate([told(estimator, some(X, [i])) for i in range(24)])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-12)


def test_pickles_and_joblib(estimator: Any, X: Any, tmp_path: Any) -> None:
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    expected = told(estimator.fit(X, y), X)
    joblib.dump(estimator, tmp_path / "it.joblib")
    path = tmp_path / "it.joblib"
    for again in (pickle.loads(pickle.dumps(estimator)), joblib.load(path), joblib.load(path, mmap_mode="r")):
        assert (told(again, X) == expected).all()
        one, two = (told(each.partial_fit(X, y), X) for each in (again, clone(estimator).fit(X, y)))
        assert (one == two).all()  # Adam goes on where it was


def test_cross_validation_and_search(estimator: Any, X: Any) -> None:
    estimator.set_params(max_iter=2)
    assert cross_val_score(estimator, X, y, cv=3).shape == (3,)
    search = GridSearchCV(estimator, {"hidden_layer_sizes": [2, (3, 2)], "bidirectional": [True]}, cv=2).fit(X, y)
    assert search.best_estimator_.predict(X).shape == (24,)
    assert make_pipeline("passthrough", estimator).fit(X, y).predict(X).shape == (24,)


def test_weights_are_repetitions(estimator: Any, X: Any) -> None:
    weights = np.random.default_rng(0).integers(0, 4, 24)
    estimator.set_params(scale=True, alpha=0.1)
    repeated = clone(estimator).fit(some(X, np.repeat(np.arange(24), weights)), np.repeat(y, weights))
    weighted = clone(estimator).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(told(weighted, X), told(repeated, X), rtol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)


def test_read_only_memory(estimator: Any, tmp_path: Any) -> None:
    X = np.random.default_rng(0).standard_normal((24, 5, 2)).astype(np.float32)
    joblib.dump((X, y), tmp_path / "data")
    mapped = joblib.load(tmp_path / "data", mmap_mode="r")
    one, two = (told(clone(estimator).fit(*data), data[0]) for data in ((X, y), mapped))
    assert (one == two).all()
