"""How a model passes over the batches that it learns from: in parts, and recorded where such batches come often.

The gradient of a batch is the sum of its parts' gradients. So a batch of enough work is cut into parts; each goes, on
one thread, through a twin of the model, up and down again, and threads exchange nothing before the sum. Shapes alone
decide how many parts there are, and the sum has their order: no bit depends on the number of threads.

A recording runs kernel after kernel without Python in between; the bits are those of the layers' own passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from typing import NamedTuple

import numpy as np

from ... import backend
from .base import Array, Layer
from .stack import Stack

_PARTS = ((4, 128), (2, 32))  # parts, and the samples from which a batch is cut into as many
_WORK = 3 << 19  # weights times steps that a part has at least
_LARGE = 1 << 25  # the same of a batch from where threads that share each layer's work are as fast


def parts_of(shape: tuple[int, ...], weights: int) -> int:
    """In how many parts a model of so many weights learns from a batch of that shape (N, T, ...)."""
    work = weights * prod(shape[:2])
    fitting = (parts for parts, N in _PARTS if shape[0] >= N and parts * _WORK <= work <= _LARGE)
    return next(fitting, 1)


Inner = list[tuple[Layer, tuple[Array, ...]]]


def _inner(stacks: Sequence[Stack]) -> Inner:
    """The first stack's layers that keep the gradients at their inputs, and all parts' of these."""
    return [
        (layer, tuple(dx for stack in stacks for dx in stack.layers[i]._dx))
        for i, layer in enumerate(stacks[0].layers)
        if layer._mixes_time
    ]


class Passes:
    """Both passes in training over batches of N samples, by the layers themselves.

    stacks: the model, and twins of it; each has a part of the batch."""

    def __init__(self, stacks: Sequence[Stack], N: int) -> None:
        self._stacks = stacks
        self._parts = [slice(*ends) for ends in pairwise(i * N // len(stacks) for i in range(len(stacks) + 1))]

    def forward(self, x: Array) -> Array:
        """y, which the next call may write to again."""
        ys = [stack._forward(x[part], None, True)[0] for stack, part in zip(self._stacks, self._parts, strict=True)]
        return np.concatenate(ys)

    def backward(self, dy: Array) -> None:
        """Gradients of the weights into the model's flat_grads, without those of penalties."""
        for stack, part in zip(self._stacks, self._parts, strict=True):
            stack._back_through(dy[part])
        self._end(_inner(self._stacks))

    def _end(self, inner: Inner) -> None:
        """What the parts have found, to the model."""
        grads = self._stacks[0].flat_grads
        for twin in self._stacks[1:]:
            np.add(grads, twin.flat_grads, out=grads)
        for layer, dx in inner:
            layer._dx = dx


class _Recorded(NamedTuple):
    """Arrays and recordings of each part."""

    x: list[Array]
    y: list[Array]
    dy: list[Array]
    there: list[backend.Recording]
    back: list[backend.Recording]
    inner: Inner


class _Way(NamedTuple):
    """What runs recorded passes again."""

    arrays: _Recorded
    there: Callable[[], None]
    back: Callable[[], None]


