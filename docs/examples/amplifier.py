"""
An amplifier, from its circuit to C
===================================

You learn here how to train on your own buffers inside compiled code, how to run the result sample by sample, and how to
carry it into a plug-in as one C header.

The sound is made by a formula: plucked strings go through the first stage of a guitar amplifier, half a 12AX7 tube with
the capacitors around it, by N. Koren's equation of the tube's current ("Improved vacuum tube models for SPICE
simulations", 1996). Two of the capacitors remember loud notes for 20 to 30 ms: the tube's answer to a volt depends on
what was played before. The network hears what goes in and what comes out, as it would of an amplifier at home.

The baseline, chosen before looking, has no memory: one curve from volts to volts, a polynomial of degree nine. Both
are measured by the error-to-signal ratio, which is the mean squared error beside the mean square of the sound.
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import fastlstm
from fastlstm.nn import LSTM, Dense, Sequential

RATE, N, T, H, STEPS = 48_000, 32, 300, 16, 2400
SUPPLY, PLATE, CATHODE, GRID, LEAK = 300.0, 100e3, 1.5e3, 68e3, 1e6  # volt; resistors, in ohm
C_IN, C_CATHODE, C_PLATE = 22e-9, 22e-6, 1e-9  # capacitors, in farad


@njit
def amplifier(u):
    """Volts at the plate, around those at rest, where u are the volts of the guitar: Euler steps, eight a sample."""
    dt, out = 1 / (8 * RATE), np.empty_like(u)
    v_in, v_cathode, v_plate, rest = 0.0, 1.0, 200.0, 0.0  # the capacitors' volts
    for t in range(-RATE, 8 * len(u)):  # an eighth of a second of silence first
        grid = (u[t // 8] if t >= 0 else 0.0) - v_in
        flows = max(grid - v_cathode, 0.0) / GRID  # from a loud note's peaks, into the grid
        v_grid, v_tube = min(grid - v_cathode, 0.0), v_plate - v_cathode
        z = 600 * (1 / 100 + v_grid / np.sqrt(300 + v_tube**2))
        e = v_tube / 600 * (max(z, 0.0) + np.log1p(np.exp(-abs(z))))
        current = 2 * max(e, 0.0) ** 1.4 / 1060
        v_in += dt / C_IN * (flows + grid / LEAK)
        v_cathode += dt / C_CATHODE * (current - v_cathode / CATHODE)
        v_plate += dt / C_PLATE * ((SUPPLY - v_plate) / PLATE - current)
        if t < 0:
            rest = v_plate
        else:
            out[t // 8] = v_plate - rest
    return out


def guitar(seconds, rng):
    """Volts of a string, plucked anew four times a second: a tone and nine overtones, the higher the sooner gone."""
    t, k = np.arange(RATE // 4)[:, None] / RATE, np.arange(1, 11)
    volts, pitch = rng.uniform(1, 4, (4 * seconds, 1)), rng.uniform(80, 400, (4 * seconds, 1, 1))
    return (volts * np.sum(np.sin(2 * np.pi * k * pitch * t) * np.exp(-2 * k * t) / k, 2)).ravel().astype(np.float32)


# %%
# The model is an LSTM and a dense layer. All its weights are views of one vector, ``model.flat_params``, which the
# training moves; so there is nothing to copy back. One compiled function is a whole step of training. It allocates no
# tape and no gradients: these come from outside.


@njit
def train(x, wanted, theta, params, packed, state, y, tape, gradient, grads, m, v, n):
    """Forward, loss, backward, Adam's update and re-packing, compiled into one. The state is carried on."""
    fastlstm.forward_train_into(x, packed, state, y, tape)
    wrong = np.sum(y * theta[-H - 1 : -1], axis=2) + theta[-1] - wanted
    dv = np.expand_dims((2 / wrong.size * wrong).astype(np.float32), 2)
    fastlstm.backward_into(tape, packed, dv * theta[-H - 1 : -1], None, grads)
    gradient[-H - 1 : -1], gradient[-1] = np.sum(np.sum(dv * y, axis=0), axis=0), np.sum(dv)
    m += 0.1 * (gradient - m)
    v += 0.001 * (gradient**2 - v)
    theta -= 0.01 * (1 - n / STEPS) * m / (1 - 0.9**n) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
    fastlstm.pack_into(params, packed)


@njit
def effect(u, packed, state, theta):
    """Sample by sample, as an audio callback has it."""
    v = np.empty_like(u)
    for t in range(len(u)):
        fastlstm.step(u[t : t + 1], packed, state)
        v[t] = np.sum(state.h * theta[-H - 1 : -1]) + theta[-1]
    return v


# %%
# Training, in chunks of 300 samples (6.25 ms). The state is carried from chunk to chunk.

