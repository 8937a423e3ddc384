"""How warm will tomorrow be? A regression on two weeks of measurements: docs/estimators.md says more.

From 14 days of Seattle's weather `LSTMRegressor` tells by how many degrees tomorrow's maximum will differ from today's.
It learns from 2012 to 2014, and is judged by 2015. Settings were chosen by cross-validation within the first three
years, each time of days after those learned from: `python temperature_tomorrow.py --search` does it again. The
baselines were chosen before: tomorrow as today, and ridge regression on the same numbers.
"""

import sys

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastlstm.datasets import load_seattle_weather
from fastlstm.sklearn import LSTMRegressor

DAYS, SEEDS = 14, 5
weather = load_seattle_weather()
year_of = weather.date.astype("datetime64[Y]")
season = 2 * np.pi * (weather.date - year_of.astype("datetime64[D]")).astype(int) / 365.25
measured = np.stack(
    [weather.temp_max, weather.temp_min, np.log1p(weather.precipitation), weather.wind, np.sin(season), np.cos(season)],
    axis=1,
).astype(np.float32)
X = np.lib.stride_tricks.sliding_window_view(measured, DAYS, axis=0)[:-1].swapaxes(1, 2)
y = np.diff(weather.temp_max.astype(float))[DAYS - 1 :]
test = year_of[DAYS:] == np.datetime64("2015")

ALWAYS = {"batch_size": 32, "learning_rate_init": 0.003, "n_iter_no_change": np.inf}
GRID = {"hidden_layer_sizes": [8, 32], "recurrent_dropout": [0.0, 0.3], "max_iter": [15, 40]}


def search():
    """The settings with the smallest squared error on later days of the first three years."""
    found = GridSearchCV(LSTMRegressor(random_state=0, **ALWAYS), GRID, cv=TimeSeriesSplit(5), refit=False,
                         scoring="neg_root_mean_squared_error")  # fmt: skip
    found.fit(X[~test], y[~test])
    for error, settings in zip(-found.cv_results_["mean_test_score"], found.cv_results_["params"], strict=True):
        print(f"{error:.3f} {settings}")
    return found.best_params_


CHOSEN = {"hidden_layer_sizes": 8, "recurrent_dropout": 0.0, "max_iter": 15}
if "--search" in sys.argv:
    print("chosen:", search())
    sys.exit()


def error(told):
    return np.sqrt(np.mean((told - y[test]) ** 2))


ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))).fit(X[~test].reshape(-1, DAYS * 6), y[~test])
networks = [LSTMRegressor(random_state=seed, **ALWAYS, **CHOSEN).fit(X[~test], y[~test]) for seed in range(SEEDS)]
told = [one.predict(X[test]) for one in networks]
alone, together = np.mean([error(one) for one in told]), error(np.mean(told, axis=0))
linear = error(ridge.predict(X[test].reshape(-1, DAYS * 6)))
print(f"root mean squared error in 2015: {alone:.2f} °C (mean of {SEEDS} networks), {together:.2f} °C together; "
      f"ridge regression {linear:.2f} °C, tomorrow as today {error(0):.2f} °C")  # fmt: skip

slopes = np.abs(networks[0].input_gradient(X[test])).mean(axis=(0, 2))
print("of its gradient, share by days, the last one last:", (slopes / slopes.sum()).round(2).tolist()[-5:])
assert alone < 0.95 * error(0)