class Repeated(Passes):
    """The same, recorded, over batches shaped like x; the faster of two ways, on all threads and on one, is taken."""

    def __init__(self, stacks: Sequence[Stack], x: Array) -> None:
        super().__init__(stacks, len(x))
        generators = [layer.rng.bit_generator for layer in stacks[0].layers]
        states = [generator.state for generator in generators]
        self._threads = backend.engine.available()
        self._ways = self._recorded(x)
        for generator, state in zip(generators, states, strict=True):  # as if nothing had been drawn
            generator.state = state
        # parts exchange nothing: on a quiet machine threads pay
        self._payoff, self._way = backend.engine.payoff(sure=len(stacks) > 1), self._ways[1]
        self._choice = self._together = False
        self._y = np.concatenate(self._way.arrays.y)
        self._took = 0.0  # seconds, the forward pass

    def _recorded(self, x: Array) -> dict[int, _Way]:
        """By the number of threads: these share the work of each layer, or the parts where there are several."""
        counts, strands = {1, self._threads}, backend.engine.strands
        if len(self._stacks) == 1:
            found = {count: self._record(x, count) for count in counts}
            return {count: _Way(one, one.there[0].run, one.back[0].run) for count, one in found.items()}
        one = self._record(x, 1)
        there, back = strands(one.there), strands(one.back)
        return {count: _Way(one, partial(there.run, count), partial(back.run, count)) for count in counts}

    def _record(self, x: Array, count: int) -> _Recorded:
        recorder = backend.engine.recorder
        assert recorder is not None
        found = _Recorded([x[part].copy() for part in self._parts], [], [], [], [], [])
        with backend.engine.on_threads(count):
            for stack, own in zip(self._stacks, found.x, strict=True):
                there, back = recorder(), recorder()
                with there:
                    y, _ = stack._forward(own, None, True)
                dy = np.zeros_like(y)
                with back:
                    stack._back_through(dy)
                found.y.append(y)
                found.dy.append(dy)
                found.there.append(there)
                found.back.append(back)
        return found._replace(inner=_inner(self._stacks))

    def forward(self, x: Array) -> Array:
        began = time.perf_counter()
        self._choice = backend.engine.available() == self._threads > 1  # that may change meanwhile
        self._together = self._choice and self._payoff.choose()
        self._way = way = self._ways[self._threads if self._together else 1]
        arrays = way.arrays
        for own, part in zip(arrays.x, self._parts, strict=True):
            np.copyto(own, x[part])
        way.there()
        y = arrays.y[0] if len(arrays.y) == 1 else np.concatenate(arrays.y, out=self._y)
        self._took = time.perf_counter() - began
        return y

    def backward(self, dy: Array) -> None:
        began, (arrays, _, back) = time.perf_counter(), self._way
        for own, part in zip(arrays.dy, self._parts, strict=True):
            np.copyto(own, dy[part])
        back()
        self._end(arrays.inner)
        if self._choice:
            self._payoff.took(self._together, self._took + time.perf_counter() - began, 1)


class Repeats:
    """A model's passes over each shape of batches that it learns from.

    They are of the layers, of the arrays that their weights stand in, and of their options, as all of these were when
    they were made: where any has changed, all are given up. What the weights are does not matter; nor do loss, metrics
    and optimizer, which are no part of them."""

    AFTER = 3  # batches of a shape until there is a recording

    def __init__(self, model: Stack) -> None:
        self._stacks = [model]
        self._params: Array | None = None
        self._changes = 0
        self.forget()

    def forget(self) -> None:
        """Give up all passes, with what they work in."""
        del self._stacks[1:]
        self._seen: dict[tuple[int, ...], int] = {}
        self._found: dict[tuple[int, ...], Passes | None] = {}

    def of(self, x: Array) -> Passes | None:
        """For a batch without a mask; None where the model's own passes are to be run."""
        if self._outdated():
            self.forget()
        found = self._found.get(x.shape)
        return found if isinstance(found, Repeated) else self._next(x)

    def _next(self, x: Array) -> Passes | None:
        """The same, where there is no recording yet."""
        shape, model = x.shape, self._stacks[0]
        seen = self._seen.get(shape, 0) + 1
        recorded = seen == self.AFTER + 1 and backend.engine.recorder is not None
        if shape not in self._found or recorded:
            found, parts = None, parts_of(shape, len(model.flat_params))
            if (parts > 1 or recorded) and self._possible((-(-shape[0] // parts), *shape[1:])):
                while len(self._stacks) < parts:
                    self._stacks.append(model.twin())
                stacks = self._stacks[:parts]
                found = Repeated(stacks, x) if recorded else Passes(stacks, len(x))
            self._found[shape] = found
        self._seen[shape] = seen
        return self._found[shape]

    def _outdated(self) -> bool:
        """Whether the model is another than at the last call. With other layers it has another vector of weights."""
        model = self._stacks[0]
        params, changes = model.flat_params, sum([layer._changes for layer in model.layers])
        if params is self._params and changes == self._changes:
            return False
        self._params, self._changes = params, changes
        return True

    def _possible(self, shape: tuple[int, ...]) -> bool:
        """Whether recordings of such passes, and passes of twins, do what the model's own do."""
        for layer in self._stacks[0].layers:
            # a subclass of the caller's own may do in Python what no recording would
            if "_repeats" not in vars(type(layer)) or not layer._repeats(shape):
                return False
            shape = (shape[0], *layer.compute_output_shape(shape)[1:])
        return True
