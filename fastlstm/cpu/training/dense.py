"""A dense layer, y = f(x @ W + b), and its gradients; threads split tiles of what comes out.

Letters: M rows, D inputs, U outputs. Sums over D, U and M run in a fixed order (over M in pieces of 128 rows), so that
no bit depends on the number of threads, and none of a row of y or dx on the other rows.
"""

from __future__ import annotations

import functools
import math
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.options import compiled, kernel
from ..compiler.run import loaded, run
from ..lstm import plans
from ..lstm.sums import PIECE
from ..machine import memory
from ..vectors.rows import clear, copy, sigmoid_row, tanh_row
from ..vectors.target import BLOCK, TILE_ROWS, lanes
from ..vectors.tiles import outer, product_of
from ..vectors.view import view
from ..vectors.views import lanes_of

LINEAR, RELU, SIGMOID, TANH, SOFTMAX, SOFTPLUS, ELU, EXPONENTIAL = range(8)
KINDS = {
    "linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH, "softmax": SOFTMAX, "softplus": SOFTPLUS,
    "elu": ELU, "exponential": EXPONENTIAL,
}  # fmt: skip
"""Names of activations, and the numbers by which the kernels know them."""
ROWS = 4 * TILE_ROWS  # rows that a worker takes at once
BLOCK_ROWS = 12 * PIECE  # rows of a block of the backward pass: its room does not grow with M
_Array = NDArray[Any]


@compiled
def activate(kind: Any, z: Any, zo: Any, count: Any) -> None:
    """f of a whole row's padded numbers, in place; count is a multiple of the lanes. Softmax comes later."""
    zero = z.dtype.type(0)
    if kind == SIGMOID:
        sigmoid_row(z, zo, z, zo, count)
    elif kind == TANH:
        tanh_row(z, zo, z, zo, count)
    elif kind == RELU:
        for j in range(zo, zo + count):
            z[j] = zero if z[j] < zero else z[j]  # a NaN stays one
    elif kind == SOFTPLUS:
        for j in range(zo, zo + count):
            z[j] = max(z[j], zero) + math.log1p(math.exp(-abs(z[j])))
    elif kind == ELU:
        for j in range(zo, zo + count):
            z[j] = math.expm1(z[j]) if z[j] < zero else z[j]
    elif kind == EXPONENTIAL:
        for j in range(zo, zo + count):
            z[j] = math.exp(z[j])


@compiled
def softmax(y: Any, yo: Any, U: Any) -> None:
    """One row, in place; a NaN in it makes all of it NaN."""
    top = y[yo]
    for j in range(yo + 1, yo + U):
        top = max(top, y[j])
    total = 0.0
    for j in range(yo, yo + U):
        y[j] = math.exp(y[j] - top)
        total += y[j]
    for j in range(yo, yo + U):
        y[j] /= total


