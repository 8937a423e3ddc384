"""An LSTM learns, in plain NumPy, which of nine speakers is talking: python -m fastlstm demo

Read it from `train` on: a batch goes forward through the LSTM, the hidden state after the last frame through a
linear layer and a softmax; the gradient of the loss goes the same way back; Adam moves the weights against it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastlstm
from fastlstm.datasets import Utterances, load_japanese_vowels

HIDDEN = 64
SPEAKERS = 9
BATCH = 30
LEARNING_RATE = 3e-3
NOISE = 0.5  # of each feature's spread, added to the training frames: 270 recordings are soon learnt by heart
CLIP = 1.0

Array = NDArray[Any]


class Result(NamedTuple):
    """What a training run leaves: losses of the epochs, predictions for the test set, seconds of training."""

    losses: list[float]
    predicted: Array
    accuracy: float
    seconds: float


def softmax_loss(logits: Array, labels: Array) -> tuple[float, Array]:
    """Mean cross-entropy of logits (N, K), and its gradient."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))  # exp of a large logit would overflow
    p = shifted / shifted.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels] + 1e-30).mean()
    p[rows, labels] -= 1
    return float(loss), p / len(labels)


def clip(grads: Sequence[Array], limit: float) -> list[Array]:
    """Gradients scaled so that their common norm is at most limit: one odd batch must not throw the weights."""
    norm = np.sqrt(sum(float((g * g).sum()) for g in grads))
    return [g * np.float32(min(1.0, limit / (norm + 1e-6))) for g in grads]


class Adam:
    """Adam (Kingma and Ba, 2015): a step for every weight by its own gradients' mean and spread."""

    def __init__(self, weights: Sequence[Array]) -> None:
        self.weights = weights
        self.mean = [np.zeros_like(w) for w in weights]
        self.square = [np.zeros_like(w) for w in weights]
        self.step = 0

    def update(self, grads: Sequence[Array], rate: float) -> None:
        self.step += 1
        right = np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step)  # both averages begin at 0
        for w, g, m, s in zip(self.weights, grads, self.mean, self.square, strict=True):
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            w -= np.float32(rate * right) * m / (np.sqrt(s) + 1e-8)


def train(train_set: Utterances, test_set: Utterances, *, seed: int, epochs: int, show: bool = False) -> Result:
    """One training run."""
    rng = np.random.default_rng(seed)
    frames = train_set.x[np.arange(train_set.x.shape[1]) < train_set.lengths[:, None]]
    mean, spread = frames.mean(axis=0), frames.std(axis=0)
    x, x_test = (train_set.x - mean) / spread, (test_set.x - mean) / spread

    lstm = fastlstm.init_params(x.shape[2], HIDDEN, rng=rng)
    V = (rng.standard_normal((HIDDEN, SPEAKERS)) / np.sqrt(HIDDEN)).astype(np.float32)
    d = np.zeros(SPEAKERS, np.float32)
    adam = Adam([*lstm, V, d])
    batches = -(-len(x) // BATCH)

    began = time.perf_counter()
    losses: list[float] = []
    for epoch in _progress(epochs, show, losses):
        total = 0.0
        shuffled = rng.permutation(len(x))
        for number in range(batches):
            some = shuffled[number * BATCH : (number + 1) * BATCH]
            noisy = x[some] + np.float32(NOISE) * rng.standard_normal(x[some].shape, np.float32)

            # forward: h after each recording's own last frame is state.h, whatever the padding
            _, state, tape = fastlstm.forward_train(noisy, lstm, lengths=train_set.lengths[some])
            loss, dlogits = softmax_loss(state.h @ V + d, train_set.labels[some])

            # backward: the loss looks at the last h only, so no gradient arrives at y or at c
            dstate = fastlstm.State(dlogits @ V.T, np.zeros_like(state.c))
            grads = fastlstm.backward(tape, dstate=dstate)

            # the rate falls to nothing along half a cosine: large steps first, fine ones at the end
            done = (epoch * batches + number) / (epochs * batches)
            rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * done))
            adam.update(clip([*grads.params, state.h.T @ dlogits, dlogits.sum(axis=0)], CLIP), rate)
            total += loss * len(some)
        losses.append(total / len(x))
    seconds = time.perf_counter() - began

    _, state = fastlstm.forward(x_test, lstm, lengths=test_set.lengths)
    predicted = (state.h @ V + d).argmax(axis=1)
    return Result(losses, predicted, float((predicted == test_set.labels).mean()), seconds)


def _first(utterances: Utterances, count: int) -> Utterances:
    x, lengths, labels = utterances
    return Utterances(x[:count], lengths[:count], labels[:count])


def _progress(epochs: int, show: bool, losses: list[float]) -> Iterable[int]:
    """The epochs, with a bar where tqdm is installed, and a line now and then where it is not."""
    if not show:
        yield from range(epochs)
        return
    try:
        from tqdm import tqdm
    except ImportError:
        for epoch in range(epochs):
            yield epoch
            if (epoch + 1) % 10 == 0 or epoch + 1 == epochs:
                print(f"epoch {epoch + 1} of {epochs}: loss {losses[-1]:.4f}", flush=True)
        return
    with tqdm(total=epochs, unit="epoch") as bar:
        for epoch in range(epochs):
            yield epoch
            bar.set_postfix(loss=f"{losses[-1]:.4f}")
            bar.update()


def plot(result: Result, labels: Array, path: Path) -> None:
    """Saves the learning curve beside the confusion matrix."""
    from matplotlib.figure import Figure

    confusion = np.zeros((SPEAKERS, SPEAKERS), int)
    np.add.at(confusion, (labels, result.predicted), 1)
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogy(np.arange(1, len(result.losses) + 1), result.losses)
    left.set(xlabel="epoch", ylabel="cross-entropy, training set")
    right.imshow(confusion, cmap="Blues")
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            dark = count > confusion.max() / 2
            right.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    right.set(xlabel="predicted speaker", ylabel="speaker", title=f"test set: {result.accuracy:.1%} right")
    figure.savefig(path)


def main(argv: Sequence[str] = ()) -> None:
    """Train, and say what came out."""
    parser = argparse.ArgumentParser(prog="python -m fastlstm demo", description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, metavar="PATH", help="save a picture there (needs matplotlib)")
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error(f"--epochs: expected at least 1, got {options.epochs}")
    if options.seed < 0:
        parser.error(f"--seed: expected at least 0, got {options.seed}")
    if options.plot is not None:  # found out now, not after the training
        if not options.plot.absolute().parent.is_dir():
            parser.error(f"--plot: expected a path in a folder that exists, got {options.plot}")
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            parser.error("--plot: expected matplotlib to be installed (pip install matplotlib), it is not")

    train_set, test_set = load_japanese_vowels()
    print(f"{len(train_set.x)} recordings of {SPEAKERS} speakers to learn from, {len(test_set.x)} to be told apart")
    print("compiling the kernels (once on this machine) ...", end=" ", flush=True)
    began = time.perf_counter()
    train(_first(train_set, BATCH), test_set, seed=0, epochs=1)
    print(f"{time.perf_counter() - began:.1f} s")
    result = train(train_set, test_set, seed=options.seed, epochs=options.epochs, show=True)
    print(f"test accuracy: {result.accuracy:.1%}, after {result.seconds:.1f} s of training")
    print("published (Kudo, Toyama and Shimbo 1999): 94.1 %, hidden Markov model 96.2 %")
    if options.plot is not None:
        plot(result, test_set.labels, options.plot)
        print(f"picture: {options.plot}")


if __name__ == "__main__":
    main()
