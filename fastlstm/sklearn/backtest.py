"""Forecasts of what is known already, beside the rules that they have to beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FORECASTS: tuple[str, ...] = ("LSTMForecaster", "persistence", "seasonal naive")


class Tested(NamedTuple):
    """Forecasts of a series.

    Attributes
    ----------
    origins : ndarray of int, shape (N,)
    forecasts : ndarray, shape (N, H)
    half_width : ndarray, shape (H,), or None
    """

    origins: Array
    forecasts: Array
    half_width: Array | None


@dataclass(frozen=True, repr=False)
class Backtest:
    """Forecasts, a row each; shown, it is the table of their errors.

    Attributes
    ----------
    series : ndarray of int, shape (N,)
        Which series a row is of.
    origin : ndarray of int, shape (N,)
        The step that the row begins with; the forecast has seen what stands before.
    actual : ndarray, shape (N, H)
        What came.
    forecasts : dict of str to ndarray, shape (N, H)
        By names: LSTMForecaster, persistence (all steps as the last one seen) and, where there is a season, seasonal
        naive (each step as the last one seen at its place of the season).
    half_width : ndarray, shape (N, H), or None
        Of the bands around LSTMForecaster's, if a coverage was asked for.
    naive_error : ndarray, shape (N,)
        Mean absolute error of (seasonal) naive forecasts, one step ahead (a season ahead), of the series before start:
        the unit of MASE [1]_.

    References
    ----------
    .. [1] R. J. Hyndman, A. B. Koehler, "Another look at measures of forecast accuracy", International Journal of
       Forecasting 22 (2006).
    """

    series: Array
    origin: Array
    actual: Array
    forecasts: dict[str, Array]
    half_width: Array | None
    naive_error: Array

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """By forecast: MAE, RMSE and MASE over all rows and steps. ``pandas.DataFrame(errors).T`` is the table."""
        found = {}
        for name, forecast in self.forecasts.items():
            off = np.abs(forecast - self.actual)
            with np.errstate(divide="ignore", invalid="ignore"):  # a series that never changes
                mase = float(np.mean(off / self.naive_error[:, None]))
            found[name] = {"MAE": float(off.mean()), "RMSE": float(np.sqrt(np.mean(off**2))), "MASE": mase}
        return found

    @property
    def coverage(self) -> float | None:
        """The share of what came that lies within the bands, over all rows and steps."""
        if self.half_width is None:
            return None
        forecast = next(iter(self.forecasts.values()))
        return float(np.mean(np.abs(self.actual - forecast) <= self.half_width))

    def __repr__(self) -> str:
        errors = self.errors
        columns = list(next(iter(errors.values())))
        width = max(map(len, errors))
        lines = [" " * width + "".join(f"{column:>11}" for column in columns)]
        lines += [f"{name:<{width}}" + "".join(f"{row[column]:11.4g}" for column in columns)
                  for name, row in errors.items()]  # fmt: skip
        if self.half_width is not None:
            lines.append(f"{self.coverage:.1%} within the bands, {2 * self.half_width.mean():.4g} wide on average")
        return "\n".join(lines)


def persistence(y: Array, origins: Array, horizon: int) -> Array:
    """All steps as the last one seen.

    Parameters
    ----------
    y : ndarray, shape (T,)
    origins : ndarray of int, shape (N,)
        The steps that forecasts begin with; what stands before is seen.
    horizon : int

    Returns
    -------
    ndarray, shape (N, horizon)
    """
    return np.repeat(y[origins - 1, None], horizon, axis=1)


def seasonal_naive(y: Array, origins: Array, horizon: int, season: int) -> Array:
    """Each step as the last one seen at its place of the season; otherwise as `persistence`."""
    return y[origins[:, None] - season + np.arange(horizon) % season]


def baselines(y: Array, origins: Array, horizon: int, season: int | None) -> dict[str, Array]:
    """The rules' forecasts, by their names."""
    found = {"persistence": persistence(y, origins, horizon)}
    if season is not None:
        found["seasonal naive"] = seasonal_naive(y, origins, horizon, season)
    return found


def joined(
    rounds: Sequence[Sequence[Tested]], series: Sequence[tuple[Array, Any]], starts: Sequence[int], season: int | None
) -> Backtest:
    """The rows of all rounds, beside the rules' forecasts.

    Parameters
    ----------
    rounds : list of lists of Tested
        Of each round for each series.
    series : list of (ndarray, object)
        y (T,) first.
    starts : list of int
        Where what is forecast begins in each series.
    """
    rows, lag = [], season or 1
    for place, ((y, _), start) in enumerate(zip(series, starts, strict=True)):
        own = [one[place] for one in rounds if len(one[place].origins)]
        origins = np.concatenate([one.origins for one in own])
        forecast = np.concatenate([one.forecasts for one in own])
        widths = [np.broadcast_to(np.inf if one.half_width is None else one.half_width, one.forecasts.shape)
                  for one in own]  # fmt: skip
        horizon = forecast.shape[1]
        naive = float(np.mean(np.abs(y[lag:start] - y[: start - lag]))) if start > lag else np.nan
        rows.append({
            "series": np.full(len(origins), place), "origin": origins, "naive": np.full(len(origins), naive),
            "actual": y[origins[:, None] + np.arange(horizon)], "half width": np.concatenate(widths),
            "LSTMForecaster": forecast, **baselines(y, origins, horizon, season),
        })  # fmt: skip
    found = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    known = rounds[0][0].half_width is not None
    forecasts = {name: found[name] for name in FORECASTS if name in found}
    return Backtest(found["series"], found["origin"], found["actual"], forecasts,
                    found["half width"] if known else None, found["naive"])  # fmt: skip


def progress(rounds: Sequence[Any], show: bool) -> Iterable[Any]:
    """The rounds, with a bar where tqdm is installed, and a line now and then where it is not."""
    if not show:
        return rounds
    try:
        from tqdm import tqdm
    except ImportError:
        return _with_lines(rounds)
    shown: Iterable[Any] = tqdm(rounds, desc="Backtest", unit="fit")
    return shown


def _with_lines(rounds: Sequence[Any]) -> Iterable[Any]:
    for done, one in enumerate(rounds, 1):
        yield one
        if done * 10 // len(rounds) > (done - 1) * 10 // len(rounds):
            print(f"Backtest: {done} of {len(rounds)}", flush=True)