@compiled
def before_activation(kind: Any, y: Any, dy: Any, at: Any, U: Any, dz: Any, to: Any) -> None:
    """The gradient of f's argument, a row, from f's value and its gradient."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    if kind == LINEAR:
        copy(dz, to, dy, at, U)
    elif kind == SOFTMAX:
        inner = 0.0
        for j in range(at, at + U):
            inner += np.float64(dy[j]) * y[j]
        for j in range(U):
            dz[to + j] = y[at + j] * (dy[at + j] - inner)
    else:
        for j in range(U):
            value, slope = y[at + j], dy[at + j]
            if kind == SIGMOID:
                slope *= value * (one - value)
            elif kind == TANH:
                slope *= one - value * value
            elif kind == SOFTPLUS:
                slope *= -math.expm1(-value)
            elif kind == EXPONENTIAL:
                slope *= value
            elif value <= zero:
                slope *= value + one if kind == ELU else zero
            dz[to + j] = slope


@kernel
def dense(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """y (M, U) = f(x @ W + b). Two turns: weights into panels of [b, W], then rows. b may be empty: zeros.

    Arrays are flat; panels: (panels of 4 lanes' columns, 1 + D, 4 lanes); rows: room for a worker's rows of a panel.
    """
    x, M, D, W, U, b, kind, y, panels, rows = loaded(pointer)
    L = lanes_of(panels)
    width = BLOCK * L
    count = (U + width - 1) // width
    for turn in range(first, last):
        if turn == 0:
            for job in range(w, count * (1 + D), workers):
                q, k = job // (1 + D), job % (1 + D)
                columns = min(width, U - q * width)
                to = job * width
                clear(panels, to + columns, width - columns)
                if k > 0:
                    copy(panels, to, W, (k - 1) * U + q * width, columns)
                elif len(b) > 0:
                    copy(panels, to, b, q * width, columns)
                else:
                    clear(panels, to, columns)
            continue
        own = w * ROWS * width
        r0 = w * ROWS
        while r0 < M:
            some = min(ROWS, M - r0)
            for q in range(count):
                columns = min(width, U - q * width)
                used = columns if columns > width // 2 else width // 2  # what product_of fills in
                used = (used + L - 1) // L * L
                bias = q * (1 + D) * width
                product_of(columns, view(x, r0 * D, D, 0), some, D, view(panels, bias + width, 0, 0),
                           view(panels, bias, 0, 0), view(rows, own, width, 0))  # fmt: skip
                for r in range(some):
                    activate(kind, rows, own + r * width, used)
                    copy(y, (r0 + r) * U + q * width, rows, own + r * width, columns)
            if kind == SOFTMAX:
                for r in range(some):
                    softmax(y, (r0 + r) * U, U)
            r0 += workers * ROWS


@kernel
def dense_backward(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """dW, db and, where it is not empty, dx, from dy and y. One turn, then two for each block of rows.

    wt: panels of W.T; dz (block, ldz): gradients before f; tail (block, TILE_ROWS): what x has behind its last whole
    tile of columns, and a 1, under which db appears; dp: sums in tiles of rows of [W, b].
    """
    x, M, D, W, U, y, dy, kind, wt, dz, ldz, tail, dp, rows, zeros, dW, db, dx = loaded(pointer)
    L = lanes_of(wt)
    width = BLOCK * L
    whole, rest = D // TILE_ROWS, D % TILE_ROWS
    tiles, panels = whole + 1, ldz // width
    for turn in range(first, last):
        if turn == 0:
            begin, end = len(dp) * w // workers, len(dp) * (w + 1) // workers
            clear(dp, begin, end - begin)
            if len(dx) > 0:
                for job in range(w, (D + width - 1) // width * U, workers):
                    q, u = job // U, job % U
                    for j in range(width):
                        column = q * width + j
                        wt[job * width + j] = W[column * U + u] if column < D else 0
            continue
        m0 = (turn - 1) // 2 * BLOCK_ROWS
        some = min(BLOCK_ROWS, M - m0)
        if (turn - 1) % 2 == 0:
            for m in range(some * w // workers, some * (w + 1) // workers):
                before_activation(kind, y, dy, (m0 + m) * U, U, dz, m * ldz)
                clear(dz, m * ldz + U, ldz - U)
                for k in range(rest):
                    tail[m * TILE_ROWS + k] = x[(m0 + m) * D + whole * TILE_ROWS + k]
                for k in range(rest, TILE_ROWS):
                    tail[m * TILE_ROWS + k] = 1 if k == rest else 0
            continue
        if len(dx) > 0:
            own = w * ROWS * width
            for q in range((D + width - 1) // width):
                columns = min(width, D - q * width)
                r0 = w * ROWS
                while r0 < some:
                    group = min(ROWS, some - r0)
                    product_of(columns, view(dz, r0 * ldz, ldz, 0), group, U, view(wt, q * U * width, 0, 0),
                               view(zeros, 0, 0, 0), view(rows, own, width, 0))  # fmt: skip
                    for r in range(group):
                        copy(dx, (m0 + r0 + r) * D + q * width, rows, own + r * width, columns)
                    r0 += workers * ROWS
        for job in range(w, panels * tiles, workers):
            q, k = job // tiles, job % tiles
            to = job * TILE_ROWS * width
            m = 0
            while m < some:
                depth = min(PIECE, some - m)
                source = view(x, (m0 + m) * D + k * TILE_ROWS, D, 0)
                if k == whole:
                    source = view(tail, m * TILE_ROWS, TILE_ROWS, 0)
                outer(source, depth, view(dz, m * ldz + q * width, ldz, 0), view(dp, to, width, 0))
                m += PIECE
            if m0 + some == M:
                columns = min(width, U - q * width)
                for r in range(TILE_ROWS if k < whole else rest):
                    copy(dW, (k * TILE_ROWS + r) * U + q * width, dp, to + r * width, columns)
                if k == whole and len(db) > 0:
                    copy(db, q * width, dp, to + rest * width, columns)


@functools.cache
def _zeros(width: int, dtype: np.dtype[Any]) -> _Array:
    return np.zeros(width, dtype)


def _width(dtype: np.dtype[Any]) -> int:
    return BLOCK * lanes(dtype.itemsize)


def forward(x: _Array, W: _Array, b: _Array | None, kind: int, y: _Array) -> None:
    (M, D), U, dtype = x.shape, W.shape[1], W.dtype
    if M == 0:
        return
    width = _width(dtype)
    workers = plans.threads_for(-(-M // ROWS), M * D * U)
    size = -(-U // width) * (1 + D) * width
    work = memory.scratch(size + workers * ROWS * width, dtype)
    bias = work[:0] if b is None else b
    arguments = (x.reshape(-1), M, D, W.reshape(-1), U, bias, kind, y.reshape(-1), work[:size], work[size:])
    run(dense, dtype, 2, workers, arguments)


def backward(x: _Array, W: _Array, y: _Array, dy: _Array, kind: int, dW: _Array, db: _Array | None,
             dx: _Array | None) -> None:  # fmt: skip
    (M, D), U, dtype = x.shape, W.shape[1], W.dtype
    if M == 0:
        for array in (dW, db):
            if array is not None:
                array.fill(0)
        return
    width = _width(dtype)
    block, ldz = min(M, BLOCK_ROWS), -(-U // width) * width
    tiles = D // TILE_ROWS + 1
    workers = plans.threads_for(max(tiles * ldz // width, -(-block // ROWS)), 2 * M * D * U)
    sizes = (
        0 if dx is None else -(-D // width) * U * width, block * ldz, ldz * tiles * TILE_ROWS,
        workers * ROWS * width, -(-block * TILE_ROWS // width) * width,
    )  # fmt: skip
    work = memory.scratch(sum(sizes), dtype)
    wt, dz, dp, rows, tail = (work[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True))
    none, zeros = work[:0], _zeros(width, dtype)
    arguments = (
        x.reshape(-1), M, D, W.reshape(-1), U, y.reshape(-1), dy.reshape(-1), kind, wt, dz, ldz, tail, dp, rows, zeros,
        dW.reshape(-1), none if db is None else db, none if dx is None else dx.reshape(-1),
    )  # fmt: skip
    run(dense_backward, dtype, 1 + 2 * -(-M // BLOCK_ROWS), workers, arguments)
