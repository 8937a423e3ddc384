"""
A policy that has to remember
=============================

You learn here how a recurrent policy acts in 64 environments at once, by `Stream`, and how it learns from what it did,
by `reset`.

The policy balances poles, and sees no velocity: it has to remember where they were. The cart-pole is that of A. Barto,
R. Sutton and C. Anderson (1983), a formula, of which only the position and the angle are shown. All environments take a
step together, the policy by `Stream`; where a pole falls, a new episode begins, and the stream forgets that sequence
only. Learning is REINFORCE on the same steps again, the boundaries marked by `reset`.

Two rules that need no network were chosen before looking: push at random, and push to the side where the pole leans,
which is the best that the angle alone can say.
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
# How often do poles fall by the two rules?

rng = np.random.default_rng(0)
rules = {"at random": lambda s: rng.random(N) < 0.5, "where it leans": lambda s: s[:, 2] > 0}
falls_every = {}
for name, rule in rules.items():
    s, falls = begin(rng, N), 0
    for _ in range(10 * T):
        s = move(s, rule(s))
        down = fallen(s)
        falls += down.sum()
        s[down] = begin(rng, down.sum())
    falls_every[name] = N * 10 * T / falls
    print(f"pushed {name}, a pole falls every {falls_every[name]:.1f} steps")

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
axes.semilogy(np.arange(1, UPDATES + 1), lives, color="C0")
axes.annotate("the policy", (UPDATES, lives[-1]), (5, 0), textcoords="offset points", color="C0", va="center")
for (name, steps), line in zip(falls_every.items(), (":", "--"), strict=True):
    axes.axhline(steps, color="C3", linestyle=line)
    axes.annotate(f"pushed {name}", (1.2 * UPDATES, steps), (0, 4), textcoords="offset points", color="C3",
                  ha="right")  # fmt: skip
axes.set(
    xlabel="update",
    xlim=(0, 1.2 * UPDATES),
    ylabel="steps (20 ms each) from fall to fall",
    title="A policy without velocities learns to balance",
)
plt.show()
learnt = np.mean(lives[-10:])
print(f"the last ten updates: a fall every {learnt:.0f} steps; "
      + ", ".join(f"{name} every {steps:.0f}" for name, steps in falls_every.items()))  # fmt: skip
assert learnt > 10 * max(falls_every.values())
