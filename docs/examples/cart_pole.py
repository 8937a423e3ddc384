"""A recurrent policy balances 64 poles at once, and sees no velocity: it has to remember.

The cart-pole of A. Barto, R. Sutton and C. Anderson (1983), of which only the position and the angle are shown. All
environments take a step together, the policy by `Stream`; where a pole falls, a new episode begins, and the stream
forgets that sequence only. Learning is REINFORCE on the same steps again, the boundaries marked by `reset`.
"""

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


rng = np.random.default_rng(0)
params = fastlstm.init_params(2, H, rng=rng)
w, value = np.zeros(H, np.float32), np.zeros(H, np.float32)  # push to the right? how much will come?
adam = Adam([*params, w, value])
lives = []
for update in range(UPDATES):
    stream = fastlstm.Stream(params, batch_size=N)
    s, new = rng.uniform(-0.05, 0.05, (N, 4)), np.ones(N, bool)
    seen, pushed, reset, fell = np.zeros((N, T, 2)), *np.zeros((3, N, T), bool)
    for t in range(T):
        seen[:, t], reset[:, t] = s[:, ::2] * [1, 10], new
        stream.reset(new)
        pushed[:, t] = rng.random(N) < 1 / (1 + np.exp(-stream(seen[:, t]) @ w))
        s = move(s, pushed[:, t])
        fell[:, t] = new = (np.abs(s[:, 0]) > 2.4) | (np.abs(s[:, 2]) > 0.2095)
        s[new] = rng.uniform(-0.05, 0.05, (new.sum(), 4))
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
