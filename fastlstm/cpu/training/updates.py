"""Optimizers' updates: each one pass over a flat vector of parameters, its gradient and the optimizer's own numbers.

The vector is cut into chunks, none of which holds parts of two variables; (begin, end, variable) is a row of `chunks`.
A kernel has three turns: sums of squares of the chunks, where a norm is wanted; what each variable's gradient is to be
multiplied by; the update. Each number is computed by itself and each sum in the order of the chunks, so that
the bits do not depend on the number of workers. What a loop asks of an array that may be empty, LLVM asks once, ahead
of the loop. `UpdateRule` in fastlstm/backend.py says what `factors` and `numbers` are; a bound that is not wanted is
infinite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.options import compiled, kernel
from ..compiler.run import loaded, run
from ..machine import threads

NO_NORM, EACH_NORM, GLOBAL_NORM = range(3)
CHUNK = 4096
_PARALLEL = 200_000  # parameters from where a second thread pays
_Array = NDArray[Any]


@compiled
def sum_of_squares(g: Any) -> Any:
    """In eight sums, by which a vector adds."""
    a = b = c = d = e = f = h = k = 0.0
    whole = len(g) // 8
    for i in range(whole):
        j = 8 * i
        a += np.float64(g[j]) * np.float64(g[j])
        b += np.float64(g[j + 1]) * np.float64(g[j + 1])
        c += np.float64(g[j + 2]) * np.float64(g[j + 2])
        d += np.float64(g[j + 3]) * np.float64(g[j + 3])
        e += np.float64(g[j + 4]) * np.float64(g[j + 4])
        f += np.float64(g[j + 5]) * np.float64(g[j + 5])
        h += np.float64(g[j + 6]) * np.float64(g[j + 6])
        k += np.float64(g[j + 7]) * np.float64(g[j + 7])
    for i in range(8 * whole, len(g)):
        a += np.float64(g[i]) * np.float64(g[i])
    return ((a + b) + (c + d)) + ((e + f) + (h + k))


@compiled
def scale_to(norm_squared: Any, limit: Any) -> Any:
    """What brings a norm down to the limit; NaN where the norm is no number."""
    norm = np.sqrt(norm_squared)
    return 1.0 if norm <= limit else limit / norm + (norm - norm)


@compiled
def set_factors(clip: Any, limit: Any, chunks: Any, squares: Any, factors: Any) -> None:
    """The scale of each variable's gradient, from the chunks' squares."""
    if clip == GLOBAL_NORM:
        total = 0.0
        for c in range(len(chunks)):
            total += squares[c]
        for v in range(len(factors)):
            factors[v, 0] = scale_to(total, limit)
        return
    c = 0
    for v in range(len(factors)):
        total = 0.0
        while c < len(chunks) and chunks[c, 2] == v:
            total += squares[c]
            c += 1
        factors[v, 0] = scale_to(total, limit)


@compiled
def norms(first: Any, last: Any, w: Any, workers: Any, arguments: Any) -> Any:
    """The first two turns, where they are among these; whether the update is too. arguments: skip, how many turns are
    left out, and what set_factors takes."""
    skip, clip, chunks, factors, squares, numbers, grads = arguments
    for turn in range(first + skip, last + skip):
        if turn == 0:
            for c in range(w, len(chunks), workers):
                squares[c] = sum_of_squares(grads[chunks[c, 0] : chunks[c, 1]])
        elif turn == 1 and w == 0:
            set_factors(clip, np.float64(numbers[1]), chunks, squares, factors)
    return last + skip == 3


@compiled
def bounded(g: Any, scale: Any, bound: Any) -> Any:
    """A gradient as clipped; NaN stays NaN."""
    g = g * scale
    g = bound if g > bound else g
    return -bound if g < -bound else g


@kernel
def sgd(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """numbers: ..., momentum, whether Nesterov's. No momentum: an empty array."""
    arguments = loaded(pointer)
    chunks, factors, _, numbers, grads, params, velocity = arguments[2:]
    rate, bound, momentum, nesterov = numbers[0], numbers[2], numbers[3], numbers[4] != 0
    if not norms(first, last, w, workers, arguments[:7]):
        return
    for c in range(w, len(chunks), workers):
        a, b, scale, decay = chunks[c, 0], chunks[c, 1], factors[chunks[c, 2], 0], factors[chunks[c, 2], 1]
        p, g = params[a:b], grads[a:b]
        if len(velocity) == 0:
            for i in range(len(p)):
                p[i] = p[i] - p[i] * decay * rate - bounded(g[i], scale, bound) * rate
        else:
            v = velocity[a:b]
            for i in range(len(p)):
                step = bounded(g[i], scale, bound) * rate
                v[i] = v[i] * momentum - step
                p[i] = p[i] - p[i] * decay * rate + (v[i] * momentum - step if nesterov else v[i])


