"""
A noise gate that listens
=========================

You learn here how to run a network on live sound, block by block, with `Stream`.

A noise gate mutes a guitar while it is not played. The usual one opens where a block of sound is louder than a
threshold. Where the noise changes it is lost: set low it lets noise through, set high it cuts off soft notes and the
ends of all. The network hears six bands of each block of 10 ms, remembers what the noise was like, and says how likely
it is that a string sounds.

The sound is synthetic: plucked strings, soft ones and loud ones, the hum of the mains, and noise whose loudness and
colour change once in each recording. So it is known in which blocks a string sounds: those where it reaches 3 % of full
scale.

The baseline, chosen before looking, is the usual gate. It opens above one threshold and closes below another, and it
stays open for some blocks. These three numbers are the best of a grid, on the recordings that the network learns from.
"""

import itertools
import time

import matplotlib.pyplot as plt
import numpy as np

import fastlstm
from fastlstm.nn import LSTM, Dense, Sequential, optimizers

RATE, BLOCK, BLOCKS, RECORDINGS, UNITS, EPOCHS = 16_000, 160, 600, 80, 24, 40
EDGES = [1, 2, 4, 8, 16, 32, 81]  # of the bands, in steps of 100 Hz


def string(samples, rng):
    """A tone and seven overtones, the higher the sooner gone, until the hand mutes it."""
    t, k = np.arange(samples)[:, None] / RATE, np.arange(1, 9)
    pitch, fade, phase = rng.uniform(80, 400), rng.uniform(1.5, 4), rng.uniform(0, 2 * np.pi, 8)
    sound = np.sum(np.sin(2 * np.pi * k * pitch * t + phase) * np.exp(-fade * np.sqrt(k) * t) / k, axis=1)
    muted = np.exp(-30 * np.maximum(t[:, 0] - rng.uniform(0.3, 1.5), 0))
    return 10 ** rng.uniform(-1, 0) * sound * muted


