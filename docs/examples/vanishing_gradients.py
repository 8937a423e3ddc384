"""
Do gradients vanish?
====================

You learn here how to look at a gradient along time, and what the forget bias and clipping do to it.

Three experiments, which docs/vanishing-gradients.md tells about:

1. How the gradient of a loss at the last step fades with the lag, in networks as they begin: a plain tanh network, and
   LSTMs with forget biases of 0, 1 and 3.
2. What these networks learn: the first step holds a bit, the steps behind it noise, the answer is asked at the end.
3. What clipping the gradient changes, in the plain network, by plain gradient descent.
"""

import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # so small a network gains little from a second thread, and where
import matplotlib.pyplot as plt  # others use the processor, its threads would mostly wait for each other
import numba
import numpy as np

import fastlstm
from fastlstm.nn import LSTM, Dense, Sequential, losses, optimizers

D, H, BATCH, BATCHES, LAGS, SEEDS = 8, 32, 50, 600, (10, 20, 40, 80), 2
FORGET = (0, 1, 3)
LOSS = losses.BinaryCrossentropy(from_logits=True)
numba.set_num_threads(1)


class PlainNetwork:
    """h = tanh(x W + h U + b), z = h v + a after the last step; U orthogonal at first, as Keras begins it."""

    def __init__(self, rng):
        shapes = {"W": (D, H), "U": (H, H), "b": (H,), "v": (H,), "a": (1,)}
        ends = np.cumsum([np.prod(shape) for shape in shapes.values()])
        self.slices = [(name, slice(end - np.prod(shapes[name]), end)) for name, end in zip(shapes, ends, strict=True)]
        self.params, self.grads = np.zeros((2, ends[-1]))
        self.p, self.g = (
            {name: flat[part].reshape(shapes[name]) for name, part in self.slices} for flat in (self.params, self.grads)
        )
        self.p["W"][...] = rng.uniform(-1, 1, (D, H)) * np.sqrt(6 / (D + H))
        self.p["U"][...] = np.linalg.qr(rng.standard_normal((H, H)))[0]
        self.p["v"][...] = rng.uniform(-1, 1, H) * np.sqrt(6 / (H + 1))

    def forward(self, x):
        p, (N, T, _) = self.p, x.shape
        self.x, self.h = x, np.zeros((T + 1, N, H))
        xW = (x @ p["W"] + p["b"]).swapaxes(0, 1)
        for t in range(T):
            a = np.matmul(self.h[t], p["U"], out=self.h[t + 1])
            a += xW[t]
            np.tanh(a, out=a)
        return self.h[T] @ p["v"] + p["a"]

    def backward(self, dz, dh=None):
        """Gradients of the weights from that of z, or of h after the last step; returns those of x W + h U + b."""
        p, g = self.p, self.g
        if dh is None:
            g["v"][...], g["a"][...] = self.h[-1].T @ dz, dz.sum()
            dh = dz[:, None] * p["v"]
        da = 1 - self.h[1:] ** 2
        for t in reversed(range(len(da))):
            da[t] *= dh
            dh = da[t] @ p["U"].T
        g["W"][...] = np.tensordot(self.x.swapaxes(0, 1), da, ((0, 1), (0, 1)))
        g["U"][...] = np.tensordot(self.h[:-1], da, ((0, 1), (0, 1)))
        g["b"][...] = da.sum(axis=(0, 1))
        return da


def remember(rng, N, T):
    """x (N, T, D): noise, but for a bit, -1 or 1, in the first number of the first step; the bits."""
    x = 0.5 * rng.standard_normal((N, T, D), np.float32)
    bits = rng.integers(0, 2, N)
    x[:, 0, 0] = 2 * bits - 1
    return x, bits


def fading(dx):
    """Root mean square of the gradient at x, by lag, as a part of that at lag 0."""
    norms = np.sqrt(np.mean(dx[:, ::-1] ** 2, axis=(0, 2)))
    return norms / norms[0]


def lstm_fading(params, x, dh):
    _, _, tape = fastlstm.forward_train(x, params)
    return fading(fastlstm.backward(tape, dstate=fastlstm.State(dh, np.zeros_like(dh))).x)


def learn_plain(T, seed, optimizer, batches=BATCHES):
    """How many bits are right in the end, and the gradient's norm at each batch."""
    rng = np.random.default_rng(seed)
    network, norms = PlainNetwork(rng), []
    optimizer.build(network.params, network.slices)
    for _ in range(batches):
        x, bits = remember(rng, BATCH, T)
        network.backward(LOSS.value_and_gradient(bits, network.forward(x))[1])
        norms.append(np.linalg.norm(network.grads))
        optimizer.update(network.params, network.grads)
    x, bits = remember(rng, 1000, T)
    return np.mean((network.forward(x) > 0) == bits), np.array(norms)


