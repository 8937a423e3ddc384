"""The two cells beside each other: the pictures of docs/cells.md and the numbers in its text.

python docs/scripts/cells.py [gradient] [learning]     # needs matplotlib; both unless told
"""

import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np

import fastlstm
from fastlstm import demo
from fastlstm.datasets import load_japanese_vowels, load_sunspots

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[1]
IMAGES = DOCS / "img"
plt.rcParams.update({**runpy.run_path(str(DOCS / "_site" / "style.py"))["STYLE"], "savefig.transparent": False})
SEEDS = range(5)
COLOURS = {"standard": "C0", "interpolated": "C1"}


def save(figure, name):
    figure.savefig(IMAGES / f"{name}.png", dpi=100, metadata={"Software": None})


def reach(cell, seed, forget_bias=None, T=100, N=32, D=16, H=64):
    """Norm of the gradient of a random projection of the last h at x, by lag, relative to that at lag 0."""
    rng = np.random.default_rng(seed)
    params = fastlstm.init_params(D, H, rng=rng, cell=cell, dtype=np.float64, forget_bias=forget_bias)
    *_, tape = fastlstm.forward_train(rng.standard_normal((N, T, D)), params)
    last = fastlstm.State(rng.standard_normal((N, H)), np.zeros((N, H)))
    norms = np.linalg.norm(fastlstm.backward(tape, dstate=last).x, axis=(0, 2))[::-1]
    return norms / norms[0]


def band(panel, x, curves, label, **style):
    """The mean of some curves, and all that lies between the lowest and the highest."""
    panel.plot(x, np.mean(curves, axis=0), label=label, **style)
    panel.fill_between(x, np.min(curves, axis=0), np.max(curves, axis=0), alpha=0.15, color=style["color"], linewidth=0)


def gradient():
    figure, panel = plt.subplots(figsize=(7, 4))
    for cell, bias, line in (("standard", 1.0, "-"), ("standard", 3.0, "--"), ("interpolated", -0.25, "-"),
                             ("interpolated", 1.0, "--")):  # fmt: skip
        curves = [reach(cell, seed, bias) for seed in SEEDS]
        band(panel, np.arange(100), curves, f"{cell}, forget bias {bias:g}", color=COLOURS[cell], linestyle=line)
        mean = np.mean(curves, axis=0)
        print(f"gradient at lag 10, 30, 90: {cell} {bias:g}: " + ", ".join(f"{mean[lag]:.1e}" for lag in (10, 30, 90)))
    panel.set(xlabel="lag", ylabel="gradient at x, lag 0 = 1", yscale="log")
    panel.legend(fontsize="small")
    save(figure, "cells_gradient")


def rates(steps, top):
    return [top * 0.5 * (1 + np.cos(np.pi * n / steps)) for n in range(steps)]


def vowels(cell, seed, epochs=40):
    """Share of wrong answers in the test set after each epoch: the demo's recipe."""
    train, test = load_japanese_vowels()
    rng = np.random.default_rng(seed)
    frames = train.x[np.arange(train.x.shape[1]) < train.lengths[:, None]]
    x, x_test = ((part.x - frames.mean(axis=0)) / frames.std(axis=0) for part in (train, test))
    lstm = fastlstm.init_params(12, demo.HIDDEN, rng=rng, cell=cell)
    out = (rng.standard_normal((demo.HIDDEN, demo.SPEAKERS)) / np.sqrt(demo.HIDDEN)).astype(np.float32)
    d = np.zeros(demo.SPEAKERS, np.float32)
    adam, wrong = demo.Adam([*lstm, out, d]), []
    batches = len(x) // demo.BATCH
    rate = iter(rates(epochs * batches, demo.LEARNING_RATE))
    for _ in range(epochs):
        for some in np.split(rng.permutation(len(x)), batches):
            noisy = x[some] + np.float32(demo.NOISE) * rng.standard_normal(x[some].shape, np.float32)
            _, state, tape = fastlstm.forward_train(noisy, lstm, lengths=train.lengths[some])
            _, dlogits = demo.softmax_loss(state.h @ out + d, train.labels[some])
            grads = fastlstm.backward(tape, dstate=fastlstm.State(dlogits @ out.T, np.zeros_like(state.c)))
            adam.update(demo.clip([*grads.params, state.h.T @ dlogits, dlogits.sum(axis=0)], demo.CLIP), next(rate))
        _, state = fastlstm.forward(x_test, lstm, lengths=test.lengths)
        wrong.append(float(((state.h @ out + d).argmax(axis=1) != test.labels).mean()))
    return wrong


def sunspots(cell, seed, epochs=300, H=32, until=221):
    """Error of each next year's number, 1921 to 2008, after each pass over the years up to 1920."""
    series = load_sunspots().number[:, None] / np.float32(100)
    x, wanted = series[:-1], series[1:]
    rng = np.random.default_rng(seed)
    lstm = fastlstm.init_params(1, H, rng=rng, cell=cell)
    out, d = (rng.standard_normal((H, 1)) / np.sqrt(H)).astype(np.float32), np.zeros(1, np.float32)
    adam, errors = demo.Adam([*lstm, out, d]), []
    for rate in rates(epochs, 5e-3):
        noisy = x[:until] + np.float32(0.1) * rng.standard_normal((until, 1), np.float32)
        y, _, tape = fastlstm.forward_train(noisy, lstm)
        dv = 2 * (y @ out + d - wanted[:until]) / until
        grads = fastlstm.backward(tape, dv @ out.T)
        adam.update(demo.clip([*grads.params, y.T @ dv, dv.sum(axis=0)], demo.CLIP), rate)
        y, _ = fastlstm.forward(x, lstm)
        errors.append(100 * float(np.sqrt(np.mean((y @ out + d - wanted)[until:] ** 2))))
    return errors


def learning():
    figure, panels = plt.subplots(1, 2, figsize=(10, 4))
    tasks = (vowels, "Japanese vowels: wrong in the test set"), (sunspots, "sunspots: error in 1921 to 2008")
    for panel, (task, title) in zip(panels, tasks, strict=True):
        for cell in COLOURS:
            curves = np.array([task(cell, seed) for seed in SEEDS])
            band(panel, np.arange(1, curves.shape[1] + 1), curves, cell, color=COLOURS[cell])
            half = curves[:, curves.shape[1] // 4]
            print(f"{task.__name__} {cell}: at a quarter {half.mean():.4g} ({half.min():.4g} to {half.max():.4g}), "
                  f"at the end {curves[:, -1].mean():.4g} ({curves[:, -1].min():.4g} to {curves[:, -1].max():.4g})",
                  flush=True)  # fmt: skip
        panel.set(xlabel="epoch", title=title, yscale="log")
        panel.grid(alpha=0.3, which="both")
    panels[0].legend()
    save(figure, "cells_learning")


for name in sys.argv[1:] or ("gradient", "learning"):
    {"gradient": gradient, "learning": learning}[name]()
