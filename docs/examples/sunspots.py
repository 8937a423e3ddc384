"""How many sunspots will next year have? A forecast with a band, from the yearly numbers of three centuries.

Each forecast looks at the 22 years before it. Five networks learn from the years up to 1880, and how far they are off
in 1881 to 1920 is the width of the band; then they forecast each year from 1921 to 2008, one year ahead. They must
beat two rules: next year as this year, and as eleven years before it, the length of the sun's cycle. A linear
autoregression is shown too.

python sunspots.py              # figures
python sunspots.py picture.png  # and a plot (needs matplotlib)
"""

import sys

import numpy as np

from fastlstm.datasets import load_sunspots
from fastlstm.nn import LSTM, Dense, Sequential, optimizers, set_random_seed

WINDOW, CYCLE, NETWORKS = 22, 11, 5
years, number = load_sunspots()
z = np.sqrt(number)  # the spread grows with the number: its root is of even spread
x = np.lib.stride_tricks.sliding_window_view(z, WINDOW)[:-1, :, None]
year, target = years[WINDOW:], z[WINDOW:]
train, spread, test = year <= 1880, (year > 1880) & (year <= 1920), year > 1920

# Cycles are of unlike height, and those after 1930 higher than any before: each window is learnt lower and higher too.
heights = (0.8, 1.0, 1.25)
x_train = np.concatenate([height * x[train] for height in heights])
y_train = np.concatenate([height * target[train] for height in heights])


def scaled(z):
    return z / 5 - 1.3


forecasts = []
for seed in range(NETWORKS):
    set_random_seed(seed)
    model = Sequential()
    model.add(LSTM(16, input_shape=(WINDOW, 1)))
    model.add(Dense(1))
    model.compile(loss="mse", optimizer=optimizers.Adam(2e-3, clipnorm=1.0))
    model.fit(scaled(x_train), scaled(y_train), batch_size=16, epochs=40, verbose=0)
    forecasts.append(5 * (model.predict(scaled(x), verbose=0)[:, 0] + 1.3))
forecast = np.mean(forecasts, axis=0)
off = np.quantile(np.abs(forecast - target)[spread], 0.9)


def sunspots(z):
    return np.maximum(z, 0) ** 2


def rmse(predicted):
    return float(np.sqrt(np.mean((predicted - number[WINDOW:])[test] ** 2)))


ours, low, high = sunspots(forecast), sunspots(forecast - off), sunspots(forecast + off)
lags = np.c_[x[:, -9:, 0], np.ones(len(x))]
linear = sunspots(lags @ np.linalg.lstsq(lags[train], target[train], rcond=None)[0])
errors = {
    "LSTM": rmse(ours),
    "as this year": rmse(number[WINDOW - 1 : -1]),
    f"as {CYCLE} years before": rmse(number[WINDOW - CYCLE : -CYCLE]),
    "linear, nine years": rmse(linear),
}
inside = np.mean(((number[WINDOW:] >= low) & (number[WINDOW:] <= high))[test])
for name, error in errors.items():
    print(f"{name:<20} root mean squared error {error:5.1f} sunspots")
print(f"{inside:.0%} of the {sum(test)} years lie within the band, which is meant for 90 %")

if len(sys.argv) > 1:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(year[test], low[test], high[test], alpha=0.25, label="band, 90 % meant")
    axes.plot(year[test], ours[test], label="forecast, one year ahead")
    axes.plot(years[years > 1900], number[years > 1900], "k.", markersize=4, label="observed")
    axes.set(xlabel="year", ylabel="sunspots", title=f"root mean squared error {errors['LSTM']:.1f}")
    axes.legend()
    figure.savefig(sys.argv[1], dpi=100)

assert errors["LSTM"] < 0.7 * errors["as this year"]
assert errors["LSTM"] < 0.7 * errors[f"as {CYCLE} years before"]