@kernel
def rmsprop(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """numbers: ..., rho, 1 - rho, momentum, epsilon. Not centered, no momentum: empty arrays."""
    arguments = loaded(pointer)
    chunks, factors, _, numbers, grads, params, velocity, average, momentums = arguments[2:]
    rate, bound, rho, rest, momentum, epsilon = numbers[0], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
    if not norms(first, last, w, workers, arguments[:7]):
        return
    for c in range(w, len(chunks), workers):
        a, b, scale, decay = chunks[c, 0], chunks[c, 1], factors[chunks[c, 2], 0], factors[chunks[c, 2], 1]
        p, g, v, mean, m = params[a:b], grads[a:b], velocity[a:b], average[a:b], momentums[a:b]
        for i in range(len(p)):
            x = bounded(g[i], scale, bound)
            v[i] = rho * v[i] + rest * (x * x)
            spread = v[i]
            if len(average) > 0:
                mean[i] = rho * mean[i] + rest * x
                spread = spread - mean[i] * mean[i]
            step = rate * x / np.sqrt(spread + epsilon)
            if len(momentums) > 0:
                m[i] = momentum * m[i] + step
                step = m[i]
            p[i] = p[i] - p[i] * decay * rate - step


@kernel
def adam(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """numbers: ..., 1 - beta_1, 1 - beta_2, epsilon, the rate corrected for the means' beginning at 0. Without
    amsgrad: an empty array."""
    arguments = loaded(pointer)
    chunks, factors, _, numbers, grads, params, momentums, velocity, largest = arguments[2:]
    rate, bound, rest_1, rest_2, epsilon, alpha = numbers[0], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]
    if not norms(first, last, w, workers, arguments[:7]):
        return
    for c in range(w, len(chunks), workers):
        a, b, scale, decay = chunks[c, 0], chunks[c, 1], factors[chunks[c, 2], 0], factors[chunks[c, 2], 1]
        p, g, m, v, top = params[a:b], grads[a:b], momentums[a:b], velocity[a:b], largest[a:b]
        for i in range(len(p)):
            x = bounded(g[i], scale, bound)
            m[i] = m[i] + (x - m[i]) * rest_1
            v[i] = v[i] + (x * x - v[i]) * rest_2
            spread = v[i]
            if len(largest) > 0:
                top[i] = spread if not spread <= top[i] else top[i]
                spread = top[i]
            p[i] = p[i] - p[i] * decay * rate - m[i] * alpha / (np.sqrt(spread) + epsilon)


def cut(begins: list[int], ends: list[int]) -> _Array:
    rows = [
        (at, min(at + CHUNK, end), variable)
        for variable, (begin, end) in enumerate(zip(begins, ends, strict=True))
        for at in range(begin, end, CHUNK)
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


_KERNELS = {"sgd": sgd, "rmsprop": rmsprop, "adam": adam}
_CLIPS = {"none": NO_NORM, "each": EACH_NORM, "global": GLOBAL_NORM}


def update(rule: tuple[str, str, _Array, _Array, _Array, _Array], params: _Array, grads: _Array,
           own: Sequence[_Array]) -> None:  # fmt: skip
    name, clipped, chunks, factors, squares, numbers = rule
    clip = _CLIPS[clipped]
    skip = 2 if clip == NO_NORM else 0
    workers = threads.workers_for(len(chunks), len(params) >= _PARALLEL)
    arguments = skip, clip, chunks, factors, squares, numbers, grads, params, *own
    run(_KERNELS[name], params.dtype, 3 - skip, workers, arguments)