def noise(samples, rng):
    """Noise of some loudness, dull or bright."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum /= (1 + (np.fft.rfftfreq(samples, 1 / RATE) / 500) ** 2) ** rng.uniform(0, 0.5)
    sound = np.fft.irfft(spectrum, samples)
    return 10 ** rng.uniform(-3, -1) * sound / sound.std()


def recording(rng):
    """Six seconds of sound, and of each block whether a string sounds."""
    samples = BLOCKS * BLOCK
    played, at = np.zeros(samples), rng.integers(0, RATE)
    while at < samples:
        end = min(samples, at + rng.integers(RATE // 2, 3 * RATE))
        played[at:end] = string(end - at, rng)
        at = end + rng.integers(0, RATE)
    change = rng.integers(samples // 5, samples - samples // 5)
    hum = 10 ** rng.uniform(-3, -1.5) * np.sin(2 * np.pi * 50 * np.arange(samples) / RATE)
    heard = played + hum + np.concatenate([noise(change, rng), noise(samples - change, rng)])
    return heard.astype(np.float32), np.abs(played).reshape(BLOCKS, BLOCK).max(axis=1) > 0.03


def bands(blocks):
    """Power of the six bands, in tens of decibels; blocks (..., 160)."""
    power = np.abs(np.fft.rfft(blocks * np.hanning(BLOCK))) ** 2
    return np.log10(np.add.reduceat(power, EDGES[:-1], axis=-1) + 1e-6).astype(np.float32)


# %%
# The network learns from 80 recordings, whole ones at a time.

rng = np.random.default_rng(0)
sounds, sounding = map(np.array, zip(*(recording(rng) for _ in range(RECORDINGS)), strict=True))
blocks = sounds.reshape(RECORDINGS, BLOCKS, BLOCK)
model = Sequential(
    [LSTM(UNITS, return_sequences=True, input_shape=(None, len(EDGES) - 1)), Dense(1, "sigmoid")], seed=0
)
rate = optimizers.schedules.CosineDecay(0.01, EPOCHS * RECORDINGS // 8)
model.compile(optimizers.Adam(rate, global_clipnorm=1.0), "binary_crossentropy")
model.fit(bands(blocks), sounding[:, :, None], batch_size=8, epochs=EPOCHS, verbose=0)

# %%
# The usual gate, and the best of its settings.


def usual(loud, opens, closes, holds):
    """Of the loudness of each block (N, T), in decibels: where the gate is open."""
    gate, left = np.zeros(loud.shape, bool), np.zeros(len(loud), int)
    for t, now in enumerate(loud.T):
        left = np.where(now > opens, holds, np.where(now > closes, left, left - 1)).clip(0)
        gate[:, t] = left > 0
    return gate


def decibels(blocks):
    return 10 * np.log10(np.mean(blocks**2, axis=-1) + 1e-9)


grid = [(opens, opens - gap, holds) for opens, gap, holds in itertools.product(range(-45, 0), (0, 6, 12), (1, 5, 20))]
settings = min(grid, key=lambda one: np.mean(usual(decibels(blocks), *one) != sounding))
print("the usual gate opens above {} dB, closes below {} dB, after {} blocks".format(*settings))

# %%
# New recordings, as they would come in: a block, its bands, one step of the stream, the gate. All that the network
# knows of what was before is in the stream.

stream = fastlstm.Stream(model.layers[0].to_params())
w, a = model.layers[1].params["kernel"][:, 0], model.layers[1].params["bias"][0]
new = [recording(rng) for _ in range(20)]
gates, seconds = np.zeros((len(new), BLOCKS), bool), []
for n, (sound, _) in enumerate(new):
    stream.reset()
    for t in range(BLOCKS):
        began = time.perf_counter()
        h = stream(bands(sound[None, t * BLOCK : (t + 1) * BLOCK]))
        gates[n, t] = h[0] @ w + a > 0
        seconds.append(time.perf_counter() - began)
heard, truth = (np.array(part) for part in zip(*new, strict=True))
loud = decibels(heard.reshape(-1, BLOCKS, BLOCK))
baseline = usual(loud, *settings)
print(f"blocks wrong: network {np.mean(gates != truth):.1%}, usual gate {np.mean(baseline != truth):.1%}, "
      f"always shut {np.mean(truth):.1%}")  # fmt: skip
print(
    f"noise let through, of blocks without a string: {np.mean(gates[~truth]):.1%} and {np.mean(baseline[~truth]):.1%}"
)
print(f"strings cut off: {np.mean(~gates[truth]):.1%} and {np.mean(~baseline[truth]):.1%}")
print(f"a block of 10 ms takes {np.median(seconds) * 1e6:.0f} us")
assert np.mean(gates != truth) < 0.5 * np.mean(baseline != truth)

# %%
# The new recording with which the usual gate has most trouble. The bars say where a string sounds, and where the two
# gates are open. Loud noise holds the usual gate open; the network knows it from a string.

most = np.argmax(np.sum(baseline != truth, axis=1))
figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 4.4), height_ratios=[3, 2])
above.plot(np.arange(BLOCKS * BLOCK) / RATE, heard[most], color="C5", linewidth=0.4)
above.set(ylabel="sound, of full scale", title="A new recording")
rows = {"a string sounds": (truth, "C1"), "network": (gates, "C0"), "usual gate": (baseline, "C3")}
for row, (is_open, colour) in enumerate(rows.values()):
    edges = np.flatnonzero(np.diff(np.r_[0, is_open[most], 0])).reshape(-1, 2) * BLOCK / RATE
    below.broken_barh([(start, end - start) for start, end in edges], (-row - 0.35, 0.7), color=colour)
below.set(xlabel="time, s", title="Open", yticks=[0, -1, -2], yticklabels=list(rows), xlim=(0, BLOCKS * BLOCK / RATE))
plt.show()
