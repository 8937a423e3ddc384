"""
An audio effect at 48 kHz
=========================

You learn here how to train on your own buffers inside compiled code, and how to run the result sample by sample.

An LSTM learns what a diode clipper does to the sound of a guitar.
The circuit, as in many a distortion pedal, is a resistor into a capacitor with two antiparallel diodes across it:
C dv/dt = (u - v) / R - 2 Is sinh(v / Vt), integrated with implicit Euler steps, eight a sample."""

import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import fastlstm

RATE, R, C, I_S, V_T = 48_000, 2.2e3, 10e-9, 2.52e-9, 45.3e-3  # Hz, ohm, farad, ampere, volt (1N4148)
N, T, H, STEPS = 32, 600, 16, 400


@njit
def circuit(u):
    v, out, h = 0.0, np.empty_like(u), 1 / (8 * RATE * C)
    for t in range(8 * len(u)):
        old = v
        for _ in range(20):  # Newton's method
            f = v - old - h * ((u[t // 8] - v) / R - 2 * I_S * np.sinh(v / V_T))
            v -= f / (1 + h * (1 / R + 2 * I_S / V_T * np.cosh(v / V_T)))
        out[t // 8] = v
    return out


def guitar(seconds, rng):
    """Volts of a string, plucked anew four times a second: a tone and nine overtones, the higher the sooner gone."""
    t, k = np.arange(RATE // 4)[:, None] / RATE, np.arange(1, 11)
    volts, pitch = rng.uniform(1, 4, (4 * seconds, 1)), rng.uniform(80, 400, (4 * seconds, 1, 1))
    return (volts * np.sum(np.sin(2 * np.pi * k * pitch * t) * np.exp(-2 * k * t) / k, 2)).ravel().astype(np.float32)


# %%
# One compiled function is a whole step of training. It allocates no tape and no gradients: these come from outside.


@njit
def train(x, wanted, theta, params, packed, state, y, tape, gradient, grads, m, v, n):
    """Forward, loss, backward, Adam's update and re-packing, compiled into one. The state is carried on."""
    fastlstm.forward_train_into(x, packed, state, y, tape)
    wrong = np.sum(y * theta[-H:], axis=2) + theta[-H - 1] * x[:, :, 0] - wanted
    dv = np.expand_dims((2 / wrong.size * wrong).astype(np.float32), 2)
    fastlstm.backward_into(tape, packed, dv * theta[-H:], None, grads)
    gradient[-H:], gradient[-H - 1] = np.sum(np.sum(dv * y, axis=0), axis=0), np.sum(dv * x)
    m += 0.1 * (gradient - m)
    v += 0.001 * (gradient**2 - v)
    theta -= 0.01 * (1 - n / STEPS) * m / (1 - 0.9**n) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
    fastlstm.pack_into(params, packed)


@njit
def effect(u, packed, state, theta):
    v = np.empty_like(u)
    for t in range(len(u)):
        fastlstm.step(u[t : t + 1], packed, state)
        v[t] = theta[-H - 1] * u[t] + np.sum(state.h * theta[-H:])
    return v


# %%
# Training, in chunks of 600 samples (12.5 ms). The state is carried from chunk to chunk.

rng = np.random.default_rng(0)
u = guitar(N // 2, rng)
x, wanted = u.reshape(N, -1, 1), circuit(u).reshape(N, -1)
theta, gradient, m, v = np.zeros((4, 4 * H * (H + 2) + 1 + H), np.float32)  # W, U, b, then weights of u and h
parts = [np.split(vector, np.cumsum([4 * H, 4 * H * H, 4 * H])) for vector in (theta, gradient)]
params, d_params = (fastlstm.Params(W[None], U.reshape(H, 4 * H), b) for W, U, b, _ in parts)
theta[: -1 - H] = np.concatenate([array.ravel() for array in fastlstm.init_params(1, H, rng=rng)])
packed, state, y = fastlstm.pack(params), fastlstm.zero_state(params, N), np.empty((N, T, H), np.float32)
tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)._replace(params=d_params)
for n in range(STEPS):
    now = slice(n * T % x.shape[1], n * T % x.shape[1] + T)
    if now.start == 0:
        state.h[...], state.c[...] = 0, 0
    train(x[:, now], wanted[:, now], theta, params, packed, state, y, tape, gradient, grads, m, v, n + 1)

# %%
# A new tune, beside a rule without memory: one curve from volts to volts, of degree nine, fitted to the same sound.

curve = np.polynomial.Polynomial.fit(x.ravel(), wanted.ravel(), 9)
u, state = guitar(4, rng), fastlstm.State(*np.zeros((2, H), np.float32))
effect(u[:1], packed, state, theta)  # compiled before it is timed
began = time.perf_counter()
heard = effect(u, packed, state, theta)
factor = len(u) / RATE / (time.perf_counter() - began)
truth = circuit(u)


def ratio(v):
    return np.mean((v - truth) ** 2) / np.mean(truth**2)


print(f"a new tune: error-to-signal ratio {ratio(heard):.2%}, {factor:.0f} times real time at {RATE} Hz")
print(f"a curve without memory: {ratio(curve(u)):.2%}")

# %%
# The capacitor makes the circuit lag behind its input. The network follows it, the curve cannot.

shown = slice(12_000, 12_480)
ms = np.arange(480) / RATE * 1e3
figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 5))
above.plot(ms, truth[shown], color="C1", linewidth=4, alpha=0.6, label="circuit")
above.plot(ms, heard[shown], color="C0", label="LSTM")
above.plot(ms, curve(u)[shown], color="C3", linestyle=":", label="curve without memory")
above.set(ylabel="output, V", ylim=(-0.75, 1.05), title="10 ms of a new tune")
above.legend(ncols=3, loc="upper right")
below.plot(ms, (curve(u) - truth)[shown], color="C3", linestyle=":")
below.plot(ms, (heard - truth)[shown], color="C0")
below.set(xlabel="ms", ylabel="error, V", title="How far they are off")
plt.show()
assert ratio(heard) < 0.2 * ratio(curve(u))
