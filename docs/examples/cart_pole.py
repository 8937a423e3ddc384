"""
A policy that has to remember
=============================

You learn here how a recurrent policy acts in 64 environments at once, by `Stream`, and how it learns from what it did,
by `reset`.

The policy balances poles, and sees no velocity: it has to remember where they were.
The cart-pole of A. Barto, R. Sutton and C. Anderson (1983), of which only the position and the angle are shown. All
environments take a step together, the policy by `Stream`; where a pole falls, a new episode begins, and the stream
forgets that sequence only. Learning is REINFORCE on the same steps again, the boundaries marked by `reset`.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastlstm
from fastlstm.demo import Adam, clip

N, T, H, UPDATES, DISCOUNT = 64, 100, 32, 120, 0.98


def move(s, push):
    """20 ms later: position (m), velocity, angle (rad) and angular velocity of each pole, pushed by +-10 N."""
    _, v, angle, spin = s.T
    sin, cos = np.sin(angle), np.cos(angle)
    force = (np.where(push, 10.0, -10.0) + 0.05 * spin**2 * sin) / 1.1
    twist = (9.8 * sin - cos * force) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    return s + 0.02 * np.stack([v, force - 0.05 * twist * cos / 1.1, spin, twist], axis=1)


def begin(rng, count):
    return rng.uniform(-0.05, 0.05, (count, 4))


def fallen(s):
    """More than 2.4 m off, or more than 12 degrees from upright."""
    return (np.abs(s[:, 0]) > 2.4) | (np.abs(s[:, 2]) > 0.2095)


# %%
# A rule that needs no network: push at random. How often do its poles fall?

rng = np.random.default_rng(0)
s, falls = begin(rng, N), 0
for _ in range(10 * T):
    s = move(s, rng.random(N) < 0.5)
    down = fallen(s)
    falls += down.sum()
    s[down] = begin(rng, down.sum())
at_random = N * 10 * T / falls
print(f"pushed at random, a pole falls every {at_random:.1f} steps")

# %%
# Each update lets all poles run for 100 steps, then goes through the same steps again for the gradient.

params = fastlstm.init_params(2, H, rng=rng)
w, value = np.zeros(H, np.float32), np.zeros(H, np.float32)  # push to the right? how much will come?
adam = Adam([*params, w, value])
lives = []
for update in range(UPDATES):
    stream = fastlstm.Stream(params, batch_size=N)
    s, new = begin(rng, N), np.ones(N, bool)
    seen, pushed, reset, fell = np.zeros((N, T, 2)), *np.zeros((3, N, T), bool)
    for t in range(T):
        seen[:, t], reset[:, t] = s[:, ::2] * [1, 10], new
        stream.reset(new)
        pushed[:, t] = rng.random(N) < 1 / (1 + np.exp(-stream(seen[:, t]) @ w))
        s = move(s, pushed[:, t])
        fell[:, t] = new = fallen(s)
        s[new] = begin(rng, new.sum())
    y, _, tape = fastlstm.forward_train(seen, params, reset=reset)
    expected = y @ value
    gain = np.zeros((N, T + 1), np.float32)
    gain[:, T] = 1 / (1 - DISCOUNT)  # who still stands may go on
    for t in reversed(range(T)):  # a reward of 1 for each step that does not end in a fall
        gain[:, t] = np.where(fell[:, t], 0, 1 + DISCOUNT * gain[:, t + 1])
    surprise = (gain[:, :T] - 50 * expected) / 50
    dlogit = ((1 / (1 + np.exp(-y @ w)) - pushed) * surprise / (N * T)).astype(np.float32)
    dvalue = (-surprise / (N * T)).astype(np.float32)
    grads = fastlstm.backward(tape, dlogit[:, :, None] * w + dvalue[:, :, None] * value)
    heads = [np.tensordot(dlogit, y, 2), np.tensordot(dvalue, y, 2)]
    adam.update(clip([*grads.params, *heads], 1.0), 1e-2)
    lives.append(N * T / max(1, fell.sum()))
    if update % 10 == 9:
        print(f"update {update + 1:3}: a fall every {np.mean(lives[-10:]):6.1f} steps", flush=True)

# %%
# The curve climbs as long as the policy learns. Where it touches 6400, no pole fell at all: 64 poles times 100 steps.

figure, axes = plt.subplots()
axes.semilogy(np.arange(1, UPDATES + 1), lives, label="the policy")
axes.axhline(at_random, color="C3", linestyle="--", label="pushed at random")
axes.set(
    xlabel="update",
    ylabel="steps (20 ms each) from fall to fall",
    title="A policy without velocities learns to balance",
)
axes.legend()
plt.show()
print(f"the last ten updates: a fall every {np.mean(lives[-10:]):.0f} steps; at random every {at_random:.0f}")
assert np.mean(lives[-10:]) > 10 * at_random
