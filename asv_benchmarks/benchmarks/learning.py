"""An epoch of `fit`: LSTM, LSTM, Dense(1, sigmoid) with binary cross-entropy and RMSprop."""

import time

import numpy as np

from fastlstm import Params, reference

from .common import error
from .shapes import FITS

RATE, RHO, EPSILON = 1e-3, 0.9, 1e-7  # of RMSprop, as in Keras


def data(fit):
    """x (samples, T, D) and labels (samples, 1), half of them 1."""
    x = np.random.default_rng(1).standard_normal((fit.samples, fit.T, fit.D), np.float32)
    return x, (x[:, :, :1].sum(axis=1) > 0).astype(np.float32)


def first_weights(fit):
    """In Keras's order and layout: W, U and b of both layers, those of the output."""
    rng, k = np.random.default_rng(0), 1 / np.sqrt(fit.H)
    layer = lambda D: [(D, 4 * fit.H), (fit.H, 4 * fit.H), (4 * fit.H,)]  # noqa: E731
    shapes = [*layer(fit.D), *layer(fit.H), (fit.H, 1), (1,)]
    return [rng.uniform(-k, k, shape).astype(np.float32) for shape in shapes]


def model(fit, Sequential, layers):
    """The model from the classes of `fastlstm.nn`, or of Keras."""
    found = Sequential(
        [
            layers.Input((fit.T, fit.D)),
            layers.LSTM(fit.H, return_sequences=True),
            layers.LSTM(fit.H),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    found.compile(optimizer="rmsprop", loss="binary_crossentropy")
    found.set_weights(first_weights(fit))
    return found


def by_reference(fit, x, labels):
    """The weights after an epoch, in plain NumPy and float64."""
    weights = [a.astype(float) for a in first_weights(fit)]
    squares = [np.zeros_like(a) for a in weights]
    for begin in range(0, len(x), fit.batch):
        now, wanted = x[begin : begin + fit.batch].astype(float), labels[begin : begin + fit.batch]
        layers, (V, a) = [Params(*weights[:3]), Params(*weights[3:6])], weights[6:]
        y, _, tape = reference.forward_train(now, layers)
        dz = (1 / (1 + np.exp(-(y[:, -1] @ V + a))) - wanted) / len(now)
        dy = np.zeros_like(y)
        dy[:, -1] = dz @ V.T
        below, above = reference.backward(tape, dy).params
        for w, v, g in zip(weights, squares, [*below, *above, y[:, -1].T @ dz, dz.sum(axis=0)], strict=True):
            v += (1 - RHO) * (g * g - v)
            w -= RATE * g / np.sqrt(v + EPSILON)
    return weights


class Epoch:
    params = (FITS,)
    param_names = ("batch, T, D, H, samples",)

    def setup(self, fit):
        if hasattr(self, "model"):
            return
        try:
            from fastlstm import nn
        except ImportError:
            raise NotImplementedError("a commit without fastlstm.nn") from None
        few = fit._replace(samples=3 * fit.batch)
        x, labels = data(few)
        learner = model(few, nn.Sequential, nn)
        learner.fit(x, labels, batch_size=few.batch, shuffle=False, verbose=0)
        moved = lambda weights: [a - b for a, b in zip(weights, first_weights(few), strict=True)]  # noqa: E731
        if not (found := error(moved(learner.get_weights()), moved(by_reference(few, x, labels)))) < 1e-3:
            raise AssertionError(f"fit: off by {found:.1e} of the largest change of a weight")
        self.model, (self.x, self.labels) = model(fit, nn.Sequential, nn), data(fit)

    def time_epoch(self, fit):
        self.model.fit(self.x, self.labels, batch_size=fit.batch, verbose=0)

    def track_samples(self, fit):
        self.time_epoch(fit)
        begin = time.perf_counter()
        self.time_epoch(fit)
        return fit.samples / (time.perf_counter() - begin)

    track_samples.unit = "samples/s"
