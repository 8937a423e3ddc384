"""Passes of a model over batches of one shape, recorded, so that kernel follows kernel without Python in between."""

from __future__ import annotations

import time

import numpy as np

from ... import backend
from .base import Array
from .stack import Stack


class _Way:
    """A recording of both passes, on some number of threads."""

    def __init__(self, model: Stack, x: Array, count: int) -> None:
        recorder = backend.engine.recorder
        assert recorder is not None
        with backend.engine.on_threads(count):
            self.x, self.there, self.back = x.copy(), recorder(), recorder()
            with self.there:
                self.y, _ = model._forward(self.x, None, True)
            self.dy = np.zeros_like(self.y)
            with self.back:
                model._back_through(self.dy)
        self.inner = [(layer, layer._dx) for layer in model.layers if layer._mixes_time]


class Repeated:
    """A forward and a backward pass in training, again and again, over batches shaped like x: the bits are those of the
    layers' own passes.

    Both on all threads and on one are recorded, and the faster way is taken.
    """

    def __init__(self, model: Stack, x: Array) -> None:
        states = [(layer.rng, layer.rng.bit_generator.state) for layer in model.layers]
        self._threads = backend.engine.available()
        self._ways = {count: _Way(model, x, count) for count in {1, self._threads}}
        for rng, state in states:  # as if nothing had been drawn
            rng.bit_generator.state = state
        self._payoff, self._way = backend.engine.payoff(), self._ways[1]
        self._choice = self._together = False
        self._took = 0.0  # seconds, the forward pass

    def forward(self, x: Array) -> Array:
        """y, which the next call writes to again."""
        began = time.perf_counter()
        self._choice = backend.engine.available() == self._threads > 1  # that may change meanwhile
        self._together = self._choice and self._payoff.choose()
        self._way = self._ways[self._threads if self._together else 1]
        np.copyto(self._way.x, x)
        self._way.there.run()
        self._took = time.perf_counter() - began
        return self._way.y

    def backward(self, dy: Array) -> None:
        """Gradients of the weights, into the layers' grads, without those of penalties, which no recording has."""
        began = time.perf_counter()
        np.copyto(self._way.dy, dy)
        self._way.back.run()
        for layer, dx in self._way.inner:
            layer._dx = dx
        if self._choice:
            self._payoff.took(self._together, self._took + time.perf_counter() - began, 1)


class Repeats:
    """Recorded passes of a model for each shape of batches that comes often enough.

    A recording is of the layers, of the arrays that their weights stand in, and of their options, as all of these were
    when it was made: where any has changed, all recordings are given up. What the weights are does not matter; nor do
    loss, metrics and optimizer, which are no part of a recording."""

    AFTER = 3  # batches

    def __init__(self, model: Stack) -> None:
        self._model = model
        self._seen: dict[tuple[int, ...], int] = {}
        self._found: dict[tuple[int, ...], Repeated | None] = {}
        self._params: Array | None = None
        self._changes = 0

    def of(self, x: Array) -> Repeated | None:
        """None where the layers' own passes are to be run."""
        shape = x.shape
        if self._outdated():
            self._seen, self._found = {}, {}
        if shape not in self._found:
            self._seen[shape] = seen = self._seen.get(shape, 0) + 1
            if seen <= self.AFTER:
                return None
            self._found[shape] = Repeated(self._model, x) if self._possible(shape) else None
        return self._found[shape]

    def _outdated(self) -> bool:
        """Whether the model is another than at the last call. With other layers it has another vector of weights."""
        params, changes = self._model.flat_params, sum([layer._changes for layer in self._model.layers])
        if params is self._params and changes == self._changes:
            return False
        self._params, self._changes = params, changes
        return True

    def _possible(self, shape: tuple[int, ...]) -> bool:
        if backend.engine.recorder is None:
            return False
        for layer in self._model.layers:
            # a subclass of the caller's own may do in Python what no recording would
            if "_repeats" not in vars(type(layer)) or not layer._repeats(shape):
                return False
            shape = (shape[0], *layer.compute_output_shape(shape)[1:])
        return True