rng = np.random.default_rng(0)
u = guitar(N // 2, rng)
VOLTS = 50  # what the network calls 1
x, wanted = u.reshape(N, -1, 1), amplifier(u).reshape(N, -1) / VOLTS
model = Sequential([LSTM(H, return_sequences=True, input_shape=(None, 1)), Dense(1)], seed=0)
theta, gradient = model.flat_params, model.flat_grads
params, d_params = (
    fastlstm.Params(one["kernel"], one["recurrent_kernel"], one["bias"])
    for one in (model.layers[0].params, model.layers[0].grads)
)
m, v = np.zeros((2, theta.size), np.float32)
packed, state, y = fastlstm.pack(params), fastlstm.zero_state(params, N), np.empty((N, T, H), np.float32)
tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)._replace(params=d_params)
for n in range(STEPS):
    now = slice(n * T % x.shape[1], n * T % x.shape[1] + T)
    if now.start == 0:
        state.h[...], state.c[...] = 0, 0
    train(x[:, now], wanted[:, now], theta, params, packed, state, y, tape, gradient, grads, m, v, n + 1)

# %%
# A new tune, beside the curve without memory, which is fitted to the sound that the network has learnt from.

curve = np.polynomial.Polynomial.fit(x.ravel(), wanted.ravel(), 9)
u, state = guitar(4, rng), fastlstm.State(*np.zeros((2, H), np.float32))
effect(u[:0], packed, state, theta)  # compiled before it is timed
began = time.perf_counter()
heard = effect(u, packed, state, theta)
factor = len(u) / RATE / (time.perf_counter() - began)
truth = amplifier(u) / VOLTS


def ratio(v):
    return np.mean((v - truth) ** 2) / np.mean(truth**2)


print(f"a new tune: error-to-signal ratio {ratio(heard):.2%}, {factor:.0f} times real time at {RATE} Hz")
print(f"a curve without memory: {ratio(curve(u)):.2%}")
assert ratio(heard) < 0.1 * ratio(curve(u))

# %%
# Into C. `to_c` writes one header with the weights and two functions, ``amp_reset`` and ``amp_step``. It takes no
# memory but the state. The program around it stands for a plug-in. It plays the same tune, where a compiler is at hand.

PROGRAM = """
#include <stdio.h>
#include "amp.h"

int main(void)
{
    static amp_state state;
    float u[AMP_INPUT_SIZE], v[AMP_OUTPUT_SIZE];
    FILE *in = fopen("tune.raw", "rb"), *out = fopen("played.raw", "wb");
    amp_reset(&state);
    while (fread(u, sizeof u, 1, in) == 1) {
        amp_step(&state, u, v);
        fwrite(v, sizeof v, 1, out);
    }
    return fclose(in) || fclose(out);
}
"""
compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    fastlstm.to_c(model, folder / "amp.h")
    print(f"amp.h has {len((folder / 'amp.h').read_text().splitlines())} lines")
    if compiler is None:
        print("No C compiler is at hand (cc, gcc or clang), so the header is not compiled here.")
    else:
        (folder / "play.c").write_text(PROGRAM)
        u.tofile(folder / "tune.raw")
        subprocess.run([compiler, "-std=c99", "-O2", "play.c", "-o", "play.exe", "-lm"], cwd=folder, check=True)
        subprocess.run(folder / "play.exe", cwd=folder, check=True)
        played = np.fromfile(folder / "played.raw", np.float32)
        off = np.abs(played - heard).max() * VOLTS
        print(f"the compiled C plays the same tune: error-to-signal ratio {ratio(played):.2%}, "
              f"at most {off * 1e3:.2g} mV from what was heard above")  # fmt: skip
        assert off < 0.1

# %%
# Above, 20 ms of a note: the network lies upon the amplifier, the curve does not. Below, how far both are off in two
# seconds: the network most where a note begins, the curve always.

shown = slice(18_000, 18_960)
ms = np.arange(960) / RATE * 1e3
figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.5))
above.plot(ms, VOLTS * truth[shown], color="C1", linewidth=4, alpha=0.6, label="amplifier")
above.plot(ms, VOLTS * heard[shown], color="C0", label="network")
above.plot(ms, VOLTS * curve(u)[shown], color="C3", linestyle=":", label="curve without memory")
above.set(xlabel="time, ms", ylabel="output, V", title="In the middle of a note", ylim=(-110, 150))
above.legend(ncols=3, loc="upper right")
second = np.arange(200) / 100 + 0.005
for name, one, colour, line in (("curve without memory", curve(u), "C3", ":"), ("network", heard, "C0", "-")):
    off = VOLTS * np.sqrt(np.mean((one - truth)[: 2 * RATE].reshape(200, -1) ** 2, axis=1))
    below.semilogy(second, off, color=colour, linestyle=line)
    below.annotate(name, (2, off[-1]), (3, 0), textcoords="offset points", color=colour, va="center")
below.set(xlabel="time, s", ylabel="error, V", title="Root mean squared error in each 10 ms", xlim=(0, 2.75))
plt.show()
print(f"error-to-signal ratio: network {ratio(heard):.2%}, curve without memory {ratio(curve(u)):.2%}")
