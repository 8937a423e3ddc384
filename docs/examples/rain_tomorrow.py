"""Will it rain tomorrow? A Keras listing with one changed import, on random numbers and on Seattle's weather.

First the listing as it stands in many a tutorial, on random data: there is nothing to learn, so its test accuracy
is that of a coin. Then the same two layers on the weather of eight days (NOAA's records): 2012 and 2013 to learn
from, 2014 and 2015 to be judged by, against the rule that tomorrow will be as today.
"""

import numpy as np

from fastlstm.datasets import load_seattle_weather
from fastlstm.nn import LSTM, Dense, Dropout, Sequential, optimizers, set_random_seed

set_random_seed(0)
rng = np.random.default_rng(0)
timesteps, data_dim, batch_size, epochs = 8, 16, 32, 5
X_train, y_train = rng.random((2000, timesteps, data_dim)), rng.integers(0, 2, (2000, 1))
X_test, y_test = rng.random((2000, timesteps, data_dim)), rng.integers(0, 2, (2000, 1))

model = Sequential()
model.add(LSTM(32, return_sequences=True, input_shape=(timesteps, data_dim)))
model.add(LSTM(32))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
model.summary()
history = model.fit(X_train, y_train, batch_size=batch_size, epochs=epochs, validation_split=0.1, verbose=2)
score, acc = model.evaluate(X_test, y_test, batch_size=batch_size, verbose=0)
print(f"random data: {acc:.1%} right, where a coin is right on 50 %: nothing is there to be learnt")
assert abs(acc - 0.5) < 0.05  # four times a coin's own spread

weather = load_seattle_weather()
rain = weather.precipitation > 0
year = weather.date.astype("datetime64[Y]")
angle = 2 * np.pi * (weather.date - year.astype("datetime64[D]")).astype(float) / 365.25
features = np.stack(
    [
        np.log1p(weather.precipitation),
        rain,
        weather.temp_max,
        weather.temp_min,
        weather.temp_max - weather.temp_min,  # clear nights are cold ones
        weather.wind,
        np.sin(angle),
        np.cos(angle),
    ],
    axis=1,
)
learnt = year < np.datetime64("2014")
features = (features - features[learnt].mean(axis=0)) / features[learnt].std(axis=0)

# days t - 7 ... t, and whether it rains on day t + 1
x = np.lib.stride_tricks.sliding_window_view(features, timesteps, axis=0)[:-1].swapaxes(1, 2)
tomorrow, today, train = rain[timesteps:], rain[timesteps - 1 : -1], learnt[timesteps:]

# So few days are soon learnt by heart: half of all inputs are left out at random, and five networks vote.
votes = []
for seed in range(5):
    set_random_seed(seed)
    model = Sequential()
    model.add(LSTM(32, return_sequences=True, dropout=0.5, input_shape=x.shape[1:]))
    model.add(LSTM(32, dropout=0.5))
    model.add(Dropout(0.5))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer=optimizers.RMSprop(0.003), metrics=["accuracy"])
    model.fit(x[train], tomorrow[train], batch_size=batch_size, epochs=70, verbose=0)
    votes.append(model.predict(x[~train], verbose=0)[:, 0])
    right = np.mean((votes[-1] > 0.5) == tomorrow[~train])
    print(f"network {seed + 1}: right on {right:.1%} of the {sum(~train)} days of 2014 and 2015", flush=True)

right = np.mean((np.mean(votes, axis=0) > 0.5) == tomorrow[~train])
persistence = np.mean(today[~train] == tomorrow[~train])
dry = np.mean(~tomorrow[~train])
print(f"the five together: {right:.1%}; tomorrow as today: {persistence:.1%}; never any rain: {dry:.1%}")
print("A station by itself does not see the weather that is on its way: little more can be had from these numbers.")
assert right > persistence
