"""LSTMForecaster: what it learns from, what it says, its bands and its backtests, against plain loops."""

from __future__ import annotations

import math
import pickle
import re
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn.base")

from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from fastlstm.sklearn import LSTMForecaster, forecaster

H, L = 3, 4
RNG = np.random.default_rng(1)
Y = 5 + np.cumsum(RNG.standard_normal(60))
X = RNG.standard_normal((70, 2))
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "n_iter_no_change": math.inf, "random_state": 0}


class Linear(BaseEstimator):
    """In the place of the network: least squares, which are the same wherever they are computed."""

    def __init__(self, early_stopping: bool = False, validation_fraction: float = 0.1, scale: bool = True, **rest: Any):
        self.early_stopping, self.validation_fraction, self.scale = early_stopping, validation_fraction, scale

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Any:
        assert self.scale is False
        self.learnt, self.judged = (X, y), validation_data
        self.weights = np.linalg.lstsq(self._rows(X), y, rcond=None)[0]
        return self

    def predict(self, X: Any) -> Any:
        return self._rows(X) @ self.weights

    def _rows(self, X: Any) -> Any:
        return np.c_[np.asarray(X, float).reshape(len(X), -1), np.ones(len(X))]


@pytest.fixture
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecaster, "LSTMRegressor", Linear)


def made(**options: Any) -> LSTMForecaster:
    return LSTMForecaster(**{"horizon": H, "window": L} | SMALL | options)


def by_hand(y: Any, seen: Any, origin: int) -> Any:
    """Least squares from all windows of what is seen; the forecast that begins at the origin."""
    mean, deviation = seen.mean(), seen.std()
    z, known = (y - mean) / deviation, (seen - mean) / deviation
    rows = [[*known[i : i + L], 1] for i in range(len(known) - L - H + 1)]
    wanted = [known[i + L : i + L + H] for i in range(len(known) - L - H + 1)]
    weights = np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0]
    return mean + deviation * (np.array([*z[origin - L : origin], 1]) @ weights)


# what is learnt, and said