def learn_lstm(T, seed, forget_bias):
    """How many bits are right in the end."""
    model = Sequential(seed=seed)
    model.add(LSTM(H, input_shape=(T, D)))
    model.add(Dense(1))
    model.layers[0].params["bias"][H : 2 * H] = forget_bias
    model.compile(loss=LOSS, optimizer=optimizers.RMSprop(3e-3))
    rng = np.random.default_rng(seed)
    x, bits = remember(rng, BATCH * BATCHES, T)
    model.fit(x, bits, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
    x, bits = remember(rng, 1000, T)
    return np.mean((model.predict(x, verbose=0)[:, 0] > 0) == bits)


# %%
# What is left of a gradient that arrives after the last step, before anything is learnt?

print("1. the gradient at a lag, as a part of that at lag 0, before learning")
rng = np.random.default_rng(0)
x, _ = remember(rng, 200, 101)
dh = rng.standard_normal((200, H))
plain = PlainNetwork(rng)
plain.forward(x)
curves = {"plain tanh": fading((plain.backward(None, dh) @ plain.p["W"].T).swapaxes(0, 1))}
for bias in FORGET:
    params = fastlstm.init_params(D, H, rng=rng, dtype=np.float64, forget_bias=bias)
    curves[f"LSTM, forget bias {bias}"] = lstm_fading(params, x, dh)
print(f"{'lag':<22}" + "".join(f"{lag:>10}" for lag in (1, 10, 20, 50, 100)))
for name, curve in curves.items():
    print(f"{name:<22}" + "".join(f"{curve[lag]:10.1e}" for lag in (1, 10, 20, 50, 100)))
far = {name: curve[100] for name, curve in curves.items()}
assert 1e3 * far["LSTM, forget bias 0"] < far["plain tanh"] < 1e-2 * far["LSTM, forget bias 1"]
assert far["LSTM, forget bias 1"] < 1e-2 * far["LSTM, forget bias 3"]

# %%
# What can be learnt? A network finds what its gradient reaches.

print(f"2. bits remembered after {BATCHES} batches of {BATCH}, by lag; half are right by chance")
began = time.perf_counter()
right = {name: [] for name in curves}
for T in LAGS:
    plain_right = [learn_plain(T, seed, optimizers.RMSprop(3e-3))[0] for seed in range(SEEDS)]
    right["plain tanh"].append(np.mean(plain_right))
    for bias in FORGET:
        right[f"LSTM, forget bias {bias}"].append(np.mean([learn_lstm(T, seed, bias) for seed in range(SEEDS)]))
print(f"{'lag':<22}" + "".join(f"{T - 1:>10}" for T in LAGS))
for name, shares in right.items():
    print(f"{name:<22}" + "".join(f"{share:10.1%}" for share in shares))
print(f"({time.perf_counter() - began:.0f} s)")
assert right["LSTM, forget bias 3"][-1] > 0.95
assert right["LSTM, forget bias 0"][-1] < 0.6

# %%
# The other trouble: gradients that explode.

print("3. plain tanh, lag 19, gradient descent with learning rate 0.3: does clipping to a norm of 1 help?")
seeds, outcomes = range(8), {}
for limit in (None, 1.0):
    runs = [learn_plain(20, seed, optimizers.SGD(0.3, global_clipnorm=limit), 400) for seed in seeds]
    outcomes[limit] = runs
    shares = np.array([share for share, _ in runs])
    good, largest = sum(shares > 0.99), max(norms.max() for _, norms in runs)
    print(f"{'clipped' if limit else 'as it is':<12} {np.mean(shares):6.1%} right, worst run "
          f"{min(shares):6.1%}, {good} of {len(runs)} above 99 %; largest norm {largest:.3g}")  # fmt: skip
mean = {limit: np.mean([share for share, _ in runs]) for limit, runs in outcomes.items()}
assert mean[1.0] > mean[None]

# %%
# On the left, what reaches back before learning; on the right, what is learnt. The open forget gate keeps both alive.

vanishing, clipping = plt.figure(figsize=(10, 4)), plt.figure(figsize=(10, 4))
left, other = vanishing.subplots(1, 2)
for name, curve in curves.items():
    left.semilogy(curve, label=name)
left.set(xlabel="lag, steps", ylabel="gradient, part of that at lag 0", ylim=(1e-20, 100), title="Before learning")
for mark, (name, shares) in zip("osD^", right.items(), strict=True):
    other.plot([T - 1 for T in LAGS], 100 * np.array(shares), f"{mark}-", label=name)
other.axhline(50, color="0.5", linestyle=":")
other.annotate("chance", (79, 50), xytext=(0, 4), textcoords="offset points", color="0.5", ha="right")
other.set(xlabel="lag, steps", ylabel="bits remembered, %", title=f"After {BATCHES} batches")
vanishing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
for axes, (limit, runs) in zip(clipping.subplots(1, 2, sharey=True), outcomes.items(), strict=True):
    for _, norms in runs:
        axes.semilogy(norms, linewidth=0.6)
    axes.axhline(1, color="0.5", linestyle=":")
    good = sum(share > 0.99 for share, _ in runs)
    axes.set(xlabel="batch", title=f"{'Clipped to 1' if limit else 'As it is'}: {good} of {len(runs)} runs above 99 %")
clipping.axes[0].set_ylabel("norm of the gradient before clipping")
plt.show()
