"""A regressor that has learnt from windows of series, and what its numbers are relative to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..nn._src.names import real
from .panel import Panel
from .sequences import Scale, scale_of
from .windowing import windows

Array = NDArray[Any]
Series = tuple[Array, Array | None]  # y (T,) and its covariates (T, K)


class Learnt(NamedTuple):
    """What forecasts.

    Attributes
    ----------
    regressor : LSTMRegressor
    window, horizon : int
    scales : list of Scale
        Of each series.
    of_X : Scale or None
        Of the covariates.
    """

    regressor: Any
    window: int
    horizon: int
    scales: list[Scale]
    of_X: Scale | None

    def forecasts(self, series: Sequence[Series], origins: Sequence[Array]) -> list[Array]:
        """Of each series a row (horizon,) for each step that a forecast is to begin with."""
        inputs = [self.inputs(place, one, begins)
                  for place, (one, begins) in enumerate(zip(series, origins, strict=True))]  # fmt: skip
        found = np.asarray(self.regressor.predict(np.concatenate(inputs)), np.float64).reshape(-1, self.horizon)
        parts = np.split(found, np.cumsum([len(begins) for begins in origins])[:-1])
        return [scale.undo(part) for scale, part in zip(self.scales, parts, strict=True)]

    def inputs(self, place: int, series: Series, origins: Array) -> Array:
        """What the network sees of a series before each origin, (N, window, D): at each step its number, and the
        covariates of this step and of the horizon steps behind it."""
        y, X = series
        first = origins - self.window
        past: Array = windows(self.scales[place].apply(y, np.float32)[:, None], self.window, 0).past[first]
        if X is None or self.of_X is None:
            return past
        ahead = windows(self.of_X.apply(X, np.float32), self.horizon + 1, 0).past
        seen = windows(ahead.reshape(len(ahead), -1), self.window, 0).past[first]
        return np.concatenate([past, seen], axis=2)

    def targets(self, place: int, series: Series, origins: Array) -> Array:
        """What the network is to say, (N, horizon)."""
        found: Array = windows(self.scales[place].apply(series[0], np.float32), self.horizon, 0).past[origins]
        return found

    def samples(self, series: Sequence[Series], origins: Sequence[Array]) -> tuple[Array, Array]:
        """What the network sees before each origin of each series, and what it is to say."""
        rows = list(enumerate(zip(series, origins, strict=True)))
        x = np.concatenate([self.inputs(place, one, begins) for place, (one, begins) in rows])
        y = np.concatenate([self.targets(place, one, begins) for place, (one, begins) in rows])
        return x, y[:, 0] if self.horizon == 1 else y


def learn(regressor: Any, given: Panel, window: int, horizon: int, *, scale: bool) -> Learnt:
    """Fit a regressor to all windows of all series.

    With early stopping it validates with the last windows of each series. No step that is ahead of these is learnt.

    Raises
    ------
    ValueError
        Too few windows for its `validation_fraction`.
    """
    series = given.series()
    of_X = None
    if given.covariates is not None:
        of_X = _scale(np.concatenate([one.values for one in given.covariates]), scale)
    learnt = Learnt(regressor, window, horizon, [_scale(y[:, None], scale) for y, _ in series], of_X)
    origins = [np.arange(window, len(y) - horizon + 1) for y, _ in series]
    if not regressor.early_stopping:
        regressor.fit(*learnt.samples(series, origins))
        return learnt
    fraction = real("validation_fraction", regressor.validation_fraction, 0.0, 1.0)
    parts = [_parted(begins, fraction, horizon) for begins in origins]
    earlier, last = ([part[side] for part in parts] for side in (0, 1))
    regressor.fit(*learnt.samples(series, earlier), validation_data=learnt.samples(series, last))
    return learnt


def _scale(values: Array, wanted: bool) -> Scale:
    """What numbers are taken relative to."""
    return scale_of(values, None) if wanted else Scale(np.zeros(1), np.ones(1))


def _parted(origins: Array, fraction: float, horizon: int) -> tuple[Array, Array]:
    """The origins of windows to learn from, and the last ones to validate with, a horizon apart."""
    judged = max(1, math.floor(fraction * len(origins)))
    learnt = len(origins) - judged - (horizon - 1)
    if learnt < 1:
        raise ValueError(f"validation_fraction: expected windows to learn from beside those to validate with and the "
                         f"{horizon - 1} between, got {fraction:g} of {len(origins)} windows of a series: "
                         f"{judged} to validate with")  # fmt: skip
    return origins[:learnt], origins[-judged:]
