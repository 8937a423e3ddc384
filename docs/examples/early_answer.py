"""
Answer as soon as you are sure
==============================

You learn here how a compiled loop calls `step` for one input after another, and acts between two of them.

Who is speaking? The loop hears a recording frame by frame and answers as soon as it is sure. The Japanese Vowels, real
recordings of nine speakers, are streamed tick by tick, as a feed of sensors or of prices would be. At each tick the
loop calls `fastlstm.step`, weighs what it knows, and acts (answers, and stops listening) or waits.

The baselines were chosen before looking: hear all, and always name the commonest speaker.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import fastlstm
from fastlstm.datasets import load_japanese_vowels
from fastlstm.demo import Adam, clip, softmax_loss

H, SPEAKERS, EPOCHS, BATCH = 64, 9, 40, 30


@njit
def listen(frames, packed, V, a, sure):
    """The answer, and after how many frames."""
    state = fastlstm.State(np.zeros(H, np.float32), np.zeros(H, np.float32))
    belief = np.empty(SPEAKERS, np.float32)
    for t in range(len(frames)):
        fastlstm.step(frames[t], packed, state)
        for k in range(SPEAKERS):
            belief[k] = a[k] + np.sum(state.h * V[:, k])
        belief = np.exp(belief - belief.max())
        belief /= belief.sum()
        if belief.max() > sure:
            break
    return np.argmax(belief), t + 1


@njit
def listen_to_all(x, lengths, packed, V, a, sure):
    answers, heard = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    for n in range(len(x)):
        answers[n], heard[n] = listen(x[n, : lengths[n]], packed, V, a, sure)
    return answers, heard


# %%
# Training: the network is asked who speaks at every frame, so that it learns how sure it can be early on.

rng = np.random.default_rng(0)
train, test = load_japanese_vowels()
real = np.arange(train.x.shape[1]) < train.lengths[:, None]
mean, spread = train.x[real].mean(axis=0), train.x[real].std(axis=0)
x, x_test = (train.x - mean) / spread, ((test.x - mean) / spread).astype(np.float32)
params = fastlstm.init_params(12, H, rng=rng)
V, a = rng.normal(0, H**-0.5, (H, SPEAKERS)).astype(np.float32), np.zeros(SPEAKERS, np.float32)
weights = [*params, V, a]
adam = Adam(weights)
for epoch in range(EPOCHS):
    for rows in np.split(rng.permutation(len(x)), range(BATCH, len(x), BATCH)):
        noisy = x[rows] + rng.normal(0, 0.5, x[rows].shape)
        y, _, tape = fastlstm.forward_train(noisy, params, lengths=train.lengths[rows])
        frame = real[rows]
        _, wrong = softmax_loss(y[frame] @ V + a, np.repeat(train.labels[rows], train.lengths[rows]))
        dy = np.zeros_like(y)
        dy[frame] = wrong @ V.T
        grads = fastlstm.backward(tape, dy)
        gradients = [*grads.params, y[frame].T @ wrong, wrong.sum(axis=0)]
        adam.update(clip(gradients, 1.0), 5e-3 * (1 - epoch / EPOCHS))

# %%
# Listening: the surer it has to be, the more it hears, and the more often it is right.

packed, found = fastlstm.pack(params), []
print(" sure  right  frames heard  a tick")
for sure in (0.5, 0.8, 0.95, 0.99, 1.0):
    listen_to_all(x_test[:1], test.lengths[:1], packed, V, a, sure)  # compiled before it is timed
    began = time.perf_counter()
    answers, heard = listen_to_all(x_test, test.lengths, packed, V, a, sure)
    tick = (time.perf_counter() - began) / heard.sum()
    right, share = np.mean(answers == test.labels), heard.sum() / test.lengths.sum()
    print(f"{sure:5.2f} {right:6.1%} {share:13.0%} {tick * 1e6:6.2f} us", flush=True)
    found.append((share, right))

# %%
# Whoever waits for the end hears everything. The curve shows how little has to be heard for almost the same.

commonest = np.bincount(test.labels).max() / len(test.labels)
heard_share, right_share = 100 * np.array(found).T
figure, axes = plt.subplots()
axes.plot(heard_share, right_share, "o-", color="C0")
axes.annotate("answers when it is sure", (55, right_share[-1]), (0, -14), textcoords="offset points", color="C0")
for x_at, y_at, sure in zip(heard_share, right_share, (0.5, 0.8, 0.95, 0.99, 1.0), strict=True):
    axes.annotate(f"sure to {sure:g}", (x_at, y_at), xytext=(0, -8), textcoords="offset points", rotation=-45, va="top")
for share, name, line in ((right_share[-1], "hears all", ":"), (100 * commonest, "always the commonest speaker", "--")):
    axes.axhline(share, color="C3", linestyle=line)
    axes.annotate(name, (102, share), (0, 3), textcoords="offset points", color="C3", ha="right")
axes.set(
    xlabel="frames heard, %",
    ylabel="recordings right, %",
    title="Less than half of the frames is enough",
    ylim=(0, 110),
)
plt.show()
print(
    f"right: {right_share[-2]:.1f} % by hearing {heard_share[-2]:.0f} % of the frames, {right_share[-1]:.1f} % by all"
)
print(f"always the commonest speaker: {commonest:.1%}")
assert right_share[-2] > right_share[-1] - 2
assert heard_share[-2] < 60
