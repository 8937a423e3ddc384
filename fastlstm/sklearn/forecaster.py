"""Forecasts of series, with bands, by a network that has learnt from windows of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from ..arrays import integer, size_of
from ..nn._src.names import flag
from .backtest import Backtest, Tested, joined, progress
from .conformal import check_enough, half_widths, share
from .estimators import LSTMRegressor
from .learnt import Learnt, Series, learn
from .panel import Panel, panel
from .settings import Cell
from .windowing import windows

Array = NDArray[Any]
_OWN = ("horizon", "window", "season", "calibration", "refit")  # parameters that are not the network's


class Interval(NamedTuple):
    """A band: its ends, each in the form of a forecast.

    Attributes
    ----------
    lower, upper : ndarray, or a series or frame with an index
    """

    lower: Any
    upper: Any


class LSTMForecaster(BaseEstimator):
    """Forecasts one series or many: all steps of a horizon at once, with bands around them.

    One network learns from all windows of all series. It sees `window` steps, and says the `horizon` steps behind them
    (a direct forecast). Each series is forecast from its own past, and from covariates, if there are any.

    Parameters
    ----------
    horizon : int
        Steps that are forecast.
    window : int
        Steps before them that the network sees.
    season : int, optional
        Steps of a season, for the rule "as a season ago" in `backtest`; the network does not know of it.
    calibration : float or int
        The last part of each series, as a share or in steps, from which the network does not learn. Its errors there
        make the bands of `predict_interval`. With 0 it learns from all, and there are no bands.
    refit : bool
        Whether the network then learns anew, from all. Its forecasts know more. The bands are still those of the first
        network: they have no guarantee any longer, and are mostly too wide rather than too narrow.
    hidden_layer_sizes, cell, bidirectional, dropout, recurrent_dropout, alpha, batch_size, learning_rate_init, \
