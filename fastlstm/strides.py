"""Whether pieces of memory at regular distances meet.

The formulas serve twice: over Python's integers they give an answer, over the numbers of code that is being written
(cpu/vectors/whole.py) the code that finds it. So they have no `if`, `and`, `or`, `max`, but `choose`,
`&`, `|`, `larger`.
"""

from __future__ import annotations

from typing import Any


def choose(truth: Any, one: Any, other: Any) -> Any:
    """`one` where that is so, else `other`."""
    if hasattr(truth, "choose"):
        return truth.choose(one, other)
    return one if truth else other


def larger(one: Any, other: Any) -> Any:
    return choose(one > other, one, other)


def smaller(one: Any, other: Any) -> Any:
    return choose(one < other, one, other)


def apart(width: Any, N: Any, row: Any, T: Any, step: Any) -> Any:
    """Whether pieces of that many bytes at n row + t step have none in common, for n < N and t < T.

    They do not where those along one axis lie side by side, and so do the bands that they make, along the other. Pieces
    that interlock in another way, as in no slice of an array, count as if they overlapped."""
    row, step = abs(row), abs(step)
    rows, steps = (N <= 1) | (row >= width), (T <= 1) | (step >= width)
    bands = (N <= 1) | (T <= 1) | (row >= (T - 1) * step + width) | (step >= (N - 1) * row + width)
    return (N == 0) | (T == 0) | (width <= 0) | (rows & steps & bands)


def in_turn(x0: Any, x1: Any, y0: Any, y1: Any, N: Any, row: Any, T: Any, step: Any) -> Any:
    """Whether y may be written while x is read, whose pieces go from x0 to x1 and y0 to y1 and on by the same strides:
    where a step of y lies in the memory of that same step of x, or of none."""
    width = larger(x1, y1) - smaller(x0, y0)
    row, step = abs(row), abs(step)
    long, many = choose(row < step, step, row), choose(row < step, T, N)
    band = choose(row < step, (N - 1) * row, (T - 1) * step)  # or they take turns along the longer axis
    turns = ((y0 >= x1 + band) | (x0 >= y1 + band)) & ((many <= 1) | (long >= width + band))
    return apart(width, N, row, T, step) | turns


def in_step(x: Any, y: Any, ahead: Any) -> Any:
    """`in_turn` of arrays (N, T, ..) or (T, ..), the second of which begins that many bytes behind the first."""
    (N, row), (_, y_row) = rows_of(x), rows_of(y)
    T, step, y_step = x.shape[-2], x.strides[-2], y.strides[-2]
    reach = (x.shape[-1] - 1) * x.strides[-1]
    alike = ((N <= 1) | (row == y_row)) & ((T <= 1) | (step == y_step))
    return alike & in_turn(smaller(0, reach), larger(0, reach) + x.itemsize, ahead, ahead + y.shape[-1] * y.itemsize, N,
                           row, T, step)  # fmt: skip


def rows_of(x: Any) -> tuple[Any, Any]:
    """N, and bytes from one to the next."""
    return (x.shape[0], x.strides[0]) if x.ndim == 3 else (1, 0)
