"""A second engine behind the door: `fastlstm.reference`, and NumPy for what training needs besides.

Weights are packed as W, and all else in one vector. A tape holds the initial state alone: the way back computes the
forward pass once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastlstm import reference
from fastlstm.backend import HELD, Buffers, Kept, LossRule, Packed, Pass, UpdateRule
from fastlstm.cells.phases import Cell
from fastlstm.cells.table import CELLS, cell_named, cell_with
from fastlstm.nn.activations import elu, exponential, linear, relu, sigmoid, softmax, softplus, tanh
from fastlstm.params import ROWS, AnyState, shapes
from fastlstm.params import sizes as sizes_of_record

Array = np.ndarray
MARK = np.dtype(np.complex128)  # of `layout`; none of the other engine's
KNOWN = list(CELLS)  # and cells of one's own, as they come: a cell's place here is the length of `layout`


def number_of(cell: Cell) -> int:
    if cell not in KNOWN:
        KNOWN.append(cell)
    return KNOWN.index(cell)


# weights


def pack(params: Any) -> Packed:
    _, H, P = sizes_of_record(params)
    layout = np.empty((0, number_of(cell_with(type(params)))), MARK)
    rest = np.empty(sum(array.size for array in params[1:]), params.W.dtype)
    packed = Packed(np.empty(params.W.shape, params.W.dtype), H, P, layout, rest)
    pack_into(params, packed)
    return packed


def pack_into(params: Any, packed: Packed) -> None:
    packed.panels[...] = params.W
    packed.second[...] = np.concatenate([array.ravel() for array in params[1:]])


def packing(params: Any, packed: Packed) -> Callable[[], None]:
    return lambda: pack_into(params, packed)


def unpack(packed: Packed) -> Any:
    record, (D, H, P) = cell_in(packed).record, sizes(packed)
    arrays, at = [packed.panels.copy()], 0
    for shape in list(shapes(record, D, H, P).values())[1:]:
        size = int(np.prod(shape))
        arrays.append(packed.second[at : at + size].reshape(shape).copy())
        at += size
    return record(*arrays)


def sizes(packed: Packed) -> tuple[int, int, int]:
    return packed.panels.shape[0], packed.hidden_size, packed.output_size


def cell_with_mark(layout: Any) -> Cell | None:
    known = isinstance(layout, np.ndarray) and layout.ndim == 2 and layout.dtype == MARK and layout.size == 0
    return KNOWN[layout.shape[1]] if known and layout.shape[1] < len(KNOWN) else None


def cell_in(packed: Packed) -> Cell:
    return KNOWN[packed.layout.shape[1]]


def fits(packed: Packed) -> bool:
    panels, H, P, layout, second = packed
    cell = cell_with_mark(layout)
    if cell is None or panels.ndim != 2 or panels.dtype not in (np.float32, np.float64) or not 1 <= P <= H:
        return False
    W, *rest = shapes(cell.record, len(panels), H, P).values()
    return panels.shape == W and second is not None and second.shape == (sum(int(np.prod(shape)) for shape in rest),)


# passes


@np.errstate(all="ignore")
def forward(*, packed: Packed, batch: Any, state: AnyState, y: Array, column: int = 0, cells: Array | None = None,
            kept: Kept | None = None, standing: Any = None) -> None:  # fmt: skip
    if kept is not None:
        for c in state[1:]:
            kept.cells[0] = c
    call = reference.forward if cells is None else reference.forward_cells
    found, last, *c_of_steps = call(batch.x, unpack(packed), state, **_options(batch))
    y[:, :, column : column + packed.output_size] = found
    for mine, new in zip(state, last, strict=True):
        mine[...] = new
    for c in c_of_steps:
        cells[...] = c


@np.errstate(all="ignore")
def backward(
    *, done: Pass, dy: Array | None, dstate: AnyState, dx: Array, column: int = 0, standing: Any = None
) -> Any:
    _, _, tape = reference.forward_train(done.batch.x, unpack(done.packed), _begin(done), **_options(done.batch))
    grads = reference.backward(
        tape, None if dy is None else dy[:, :, column : column + done.packed.output_size], dstate
    )
    dx += grads.x
    for mine, new in zip(dstate, grads.state, strict=True):
        mine[...] = new
    if standing is None:
        return grads.params
    for mine, new in zip(standing.gradients, grads.params, strict=True):
        mine[...] = new
    return standing.gradients


def _options(batch: Any) -> dict[str, Any]:
    _, lengths, reset, mask, reverse = batch
    return {"lengths": lengths, "reset": reset, "h_mask": mask, "reverse": reverse}


def _begin(done: Pass) -> AnyState:
    """The initial state, of h alone where the cell has no c."""
    record = ROWS[cell_in(done.packed).record].state
    return record(*(done.h, done.kept.cells[0])[: len(record._fields)])


def cells(done: Pass) -> Array:
    return reference.forward_cells(done.batch.x, unpack(done.packed), _begin(done), **_options(done.batch))[2]


def kept_shapes(name: str, itemsize: int, H: int, N: int, T: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    number = number_of(cell_named(name))
    return (T, N, number + 1, 2), (1, N, H)


def keep(packed: Packed, N: int, T: int) -> Kept:
    forms = kept_shapes(cell_in(packed).name, packed.panels.itemsize, packed.hidden_size, N, T)
    return Kept(*(empty(form, packed.panels.dtype) for form in forms))


class Standing(NamedTuple):
    gradients: Any
    kept: Kept | None = None


def standing(packed: Packed, N: int, T: int, gradients: Any) -> Standing:
    return Standing(gradients)


# one step, and callers' own memory


def quick_step(x: Array, packed: Packed, state: AnyState) -> bool:
    return False


@np.errstate(all="ignore")
def step(x: Array, packed: Packed, state: AnyState) -> bool:
    rows = x.reshape(-1, 1, x.shape[-1])
    _, last = reference.forward(rows, unpack(packed), type(state)(*(a.reshape(len(rows), -1) for a in state)))
    for mine, new in zip(state, last, strict=True):
        mine[...] = new.reshape(mine.shape)
    return True


def make_tape(packed: Packed, N: int, T: int, *, first: bool) -> Buffers:
    nothing = dict.fromkeys(Buffers._fields, np.zeros(0))
    tape = Buffers(**nothing | {"layout": packed.layout, "hidden_size": packed.hidden_size,
                                "output_size": packed.output_size})  # fmt: skip
    arrays = {name: np.zeros(shape, dtype) for name, shape, dtype in tape_arrays(packed, tape, N, T, first=first)}
    return tape._replace(**arrays)


def tape_arrays(packed: Packed, tape: Buffers, N: int, T: int, *, first: bool) -> list[tuple[str, Any, np.dtype[Any]]]:
    (D, H, P), dtype = sizes(packed), packed.panels.dtype
    gates, cells = kept_shapes(cell_in(packed).name, dtype.itemsize, H, N, T)
    forms = {"x": (N, T, D), "h": (N, P), "gates": gates, "cells": cells, "dx": (0, 0, 0) if first else (N, T, D)}
    return [(name, form, dtype) for name, form in forms.items()]


def standing_in(tape: Buffers, gradients: Any) -> Standing:
    return Standing(gradients)


def callable_in_compiled_code(function: Any) -> None:
    pass


# memory, threads, and what is said


def empty(shape: Any, dtype: Any) -> Array:
    return np.full(shape, np.nan if np.issubdtype(dtype, np.floating) else 0, dtype)


zeros = np.zeros
recorder = strands = None


def recording() -> None:
    return None


def available() -> int:
    return 1


def on_threads(count: int) -> Any:
    return contextlib.nullcontext()


def payoff() -> Any:
    raise NotImplementedError


def facts() -> dict[str, object]:
    return {"engine": "fastlstm.reference"}


def prepare() -> tuple[()]:
    return ()


# training


KINDS = {one.__name__: one for one in (linear, relu, sigmoid, tanh, softmax, softplus, elu, exponential)}


class training:
    """Kernels of layers, losses and optimizers."""

    ACTIVATIONS = KINDS

    @staticmethod
    def dense_forward(x: Array, W: Array, b: Array | None, kind: Any, y: Array) -> None:
        y[...] = kind(x @ W + (0 if b is None else b))

    @staticmethod
    def dense_backward(x: Array, W: Array, y: Array, dy: Array, kind: Any, dW: Array, db: Array | None,
                       dx: Array | None) -> None:  # fmt: skip
        y, dy = y.reshape(len(x), -1), dy.reshape(len(x), -1)
        slopes = {
            "linear": lambda: 1, "relu": lambda: y > 0, "sigmoid": lambda: y * (1 - y), "tanh": lambda: 1 - y * y,
            "softplus": lambda: -np.expm1(-y), "elu": lambda: np.where(y > 0, 1, y + 1), "exponential": lambda: y,
        }  # fmt: skip
        if kind is softmax:
            dz = y * (dy - (dy * y).sum(axis=1, keepdims=True))
        else:
            dz = dy * slopes[kind.__name__]()
        dW[...] = x.T @ dz
        if db is not None:
            db[...] = dz.sum(axis=0)
        if dx is not None:
            dx[...] = dz @ W.T

    @staticmethod
    @np.errstate(all="ignore")
    def pointwise(rule: LossRule, t: Array, p: Array, weights: Array, values: Array, dy: Array) -> None:
        K, (low, high, smoothing, delta) = p.shape[-1], rule.numbers
        t, p = (a.reshape(-1, K).astype(np.float64) for a in (t, p))
        if rule.name.startswith("binary"):
            wrong = ~((t >= 0) & (t <= 1))
            t = t * (1 - smoothing) + smoothing / 2
            if rule.name == "binary":
                q = np.clip(p, low, high)
                value = -t * np.log(q) - (1 - t) * np.log(1 - q)
                slope = np.where((p < low) | (p > high), 0, (q - t) / (q * (1 - q)))
            else:
                value = np.maximum(p, 0) - p * t + np.log1p(np.exp(-abs(p)))
                slope = np.array(sigmoid(p)) - t
            value[wrong] = np.nan
        else:
            e = p - t
            value, slope = {
                "squared": lambda: (e * e, 2 * e),
                "absolute": lambda: (abs(e), np.sign(e)),
                "huber": lambda: (np.where(abs(e) > delta, delta * (abs(e) - delta / 2), e * e / 2),
                                  np.clip(e, -delta, delta)),
            }[rule.name]()  # fmt: skip
        _give(value.mean(axis=1), slope / K, rule.share, weights, values, dy)

    @staticmethod
    @np.errstate(all="ignore")
    def categorical(rule: LossRule, t: Array, labels: Array, ignored: int, p: Array, weights: Array, values: Array,
                    dy: Array) -> None:  # fmt: skip
        K, (low, high, smoothing, _) = p.shape[-1], rule.numbers.astype(np.float64)
        p = p.reshape(-1, K).astype(np.float64)
        if labels.size:
            t = (labels[:, None] == np.arange(K)).astype(np.float64)
            wrong = (labels < 0) | (labels >= K)
        else:
            t = t.reshape(-1, K).astype(np.float64)
            wrong = ~((t >= 0) & (t <= 1)).all(axis=1)
        t = t * (1 - smoothing) + smoothing / K
        if rule.name == "categorical_logits":
            part = softmax(p)
            above = p - p.max(axis=1, keepdims=True)
            value = -(t * (above - np.log(np.exp(above).sum(axis=1, keepdims=True)))).sum(axis=1)
            slope = t.sum(axis=1, keepdims=True) * part - t
        else:
            total = p.sum(axis=1, keepdims=True)
            part = p / total
            q = np.clip(part, low, high)
            value = -(t * np.log(q)).sum(axis=1)
            slope = np.where((part < low) | (part > high), 0, -t / q)
            slope = (slope - (slope * part).sum(axis=1, keepdims=True)) / total
        value[wrong] = np.nan
        if labels.size:
            weights = np.where(labels == ignored, 0, weights if weights.size else 1)
        _give(value, slope, rule.share, weights, values, dy)

    @staticmethod
    def cut(begins: list[int], ends: list[int]) -> Array:
        rows = [(begin, end, n) for n, (begin, end) in enumerate(zip(begins, ends, strict=True)) if end > begin]
        return np.array(rows, np.int64).reshape(-1, 3)

    @staticmethod
    @np.errstate(all="ignore")
    def update(rule: UpdateRule, params: Array, grads: Array, own: Any) -> None:
        _, clip, chunks, factors, _, numbers = rule
        rate, norm, bound, *rest = numbers
        squares = [(grads[a:b].astype(np.float64) ** 2).sum() for a, b, _ in chunks]
        for (a, b, variable), square in zip(chunks, squares, strict=True):
            total = np.sqrt(sum(squares) if clip == "global" else square)
            scale = (
                1 if clip == "none" or total <= norm else norm / total + (total - total)
            )  # NaN where it is no number
            g, p = np.clip(grads[a:b] * scale, -bound, bound).astype(params.dtype), params[a:b]
            p -= p * factors[variable, 1] * rate + _step(rule.name, g, rate, rest, [one[a:b] for one in own])

    @staticmethod
    def drop(x: Array, draws: Array, rate: float, y: Array) -> None:
        y[...] = np.where(draws[:, None] >= np.float32(rate), x * x.dtype.type(1 / (1 - rate)), 0)

    @staticmethod
    def expand(z: Array, h: Array, where: Array, y: Array) -> None:
        for n, t in np.ndindex(where.shape):
            y[n, t] = z[n, where[n, t]] if where[n, t] >= 0 else h[n] if where[n, t] == HELD else 0

    @staticmethod
    def collect(dy: Array, where: Array, dz: Array, dh: Array) -> None:
        for n, t in np.ndindex(where.shape):
            if where[n, t] >= 0:
                dz[n, where[n, t]] += dy[n, t]
            elif where[n, t] == HELD:
                dh[n] += dy[n, t]

    @staticmethod
    def take(table: Array, numbers: Array, y: Array) -> None:
        y[...] = table[numbers]

    @staticmethod
    def scatter(numbers: Array, dy: Array, sums: Array) -> None:
        sums[...] = 0
        np.add.at(sums, numbers, dy)

    zeros = staticmethod(np.zeros)
    copied = staticmethod(np.copy)


def _give(value: Array, slope: Array, share: float, weights: Array, values: Array, dy: Array) -> None:
    """Weighted values, their sum, and the gradient; a row of weight 0 is not looked at."""
    w = weights.astype(np.float64) if weights.size else np.ones(len(value))
    values[:-1] = np.where(w == 0, 0, w * value)
    values[-1] = values[:-1].sum()
    dy[...] = np.where(w[:, None] == 0, 0, slope * share * w[:, None]).ravel()


def _step(name: str, g: Array, rate: float, numbers: list[float], own: list[Array]) -> Array:
    """What an update takes off the weights; an empty slot is one that is not used."""
    if name == "sgd":
        (momentum, nesterov), (v,) = numbers, own
        if not v.size:
            return g * rate
        v[...] = v * momentum - g * rate
        return g * rate - v * momentum if nesterov else -v
    if name == "rmsprop":
        (rho, rest, momentum, epsilon), (v, mean, m) = numbers, own
        v[...] = rho * v + rest * g * g
        spread = v
        if mean.size:
            mean[...] = rho * mean + rest * g
            spread = v - mean * mean
        step = rate * g / np.sqrt(spread + epsilon)
        if m.size:
            m[...] = momentum * m + step
            return m
        return step
    (rest_1, rest_2, epsilon, alpha), (m, v, top) = numbers, own
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    if top.size:
        top[...] = np.maximum(top, v)
    return m * alpha / (np.sqrt(top if top.size else v) + epsilon)