max_iter, shuffle, random_state, tol, verbose, early_stopping, validation_fraction, n_iter_no_change, clipnorm
        As of `LSTMRegressor`. With early_stopping the last windows of each series validate.
    scale : bool
        Whether each series, and each covariate, is taken relative to its mean and deviation in what is learnt.

    Attributes
    ----------
    regressor_ : LSTMRegressor
        What has learnt, from scaled windows; its `model_` is the network.
    calibration_errors_ : list of ndarray, shape (n, horizon)
        For each series, how far the n forecasts within its calibration part were off; None without such a part.
    n_series_ : int
    n_covariates_ : int

    Raises
    ------
    ValueError, TypeError
        `fit`: series or parameters that make no sense; the message names them.

    Notes
    -----
    The bands are those of split conformal prediction [1]_. If the n errors of the calibration part and the error to
    come are exchangeable, a band covers with the probability that was asked for. Errors of a series are not quite
    exchangeable: overlapping forecasts resemble each other, and times change. `backtest` with a coverage says what the
    bands are worth. Each step of the horizon has a band of its own. That all steps of a forecast lie within theirs is
    less probable.

    References
    ----------
    .. [1] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani, L. Wasserman, "Distribution-free predictive inference for
       regression", Journal of the American Statistical Association 113 (2018), section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.sklearn import LSTMForecaster
    >>> y = 10 + np.sin(np.arange(240) * 2 * np.pi / 12)
    >>> forecaster = LSTMForecaster(horizon=6, window=12, season=12, hidden_layer_sizes=8, learning_rate_init=0.01,
    ...                             max_iter=40, n_iter_no_change=np.inf, random_state=0)
    >>> forecaster.fit(y[:200]).predict().shape
    (6,)
    >>> lower, upper = forecaster.predict_interval(0.8)
    >>> bool((lower <= upper).all())
    True
    >>> result = forecaster.update(y[200:]).backtest(start=200)
    >>> result.errors["LSTMForecaster"]["MAE"] < result.errors["persistence"]["MAE"]
    True
    """

    def __init__(
        self, horizon: int, window: int, *, season: int | None = None, calibration: float | int = 0.2,
        refit: bool = False, hidden_layer_sizes: int | Sequence[int] = (100,), cell: Cell = "standard",
        bidirectional: bool = False, dropout: float = 0.0, recurrent_dropout: float = 0.0, alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto", learning_rate_init: float = 0.001, max_iter: int = 200,
        shuffle: bool = True, random_state: int | np.random.RandomState | None = None, tol: float = 1e-4,
        verbose: bool | int = False, early_stopping: bool = False, validation_fraction: float = 0.1,
        n_iter_no_change: float = 10, clipnorm: float | None = 1.0, scale: bool = True,
    ) -> None:  # fmt: skip
        self.horizon = horizon
        self.window = window
        self.season = season
        self.calibration = calibration
        self.refit = refit
        self.hidden_layer_sizes = hidden_layer_sizes
        self.cell = cell
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.clipnorm = clipnorm
        self.scale = scale

    def fit(self, y: ArrayLike, X: ArrayLike | None = None) -> LSTMForecaster:
        """Learn from series.

        Parameters
        ----------
        y : array_like, shape (T,) or (T, S), or a list of array_like, shapes (T_i,)
            One series, S over the same time, or as many as the list has. A Series or DataFrame of pandas, or what is
            like one, keeps its index: of even steps, which forecasts carry on.
        X : array_like, shape (T, K) or (T,), or a list of such, optional
            Covariates, known for the future too: the day of the week, a price that is planned. Of a list of series,
            one for each.

        Returns
        -------
        LSTMForecaster
            Itself.

        Raises
        ------
        ValueError, TypeError
            A series that is too short; NaN or infinities; an index with gaps; covariates of another length; parameters
            that make no sense.
        """
        return self._fit(panel(y, X))

    def _fit(self, given: Panel) -> LSTMForecaster:
        horizon, window = size_of("horizon", self.horizon), size_of("window", self.window)
        scale, refit = flag("scale", self.scale), flag("refit", self.refit)
        if self.season is not None:
            size_of("season", self.season)
        lengths = given.lengths()
        stops = [self._learnable(name, T) for name, T in zip(given.names("y"), lengths, strict=True)]
        learnt = learn(self._regressor(), given.until(stops), window, horizon, scale=scale)
        errors = None
        if stops != lengths:
            errors = _errors(learnt, given.series(), given.of_each_series(stops))
            if refit:
                learnt = learn(self._regressor(), given, window, horizon, scale=scale)
        self._panel, self._learnt, self._fitted_lengths = given, learnt, lengths
        self.regressor_, self.calibration_errors_ = learnt.regressor, errors
        self.n_series_ = len(given.series())
        self.n_covariates_ = 0 if given.covariates is None else given.covariates[0].values.shape[1]
        return self

    def _learnable(self, name: str, T: int) -> int:
        """How many of the first T steps of a series are learnt from: all but the calibration part."""
        last, needed = self._withheld(T), self.window + self.horizon
        if T - last < needed:
            rest = f" before the calibration part of {last}" if last else ""
            raise ValueError(f"{name}: expected at least window + horizon = {self.window} + {self.horizon} = {needed} "
                             f"steps{rest}, got {T - last}")  # fmt: skip
        return T - last

    def _withheld(self, T: int) -> int:
        """Steps of the calibration part of a series of T."""
        given = self.calibration
        if isinstance(given, (float, np.floating)):
            if not 0 <= given < 1:
                raise ValueError(f"calibration: expected a share of at least 0 and less than 1, or an integer of "
                                 f"steps, got {given:g}")  # fmt: skip
            last = math.floor(given * T)
        else:
            last = integer("calibration", given, 0)
        if given != 0 and last < self.horizon:
            raise ValueError(f"calibration: expected at least horizon = {self.horizon} steps, got {given} of a series "
                             f"of {T} steps, {last}; 0 does without bands")  # fmt: skip
        return last

    def _regressor(self) -> LSTMRegressor:
        shared = {name: value for name, value in self.get_params(deep=False).items() if name not in _OWN}
        return LSTMRegressor(**shared | {"scale": False})  # windows are scaled here, each by its series

    def update(self, y: ArrayLike, X: ArrayLike | None = None) -> LSTMForecaster:
        """Take note of what has come since: forecasts begin behind it. The network and the bands stay as they are.

        Parameters
        ----------
        y : array_like, shape (t,) or (t, S), or a list
            The steps behind those that are known, in the form that `fit` was given; an index must go on.
        X : array_like, shape (t, K), optional
            Their covariates, where `fit` was given some.

        Returns
        -------
        LSTMForecaster
            Itself.

        Raises
        ------
        ValueError, TypeError
            Another number of series or of covariates; NaN; an index that does not go on.
        """
        check_is_fitted(self)
        self._panel = self._panel.extended(y, X)
        return self

    def predict(self, X_future: ArrayLike | None = None) -> Any:  # in the form that fit was given
        """The horizon steps behind what is known.

        Parameters
        ----------
        X_future : array_like, shape (horizon, K), or a list, optional
            Covariates of these steps, where `fit` was given some.

        Returns
        -------
        ndarray, shape (horizon,) or (horizon, S), or a list of (horizon,)
            In the form that `fit` was given, with the index carried on.

        Raises
        ------
        ValueError, TypeError
            X_future is missing, or of another shape; its index is not that of these steps.
        """
        check_is_fitted(self)
        return self._panel.shaped(self._ahead(X_future))

    def predict_interval(self, coverage: float = 0.9, X_future: ArrayLike | None = None) -> Interval:
        """Bands around what `predict` returns: each is to cover its step with that probability.

        Parameters
        ----------
        coverage : float
            Between 0 and 1.
        X_future : array_like, shape (horizon, K), or a list, optional
            As of `predict`.

        Returns
        -------
        Interval
            The forecast minus and plus the half width: of the n errors of the calibration part, at this step of the
            horizon, the one of rank ``ceil((n + 1) * coverage)``.

        Raises
        ------
        ValueError, TypeError
            There is no calibration part, or one with too few errors for that coverage; as `predict`.
        """
        check_is_fitted(self)
        widths = self._half_widths(coverage)
        forecasts = self._ahead(X_future)
        return Interval(*(self._panel.shaped([one + sign * width for one, width in zip(forecasts, widths, strict=True)])
                          for sign in (-1, 1)))  # fmt: skip

    def _ahead(self, X_future: Any) -> list[Array]:
        """What comes behind each series, (horizon,)."""
        given, tables = self._panel, len(self._panel.tables)
        covariates = given.with_covariates("X_future", X_future, [self._learnt.horizon] * tables)
        series = replace(given, covariates=covariates).series()
        origins = [np.array([len(y)]) for y, _ in series]
        return [rows[0] for rows in self._learnt.forecasts(series, origins)]

    def _half_widths(self, coverage: float) -> list[Array]:
        """Of each series' bands, (horizon,)."""
        coverage = share("coverage", coverage)
        if self.calibration_errors_ is None:
            raise ValueError("calibration: expected more than 0 for bands, got 0")
        return [half_widths(errors, coverage) for errors in self.calibration_errors_]

    def backtest(
        self, start: int, stride: int = 1, refit: bool = False, *, coverage: float | None = None
    ) -> Backtest:  # fmt: skip
        """Forecast what is known already, as if it were not, and count the errors.

        Forecasts begin at start, and then every stride steps, as long as the whole horizon is known. None has seen
        anything of what it forecasts: a copy of this forecaster learns from what stands before start. Where `fit` was
        given no more than that, and all else came by `update`, it is this one that forecasts, as it is. The forecaster
        stays as it was.

        Parameters
        ----------
        start : int
            The step that the first forecast begins with; a negative one counts from the end of each series.
        stride : int
        refit : bool
            Whether a copy learns anew, from all that stands before, for each step that forecasts begin with.
        coverage : float, optional
            Of bands around the forecasts: the result says what share they covered.

        Returns
        -------
        Backtest
            Printed, it is a table of errors beside those of persistence and, with a season, of the seasonal naive
            forecast. While it is made a bar shows how far it is, if `verbose` (by tqdm, where that is installed).

        Raises
        ------
        ValueError, TypeError
            A start with too little before it to learn from, or less than the horizon behind it; no calibration part for
            bands.
        """
        check_is_fitted(self)
        stride, refit = size_of("stride", stride), flag("refit", refit)
        self._check_as_fitted()
        begins = [self._begins(start, stride, len(one.values)) for one in self._panel.tables]
        if coverage is not None:
            for one in begins:
                self._check_bands(int(one[0]), share("coverage", coverage))
        rounds = _one_by_one(begins) if refit else [begins]
        rows = [self._tested(one, refit, coverage) for one in progress(rounds, bool(self.verbose))]
        return joined(rows, self._panel.series(), self._panel.of_each_series([one[0] for one in begins]), self.season)

    def _check_as_fitted(self) -> None:
        """Whether a copy will forecast as this one does."""
        for name in ("horizon", "window"):
            now, then = getattr(self, name), getattr(self._learnt, name)
            if now != then:
                raise ValueError(f"{name}: expected {then}, as when fit was called, got {now}: call fit anew")

    def _check_bands(self, T: int, coverage: float) -> None:
        """Whether bands can be had of what T steps teach."""
        last = self._withheld(T)
        if not last:
            raise ValueError("calibration: expected more than 0 for bands, got 0")
        check_enough(last - self.horizon + 1, coverage)

    def _begins(self, start: int, stride: int, T: int) -> Array:
        """The steps that forecasts of a series of T steps begin with."""
        horizon = self._learnt.horizon
        first = integer("start", start, -T)
        first += T if first < 0 else 0
        if first + horizon > T:
            raise ValueError(f"start: expected at most {T - horizon}, as the series has {T} steps and the horizon is "
                             f"{horizon}, got {start}")  # fmt: skip
        self._learnable(f"y before start = {first}", first)
        if self.season is not None and self.season > first:
            raise ValueError(f"season: expected at most the {first} steps before start, got {self.season}")
        return np.arange(first, T - horizon + 1, stride)

    def _tested(self, begins: list[Array], refit: bool, coverage: float | None) -> list[Tested]:
        """Forecasts of each series that begin with these steps, by what has seen nothing behind the first of them."""
        lengths = self._panel.lengths()
        stops = [int(one[0]) if len(one) else T for one, T in zip(begins, lengths, strict=True)]
        used = self
        if refit or any(stop < T for stop, T in zip(stops, self._fitted_lengths, strict=True)):
            used = clone(self).set_params(verbose=False)._fit(self._panel.until(stops))
        series, origins = self._panel.series(), self._panel.of_each_series(begins)
        forecasts = used._learnt.forecasts(series, origins)
        widths = [None] * len(series) if coverage is None else used._half_widths(coverage)
        return [Tested(*one) for one in zip(origins, forecasts, widths, strict=True)]


def _one_by_one(begins: list[Array]) -> list[list[Array]]:
    """A round for each step that forecasts begin with; where a series has less of them it has none in the last."""
    return [[one[place : place + 1] for one in begins] for place in range(max(map(len, begins)))]


def _errors(learnt: Learnt, series: list[Series], stops: list[int]) -> list[Array]:
    """How far all forecasts behind those steps are off, (n, horizon) of each series."""
    horizon = learnt.horizon
    origins = [np.arange(stop, len(y) - horizon + 1) for (y, _), stop in zip(series, stops, strict=True)]
    forecasts = learnt.forecasts(series, origins)
    return [np.abs(windows(y, horizon, 0).past[begins] - forecast)
            for (y, _), begins, forecast in zip(series, origins, forecasts, strict=True)]  # fmt: skip
