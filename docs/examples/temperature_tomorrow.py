"""
How warm will tomorrow be?
==========================

You learn here how to regress on sequences with scikit-learn's methods, how to search for settings in years before the
test, and how to ask which days a forecast comes from.

From 14 days of Seattle's real weather (NOAA's records) `LSTMRegressor` tells by how many degrees tomorrow's maximum
will differ from today's. It learns from 2012 to 2014, and is judged by 2015. The baselines were chosen before looking:
tomorrow as today, and ridge regression on the same numbers.
"""

import sys

import matplotlib.pyplot as plt
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

# %%
# **How the settings were chosen.** By cross-validation within the first three years, each time of days after those that
# were learnt from: ``python temperature_tomorrow.py --search`` does it again.

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

# %%
# The test year, told by five networks that differ in their random numbers alone.


def error(told):
    return np.sqrt(np.mean((told - y[test]) ** 2))


ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))).fit(X[~test].reshape(-1, DAYS * 6), y[~test])
networks = [LSTMRegressor(random_state=seed, **ALWAYS, **CHOSEN).fit(X[~test], y[~test]) for seed in range(SEEDS)]
told = np.array([one.predict(X[test]) for one in networks])
alone, together = np.mean([error(one) for one in told]), error(np.mean(told, axis=0))
by_ridge = ridge.predict(X[test].reshape(-1, DAYS * 6))
linear = error(by_ridge)
print(f"root mean squared error in 2015: {alone:.2f} °C (mean of {SEEDS} networks), {together:.2f} °C together; "
      f"ridge regression {linear:.2f} °C, tomorrow as today {error(0):.2f} °C")  # fmt: skip

slopes = np.abs(networks[0].input_gradient(X[test])).mean(axis=(0, 2))
print("of its gradient, share by days, the last one last:", (slopes / slopes.sum()).round(2).tolist()[-5:])
assert alone < 0.95 * error(0)

# %%
# On the left, each month's error: little is gained in a month, but something in most. On the right, where the forecast
# comes from: the share of each day in the gradient of what the first network tells. Most of it comes from today.

month = weather.date[DAYS:][test].astype("datetime64[M]").astype(int) % 12
forecasts = {"as today": (0 * y[test], "C3", "--"), "ridge regression": (by_ridge, "C1", ":"),
             "five networks": (told.mean(axis=0), "C0", "-")}  # fmt: skip
figure, (left, right) = plt.subplots(1, 2, width_ratios=[3, 2])
for name, (one, colour, line) in forecasts.items():
    monthly = [np.sqrt(np.mean((one - y[test])[month == m] ** 2)) for m in range(12)]
    left.plot(np.arange(1, 13), monthly, color=colour, linestyle=line, label=f"{name}, {error(one):.2f} °C")
left.set(
    xlabel="month of 2015", ylabel="root mean squared error, °C", xticks=range(1, 13), title="One day ahead", ylim=0
)
left.legend()
right.bar(np.arange(1 - DAYS, 1), 100 * slopes / slopes.sum(), color="C0")
right.set(xlabel="day, 0 is today", ylabel="share of the gradient, %", title="Where it comes from")
plt.show()
