"""How warm will the next seven days be? A series with a season: forecasts with bands for Seattle, and their worth.

Before anything was computed it was said what they must beat: all seven days as today (persistence), and each as 365
days before (the seasonal naive forecast). 2012 to 2014 are there to learn from and to choose the settings by; 2015 to
test with. A third rule is harder: straight lines from the last seven days and the time of the year, by least squares.

The network sees the days before, and with each day its place in the year and that of the seven days behind it, which is
known of the future too. Settings: each combination learns from 2012 and 2013 and forecasts 2014; that search runs here.
The bands, meant for 80 %, are as wide as forecasts of 2014 were off; the network that forecasts has then learnt from
all three years (refit).

What came out: an error of 3.7 degrees where the two rules' are 4.4 and 4.9; 80 % of the days lie within the bands. The
straight lines' is 3.5, which is better by 0.8 standard errors and may be chance: in these numbers there is little for a
network to find that lines do not.

python warm_days.py              # figures
python warm_days.py picture.png  # and writes the plot to a file
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import ParameterGrid

from fastlstm.datasets import load_seattle_weather
from fastlstm.sklearn import LSTMForecaster, windows

HORIZON, YEAR, COVERAGE = 7, 365, 0.8
weather = load_seattle_weather()
y = weather.temp_max.astype(float)
phase = 2 * np.pi * (weather.date - weather.date[0]).astype(float) / 365.25
X = np.stack([np.sin(phase), np.cos(phase)], axis=1)
chosen_by, known = (int(np.sum(weather.date < np.datetime64(day))) for day in ("2014-01-01", "2015-01-01"))
GRID = {"window": [14, 28], "hidden_layer_sizes": [8, 32], "max_iter": [10, 20, 40], "dropout": [0.0, 0.3]}


def made(seed, **settings):
    return LSTMForecaster(HORIZON, season=YEAR, batch_size=32, learning_rate_init=5e-3, n_iter_no_change=np.inf,
                          random_state=seed, **settings)  # fmt: skip


def backtested(forecaster, start, stop, coverage=None):
    """The days from start to stop, forecast by what has learnt from those before."""
    forecaster.fit(y[:start], X[:start]).update(y[start:stop], X[start:stop])
    return forecaster.backtest(start, coverage=coverage)


def judged(settings):
    """Errors in 2014."""
    errors = [backtested(made(seed, calibration=0, **settings), chosen_by, known).errors for seed in range(2)]
    return {name: np.mean([one[name]["RMSE"] for one in errors]) for name in errors[0]}


tried = [(judged(settings), settings) for settings in ParameterGrid(GRID)]
tried.sort(key=lambda one: one[0]["LSTMForecaster"])
print("2014, root mean squared error in degrees")
for errors, settings in (tried[0], tried[1], tried[-1]):
    print(f"{errors['LSTMForecaster']:.2f} with {settings}")
(errors, best), *_ = tried
print(", ".join(f"{name} {error:.2f}" for name, error in errors.items()))

result = backtested(made(0, calibration=known - chosen_by, refit=True, **best), known, len(y), COVERAGE)
before, ahead = windows(y, 7, HORIZON)
rows = np.c_[before, X[6 : 6 + len(before)], np.ones(len(before))]  # the seven days, and the last one's place
learnt = np.arange(len(rows)) + 7 + HORIZON <= known
lines = np.linalg.lstsq(rows[learnt], ahead[learnt], rcond=None)[0]
result.forecasts["straight lines"] = rows[result.origin - 7] @ lines
print(f"\n2015, {len(result.origin)} forecasts of {HORIZON} days, in degrees")
print(result)

ours = result.forecasts["LSTMForecaster"]
for name in ("persistence", "seasonal naive", "straight lines"):
    gain = ((result.forecasts[name] - result.actual) ** 2 - (ours - result.actual) ** 2).mean(axis=1)
    gain = gain[: len(gain) // 30 * 30].reshape(-1, 30).mean(axis=1)  # days of a month resemble each other
    print(f"squared error more than the LSTM's, {name}: {gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain))):.1f} "
          "standard errors of months")  # fmt: skip
inside = np.abs(result.actual - ours) <= result.half_width
print("within the bands, by how many days ahead: " + ", ".join(f"{share:.0%}" for share in inside.mean(axis=0)))

days = weather.date[result.origin + HORIZON - 1]
figure, axes = plt.subplots(figsize=(10, 4), layout="constrained")
axes.fill_between(days, ours[:, -1] - result.half_width[:, -1], ours[:, -1] + result.half_width[:, -1], alpha=0.25,
                  label=f"band, {COVERAGE:.0%} meant")  # fmt: skip
axes.plot(days, ours[:, -1], label="forecast, seven days ahead")
axes.plot(weather.date[known:], y[known:], ".", color="0.5", markersize=3, label="measured")
axes.set(ylabel="highest temperature, °C")
axes.legend()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=100)
plt.show()

assert result.errors["LSTMForecaster"]["RMSE"] < 0.9 * result.errors["persistence"]["RMSE"]
assert result.errors["LSTMForecaster"]["RMSE"] < 0.9 * result.errors["seasonal naive"]["RMSE"]
assert abs(result.coverage - COVERAGE) < 0.05
