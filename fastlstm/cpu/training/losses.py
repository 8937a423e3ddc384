"""Losses: values and gradients in one pass over the predictions.

Both kernels take predictions p of rows x K numbers and targets of the same layout, share the rows among the workers,
and write into values a number a row and, behind the rows, their sum in the rows' order, whatever the number of workers.
A row of weight 0 is not looked at. A target outside of its range makes its row NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.options import compiled, inlined, kernel
from ..compiler.run import loaded, run
from ..machine import threads
from ..machine.memory import as_flat
from ..vectors.rows import clear

BINARY, BINARY_LOGITS, SQUARED, ABSOLUTE, HUBER, CATEGORICAL, CATEGORICAL_LOGITS = range(7)
_KINDS = {
    "binary": BINARY, "binary_logits": BINARY_LOGITS, "squared": SQUARED, "absolute": ABSOLUTE, "huber": HUBER,
    "categorical": CATEGORICAL, "categorical_logits": CATEGORICAL_LOGITS,
}  # fmt: skip
_PARALLEL = 20_000  # predictions from where a second thread pays
_Array = NDArray[Any]


@compiled
def add_up(values: Any) -> None:
    """The sum of all but the last, one after the other, into the last."""
    total = 0.0
    for r in range(len(values) - 1):
        total += values[r]
    values[len(values) - 1] = total


@kernel
def pointwise(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """Losses that are a mean over K numbers that do not depend on each other. Two turns: rows, sum.

    numbers: the bounds that probabilities are clipped to, label smoothing, Huber's delta. Gradients are of the sum of
    weighted values times share."""
    kind, t, p, weights, K, numbers, share, values, dy = loaded(pointer)
    rows = len(values) - 1
    low, high, smoothing, delta = numbers[0], numbers[1], np.float64(numbers[2]), np.float64(numbers[3])
    for turn in range(first, last):
        if turn == 1:
            if w == 0:
                add_up(values)
            continue
        for r in range(rows * w // workers, rows * (w + 1) // workers):
            weight = np.float64(weights[r]) if len(weights) > 0 else 1.0
            total = 0.0
            if weight == 0.0:
                clear(dy, r * K, K)
                values[r] = 0.0
                continue
            for i in range(r * K, r * K + K):
                label, x = np.float64(t[i]), np.float64(p[i])
                if kind <= BINARY_LOGITS:
                    if not 0.0 <= label <= 1.0:
                        total = np.nan
                    label = label * (1.0 - smoothing) + 0.5 * smoothing
                    if kind == BINARY:
                        clipped = x
                        if p[i] < low:
                            clipped = np.float64(low)
                        elif p[i] > high:
                            clipped = np.float64(high)
                        value = 0.0
                        if label != 0.0:
                            value -= label * math.log(clipped)
                        if label != 1.0:
                            value -= (1.0 - label) * math.log(1.0 - clipped)
                        slope = (clipped - label) / (clipped * (1.0 - clipped))
                        if clipped != x and x == x:
                            slope = 0.0
                    else:
                        e = math.exp(-abs(x))  # at most 1, so nothing overflows
                        value = max(x, 0.0) - x * label + math.log1p(e)
                        slope = (1.0 if x >= 0 else e) / (1.0 + e) - label
                elif kind == SQUARED:
                    value = (x - label) * (x - label)
                    slope = 2.0 * (x - label)
                elif kind == ABSOLUTE:
                    value = abs(x - label)
                    slope = math.copysign(1.0, x - label) if value > 0.0 else x - label  # 0, or NaN
                else:
                    e = x - label
                    if abs(e) > delta:
                        value = delta * abs(e) - 0.5 * delta * delta
                        slope = math.copysign(delta, e)
                    else:
                        value = 0.5 * e * e
                        slope = e
                total += value
                dy[i] = share * weight * slope / K
            values[r] = weight * total / K


@inlined
def target(sparse: Any, labels: Any, t: Any, r: Any, k: Any, K: Any) -> Any:
    """What class k of row r is to be."""
    if sparse:
        return 1.0 if labels[r] == k else 0.0
    return np.float64(t[r * K + k])


@kernel
def categorical(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """Cross-entropy of K classes. Two turns: rows, sum.

    labels: a class a row; where that is empty, t holds a weight a class. A label equal to `ignored` makes its row one
    of weight 0."""
    kind, t, labels, ignored, p, weights, K, numbers, share, values, dy = loaded(pointer)
    rows = len(values) - 1
    low, high, smoothing = np.float64(numbers[0]), np.float64(numbers[1]), np.float64(numbers[2])
    sparse = len(labels) > 0
    for turn in range(first, last):
        if turn == 1:
            if w == 0:
                add_up(values)
            continue
        for r in range(rows * w // workers, rows * (w + 1) // workers):
            weight = np.float64(weights[r]) if len(weights) > 0 else 1.0
            at = r * K
            if weight == 0.0 or (sparse and labels[r] == ignored):
                clear(dy, at, K)
                values[r] = 0.0
                continue
            value = 0.0 if not sparse or 0 <= labels[r] < K else np.nan
            mass = 0.0  # sum of the targets: 1, but for odd ones
            for k in range(K):
                label = target(sparse, labels, t, r, k, K)
                if not 0.0 <= label <= 1.0:
                    value = np.nan
                mass += label * (1.0 - smoothing) + smoothing / K
            scale = 0.0
            if kind == CATEGORICAL_LOGITS:
                top = np.float64(p[at])
                for i in range(at, at + K):
                    top = max(top, np.float64(p[i]))
                for i in range(at, at + K):
                    e = math.exp(np.float64(p[i]) - top)  # at most 1, so nothing overflows
                    scale += e
                    dy[i] = e
                top += math.log(scale)
                for k in range(K):
                    i = at + k
                    label = target(sparse, labels, t, r, k, K) * (1.0 - smoothing) + smoothing / K
                    if label != 0.0:
                        value += label * (top - np.float64(p[i]))
                    dy[i] = (mass * (np.float64(dy[i]) / scale) - label) * (share * weight)
            else:
                for i in range(at, at + K):
                    scale += np.float64(p[i])
                inner = 0.0
                for k in range(K):
                    i = at + k
                    label = target(sparse, labels, t, r, k, K) * (1.0 - smoothing) + smoothing / K
                    part = np.float64(p[i]) / scale
                    slope = 0.0
                    if label != 0.0:
                        clipped = low if part < low else (high if part > high else part)
                        value -= label * math.log(clipped)
                        if clipped == part:
                            slope = -label / clipped
                    inner += slope * part
                    dy[i] = slope
                for i in range(at, at + K):
                    dy[i] = (np.float64(dy[i]) - inner) / scale * (share * weight)
            values[r] = weight * value


def run_pointwise(rule: tuple[str, _Array, float], t: _Array, p: _Array, weights: _Array, values: _Array,
                  dy: _Array) -> None:  # fmt: skip
    _run(pointwise, rule, (t,), p, weights, values, dy)


def run_categorical(rule: tuple[str, _Array, float], t: _Array, labels: _Array, ignored: int, p: _Array,
                    weights: _Array, values: _Array, dy: _Array) -> None:  # fmt: skip
    _run(categorical, rule, (t, labels, ignored), p, weights, values, dy)


def _run(kernel: Any, rule: tuple[str, _Array, float], targets: tuple[Any, ...], p: _Array, weights: _Array,
         values: _Array, dy: _Array) -> None:  # fmt: skip
    name, numbers, share = rule
    given = [as_flat(one) if isinstance(one, np.ndarray) else one for one in (*targets, p, weights)]
    arguments = _KINDS[name], *given, p.shape[-1], numbers, share, values, dy
    run(kernel, p.dtype, 2, threads.workers_for(len(values) - 1, p.size >= _PARALLEL), arguments)