def test_windows_that_are_learnt(linear: None) -> None:
    found = made(calibration=0).fit(Y, X[:60])
    x, y = found.regressor_.learnt
    assert x.shape == (60 - L - H + 1, L, 1 + 2 * (H + 1))
    z, k = (Y - Y.mean()) / Y.std(), (X[:60] - X[:60].mean(axis=0)) / X[:60].std(axis=0)
    for i in range(len(x)):
        for step in range(L):
            at = i + step
            np.testing.assert_allclose(x[i, step], [z[at], *k[at : at + H + 1].ravel()], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(y[i], z[i + L : i + L + H], rtol=1e-5, atol=1e-6)
    assert (found.n_series_, found.n_covariates_) == (1, 2)


def test_without_scale_numbers_are_learnt_as_they_are(linear: None) -> None:
    x, y = made(calibration=0, scale=False).fit(Y).regressor_.learnt
    np.testing.assert_array_equal(x[0, :, 0], Y[:L].astype(np.float32))
    np.testing.assert_array_equal(y[-1], Y[-H:].astype(np.float32))


@pytest.mark.parametrize("calibration", [0, 12, 0.2])
def test_a_forecast_by_hand(linear: None, calibration: Any) -> None:
    seen = Y if calibration == 0 else Y[:48]
    found = made(calibration=calibration).fit(Y)
    np.testing.assert_allclose(found.predict(), by_hand(Y, seen, 60), rtol=1e-4)
    again = made(calibration=calibration, refit=True).fit(Y)
    np.testing.assert_allclose(again.predict(), by_hand(Y, Y, 60), rtol=1e-4)


def test_the_network_sees_the_last_window() -> None:
    found = made().fit(Y)
    seen = Y[:48]
    last = ((Y[-L:] - seen.mean()) / seen.std()).astype(np.float32)
    expected = seen.mean() + seen.std() * found.regressor_.predict(last[None, :, None])[0]
    np.testing.assert_allclose(found.predict(), expected, rtol=1e-5)
    assert found.predict().dtype == np.float64


def test_a_covariate_that_says_all_is_used(linear: None) -> None:
    y = X[:60] @ [2.0, -1.0]
    found = made(calibration=0).fit(y, X[:60]).predict(X[60:63])
    np.testing.assert_allclose(found, X[60:63] @ [2.0, -1.0], atol=1e-4)


def test_it_learns_a_wave_with_the_network() -> None:
    y = 10 + np.sin(np.arange(150) * 2 * np.pi / 12)
    found = LSTMForecaster(2, 6, hidden_layer_sizes=(4,), max_iter=15, learning_rate_init=0.03, batch_size=16,
                           n_iter_no_change=math.inf, random_state=0).fit(y[:120])  # fmt: skip
    errors = found.update(y[120:]).backtest(120).errors
    assert errors["LSTMForecaster"]["MAE"] < 0.5 * errors["persistence"]["MAE"]


def test_a_horizon_of_one_step(linear: None) -> None:
    found = LSTMForecaster(1, L).fit(Y)
    assert found.regressor_.learnt[1].ndim == 1
    assert found.predict().shape == (1,)
    assert found.backtest(40).actual.shape == (20, 1)


def test_early_stopping_judges_by_the_last_windows(linear: None) -> None:
    found = made(calibration=0, early_stopping=True, validation_fraction=0.2, scale=False).fit(Y)
    (x, y), (x_judged, y_judged) = found.regressor_.learnt, found.regressor_.judged
    windows, n = 60 - L - H + 1, 10
    assert len(x_judged) == n == math.floor(0.2 * windows)
    np.testing.assert_array_equal(y_judged[-1], Y[-H:].astype(np.float32))
    assert len(x) == windows - n - (H - 1)
    assert not set(y.ravel().tolist()) & set(y_judged.ravel().tolist())


# many series


def test_series_of_one_table_and_of_a_list(linear: None) -> None:
    two = np.stack([Y, 100 - 3 * Y], axis=1)
    table, listed = made().fit(two), made().fit([Y, 100 - 3 * Y])
    assert table.predict().shape == (H, 2)
    for place in (0, 1):
        np.testing.assert_array_equal(listed.predict()[place], table.predict()[:, place])
    lower, upper = table.predict_interval(0.5)
    np.testing.assert_allclose((lower + upper) / 2, table.predict())
    # each series is relative to its own mean and deviation
    np.testing.assert_allclose(table.predict()[:, 1] - 100, -3 * table.predict()[:, 0], rtol=1e-3)


def test_series_of_unlike_lengths_with_covariates(linear: None) -> None:
    found = made().fit([Y, Y[:40]], [X[:60], X[:40]])
    one, two = found.predict([X[60:63], X[40:43]])
    assert one.shape == two.shape == (H,)
    found.update([Y[:0], Y[40:42]], [X[:0], X[40:42]])
    again = found.predict([X[60:63], X[42:45]])
    np.testing.assert_array_equal(again[0], one)
    assert not np.array_equal(again[1], two)


# bands


@pytest.mark.parametrize("refit", [False, True])
def test_bands_by_hand(linear: None, refit: bool) -> None:
    found = made(calibration=20, refit=refit).fit(Y)
    errors = [np.abs(Y[o : o + H] - by_hand(Y, Y[:40], o)) for o in range(40, 60 - H + 1)]
    np.testing.assert_allclose(found.calibration_errors_[0], errors, rtol=1e-3, atol=1e-4)
    for coverage in (0.5, 0.8, 0.9):
        place = math.ceil(round((len(errors) + 1) * coverage, 9))
        half = np.sort(errors, axis=0)[place - 1]
        lower, upper = found.predict_interval(coverage)
        np.testing.assert_allclose(lower, found.predict() - half, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(upper, found.predict() + half, rtol=1e-3, atol=1e-3)


def test_noise_is_covered_as_often_as_it_says(linear: None, rng: np.random.Generator) -> None:
    noise = rng.standard_t(4, (320, 60))  # 60 series
    found = LSTMForecaster(1, 2, calibration=59, scale=False).fit(noise[:120]).update(noise[120:])
    for coverage in (0.5, 0.8, 0.9):
        assert abs(found.backtest(120, coverage=coverage).coverage - coverage) < 0.02


def test_without_a_calibration_part_there_are_no_bands(linear: None) -> None:
    found = made(calibration=0).fit(Y)
    assert found.calibration_errors_ is None
    for call in (lambda: found.predict_interval(), lambda: found.backtest(30, coverage=0.5)):
        with pytest.raises(ValueError, match=r"^calibration: expected more than 0 for bands, got 0"):
            call()


# what comes later


def test_update_is_a_longer_series_to_the_same_network(linear: None) -> None:
    found = made().fit(Y[:50], X[:50])
    longer = clone(found).fit(Y[:50], X[:50]).update(Y[50:], X[50:60])
    for t in range(50, 60):
        found.update(Y[t : t + 1], X[t : t + 1])
    np.testing.assert_array_equal(found.predict(X[60:63]), longer.predict(X[60:63]))
    widths = [np.subtract(*one.predict_interval(0.5, X[60:63])) for one in (found, longer)]
    np.testing.assert_array_equal(*widths)
    plain = made().fit(Y[:50]).update(Y[50:])
    np.testing.assert_allclose(plain.predict(), by_hand(Y, Y[:40], 60), rtol=1e-4)


# backtests


def in_a_loop(y: Any, start: int, stride: int, refit: bool, season: int) -> dict[str, Any]:
    rows: dict[str, Any] = {"LSTMForecaster": [], "persistence": [], "seasonal naive": [], "actual": [], "origin": []}
    origin = start
    while origin + H <= len(y):
        seen = y[: origin if refit else start]
        rows["LSTMForecaster"].append(by_hand(y, seen, origin))
        rows["persistence"].append([y[origin - 1]] * H)
        rows["seasonal naive"].append([y[origin + h - season * (1 + h // season)] for h in range(H)])
        rows["actual"].append(y[origin : origin + H])
        rows["origin"].append(origin)
        origin += stride
    return {name: np.array(row) for name, row in rows.items()}


@pytest.mark.parametrize("refit", [False, True])
@pytest.mark.parametrize(("start", "stride", "season"), [(30, 1, 2), (41, 7, 12), (-20, 4, 3), (57, 1, 1)])
def test_backtests_are_those_of_a_loop(linear: None, start: int, stride: int, season: int, refit: bool) -> None:
    found = made(calibration=0, season=season).fit(Y)
    before = found.predict()
    result = found.backtest(start, stride, refit)
    first = start % 60
    expected = in_a_loop(Y, first, stride, refit, season)
    np.testing.assert_array_equal(result.origin, expected["origin"])
    np.testing.assert_array_equal(result.actual, expected["actual"])
    unit = np.mean([abs(Y[t] - Y[t - season]) for t in range(season, first)])
    for name, forecast in result.forecasts.items():
        np.testing.assert_allclose(forecast, expected[name], rtol=1e-4)
        off = (expected[name] - expected["actual"]).ravel()
        by_hand_ = {"MAE": sum(abs(off)) / len(off), "RMSE": math.sqrt(sum(off**2) / len(off))}
        by_hand_["MASE"] = by_hand_["MAE"] / unit
        assert result.errors[name] == pytest.approx(by_hand_, rel=1e-3)
    np.testing.assert_array_equal(found.predict(), before)


def test_a_backtest_of_what_came_by_update_is_of_this_network(linear: None) -> None:
    found = made(season=2).fit(Y[:40]).update(Y[40:])
    regressor, calls = found.regressor_, []
    found.regressor_.predict = lambda x: calls.append(len(x)) or Linear.predict(regressor, x)
    result = found.backtest(40, 3, coverage=0.5)
    assert calls == [len(result.origin)] == [6]
    half = found.predict_interval(0.5).upper - found.predict()
    np.testing.assert_allclose(result.half_width, np.tile(half, (6, 1)))
    inside = np.abs(result.actual - result.forecasts["LSTMForecaster"]) <= half
    assert result.coverage == pytest.approx(inside.mean())


def test_no_forecast_sees_what_comes_behind(linear: None) -> None:
    changed = np.where(np.arange(60) < 45, Y, 1000.0)
    for refit in (False, True):
        one, other = (made().fit(y).backtest(36, 3, refit, coverage=0.5) for y in (Y, changed))
        same = one.origin <= 45
        assert same.sum() == 4
        for name in one.forecasts:
            np.testing.assert_array_equal(one.forecasts[name][same], other.forecasts[name][same])
        np.testing.assert_array_equal(one.half_width[same], other.half_width[same])


@pytest.mark.parametrize("refit", [False, True])
def test_backtests_of_many_series(linear: None, refit: bool) -> None:
    found = made(calibration=0).fit([Y, Y[:50] * 2])
    result = found.backtest(36, 4, refit)
    assert result.origin.tolist() == [*range(36, 58, 4), *range(36, 48, 4)]
    assert result.series.tolist() == [0] * 6 + [1] * 3
    np.testing.assert_array_equal(result.actual[6], 2 * Y[36:39])
    result = found.backtest(-8, 2, refit)
    assert result.origin.tolist() == [52, 54, 56, 42, 44, 46]
    table = made().fit(np.stack([Y, -Y], axis=1), X[:60]).backtest(40, 5, refit)
    assert table.series.tolist() == [0] * 4 + [1] * 4


def test_the_table_of_errors(linear: None) -> None:
    result = made(season=12).fit(Y).backtest(40, coverage=0.5)
    assert repr(result) == str(result)
    head, *rows, last = str(result).splitlines()
    assert head.split() == ["MAE", "RMSE", "MASE"]
    assert [row.split("  ")[0] for row in rows] == ["LSTMForecaster", "persistence", "seasonal naive"]
    for row, errors in zip(rows, result.errors.values(), strict=True):
        np.testing.assert_allclose([float(word) for word in row.split()[-3:]], list(errors.values()), rtol=1e-3)
    width = 2 * result.half_width.mean()
    assert last == f"{result.coverage:.1%} within the bands, {width:.4g} wide on average"
    plain = made().fit(Y).backtest(40)
    assert plain.coverage is None
    assert list(plain.forecasts) == ["LSTMForecaster", "persistence"]
    never_changes = made().fit(np.ones(60)).backtest(40).errors["persistence"]
    assert (never_changes["MAE"], never_changes["RMSE"]) == (0, 0)
    assert math.isnan(never_changes["MASE"])


def test_how_far_a_backtest_is(
    linear: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made().fit(Y)
    found.backtest(40, 2, refit=True)
    assert capsys.readouterr() == ("", "")
    found.set_params(verbose=True)
    pytest.importorskip("tqdm")
    found.backtest(40, 2, refit=True)
    out, error = capsys.readouterr()
    assert not out
    assert "Backtest: 100%" in error
    assert "9/9" in error
    monkeypatch.setitem(sys.modules, "tqdm", None)
    found.backtest(40, 2, refit=True)
    out, error = capsys.readouterr()
    assert not error
    assert out.splitlines()[-1] == "Backtest: 9 of 9"


# as an estimator


def test_parameters_clones_and_pickles() -> None:
    found = made(season=12, cell="peephole", calibration=15)
    assert found.get_params()["cell"] == "peephole"
    assert clone(found).get_params() == found.get_params()
    assert found.set_params(window=5).window == 5
    assert repr(made()).startswith("LSTMForecaster(")
    found.fit(Y)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.predict(), found.predict())
    again.update(Y[:2])
    assert not np.array_equal(again.predict(), found.predict())
    assert not hasattr(clone(found), "regressor_")
    np.testing.assert_array_equal(clone(found).fit(Y).predict(), found.predict())


def test_its_network_parameters_are_the_regressors() -> None:
    from inspect import signature

    from fastlstm.sklearn import LSTMRegressor

    ours, theirs = (signature(one).parameters for one in (LSTMForecaster, LSTMRegressor))
    assert list(ours)[: len(forecaster._OWN)] == list(forecaster._OWN)
    for name in set(ours) - set(forecaster._OWN):
        assert ours[name].default == theirs[name].default, name
    assert set(theirs) - set(ours) == {"warm_start"}
    regressor = made(cell="gru", dropout=0.3, alpha=0.5)._regressor()
    assert (regressor.cell, regressor.dropout, regressor.alpha, regressor.scale) == ("gru", 0.3, 0.5, False)


def test_pandas(linear: None) -> None:
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2020-01-01", periods=63, name="day")
    y, x = pd.Series(Y, days[:60], name="y"), pd.DataFrame(X[:63], days, columns=["a", "b"])
    found = made().fit(y, x[:60])
    forecast, (lower, upper) = found.predict(x[60:]), found.predict_interval(0.5, x[60:])
    plain = made().fit(Y, X[:60])
    for one in (forecast, lower, upper):
        assert one.name == "y"
        pd.testing.assert_index_equal(one.index, days[60:])
    np.testing.assert_array_equal(forecast, plain.predict(X[60:63]))
    with pytest.raises(ValueError, match=r"^X_future\.index: expected even steps.*2020-03-01.*got 2020-02-29"):
        found.predict(x[59:62])
    with pytest.raises(ValueError, match=re.escape("X_future: expected the columns ['a', 'b'], as fit was given, got")):
        found.predict(x[["b", "a"]][60:])
    frame = pd.DataFrame({"one": Y, "two": -Y}, days[:60])
    assert list(made().fit(frame).predict().columns) == ["one", "two"]
    assert pickle.loads(pickle.dumps(found)).predict(x[60:]).equals(forecast)


# bad input


@pytest.mark.parametrize(
    ("options", "y", "error", "message"),
    [
        ({"horizon": 0}, Y, ValueError, "horizon: expected at least 1, got 0"),
        ({"horizon": 2.5}, Y, TypeError, "horizon: expected an integer, got float"),
        ({"window": 0}, Y, ValueError, "window: expected at least 1, got 0"),
        ({"season": 0}, Y, ValueError, "season: expected at least 1, got 0"),
        ({"refit": 1}, Y, TypeError, "refit: expected True or False, got 1"),
        ({"scale": "yes"}, Y, TypeError, "scale: expected True or False, got 'yes'"),
        ({"calibration": 1.0}, Y, ValueError,
         "calibration: expected a share of at least 0 and less than 1, or an integer of steps, got 1"),
        ({"calibration": math.nan}, Y, ValueError, "calibration: expected a share of at least 0 and less than 1"),
        ({"calibration": -1}, Y, ValueError, "calibration: expected at least 0, got -1"),
        ({"calibration": None}, Y, TypeError, "calibration: expected an integer, got NoneType"),
        ({"calibration": True}, Y, TypeError, "calibration: expected an integer, got bool"),
        ({"calibration": 2}, Y, ValueError, "calibration: expected at least horizon = 3 steps, got 2 of a series of 60"),
        ({}, Y[:14], ValueError, "calibration: expected at least horizon = 3 steps, got 0.2 of a series of 14 steps, 2"),
        ({"calibration": 0}, Y[:6], ValueError, "y: expected at least window + horizon = 4 + 3 = 7 steps, got 6"),
        ({"calibration": 55}, Y, ValueError,
         "y: expected at least window + horizon = 4 + 3 = 7 steps before the calibration part of 55, got 5"),
        ({"calibration": 0}, [Y, Y[:5]], ValueError, "y[1]: expected at least window + horizon = 4 + 3 = 7 steps, got 5"),
        ({}, [*Y[:50], math.nan], ValueError, "y: expected finite numbers, got nan at [50]"),
        ({"early_stopping": True, "validation_fraction": 0.99}, Y, ValueError,
         "validation_fraction: expected windows to learn from beside those to validate with and the 2 between"),
        ({"early_stopping": True, "validation_fraction": 2}, Y, ValueError,
         "validation_fraction: expected 0 to 1, got 2"),
        ({"cell": "lstn"}, Y, ValueError, "cell: expected"),
        ({"max_iter": 0}, Y, ValueError, "max_iter: expected at least 1, got 0"),
    ],
)  # fmt: skip
def test_bad_input_of_fit(options: dict[str, Any], y: Any, error: type[Exception], message: str) -> None:
    found = made(**options)
    with pytest.raises(error, match="^" + re.escape(message)):
        found.fit(y)
    assert not hasattr(found, "regressor_")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda one: one.predict(), ValueError, "X_future: expected 3 steps of 2 covariates, as fit was given X, got None"),
        (lambda one: one.predict(X[:2]), ValueError, "X_future: expected 3 steps, got 2"),
        (lambda one: one.predict(X[:3, :1]), ValueError, "X_future: expected 2 columns, as fit was given, got 1"),
        (lambda one: one.predict(X[:3] * math.nan), ValueError, "X_future: expected finite numbers, got nan at [0, 0]"),
        (lambda one: one.predict_interval(0.9), ValueError, "X_future: expected 3 steps of 2"),
        (lambda one: one.predict_interval(1.5, X[:3]), ValueError, "coverage: expected more than 0 and less than 1, got"),
        (lambda one: one.predict_interval(0.99, X[:3]), ValueError,
         "coverage: expected at most 0.909 with 10 forecasts in the calibration part, got 0.99, which takes 99"),
        (lambda one: one.update(Y[:2]), ValueError, "X: expected 2 steps of 2 covariates, as fit was given X, got None"),
        (lambda one: one.update(Y[:2], X[:3]), ValueError, "X: expected 2 steps, got 3"),
        (lambda one: one.backtest(-70), ValueError, "start: expected at least -60, got -70"),
        (lambda one: one.backtest(0.5), TypeError, "start: expected an integer, got float"),
        (lambda one: one.backtest(58), ValueError,
         "start: expected at most 57, as the series has 60 steps and the horizon is 3, got 58"),
        (lambda one: one.backtest(15), ValueError,
         "y before start = 15: expected at least window + horizon = 4 + 3 = 7 steps before the calibration part of 12"),
        (lambda one: one.backtest(25), ValueError, "season: expected at most the 25 steps before start, got 30"),
        (lambda one: one.backtest(40, 0), ValueError, "stride: expected at least 1, got 0"),
        (lambda one: one.backtest(40, refit="no"), TypeError, "refit: expected True or False, got 'no'"),
        (lambda one: one.backtest(40, coverage=90), ValueError, "coverage: expected more than 0 and less than 1, got 90"),
    ],
)  # fmt: skip
def test_bad_input_of_what_has_learnt(linear: None, call: Any, error: type[Exception], message: str) -> None:
    found = made(calibration=12, season=30).fit(Y, X[:60])
    with pytest.raises(error, match="^" + re.escape(message)):
        call(found)
    assert found.predict(X[60:63]).shape == (H,)


def test_bands_that_cannot_be_had_are_refused_before_anything_is_learnt(
    linear: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, none = made(calibration=12).fit(Y), made(calibration=0).fit(Y)
    monkeypatch.setattr(Linear, "fit", None)
    with pytest.raises(ValueError, match=r"^coverage: expected at most 0\.909 with 10 forecasts"):
        found.backtest(40, coverage=0.95)
    with pytest.raises(ValueError, match=r"^calibration: expected more than 0 for bands, got 0"):
        none.backtest(40, coverage=0.5)
    with pytest.raises(ValueError, match=r"^horizon: expected 3, as when fit was called, got 5: call fit anew"):
        found.set_params(horizon=5).backtest(40)


def test_covariates_that_fit_was_not_given(linear: None) -> None:
    with pytest.raises(ValueError, match=r"^X_future: expected None, as fit was given no X, got ndarray"):
        made().fit(Y).predict(X[:3])


def test_before_fit() -> None:
    for call in (lambda: made().predict(), lambda: made().predict_interval(), lambda: made().update(Y),
                 lambda: made().backtest(3)):  # fmt: skip
        with pytest.raises(NotFittedError):
            call()
