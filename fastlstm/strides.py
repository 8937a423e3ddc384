"""Whether pieces of memory at regular distances meet; Python and compiled code call the same functions."""

from __future__ import annotations


def apart(width: int, N: int, row: int, T: int, step: int) -> bool:
    """Whether pieces of that many bytes at n row + t step have none in common, for n < N and t < T.

    They do not where those along one axis lie side by side, and so do the bands that they make, along the other. Pieces
    that interlock in another way, as in no slice of an array, count as if they overlapped."""
    row, step = abs(row), abs(step)
    if N == 0 or T == 0 or width <= 0:
        return True
    if N == 1 or T == 1:
        return (N == 1 or row >= width) and (T == 1 or step >= width)
    if row < step:
        N, row, T, step = T, step, N, row
    return step >= width and row >= (T - 1) * step + width


def in_turn(x0: int, x1: int, y0: int, y1: int, N: int, row: int, T: int, step: int) -> bool:
    """Whether y may be written while x is read, whose pieces go from x0 to x1 and y0 to y1 and on by the same strides:
    where a step of y lies in the memory of that same step of x, or of none."""
    low, high = min(x0, y0), max(x1, y1)
    if apart(high - low, N, row, T, step):
        return True
    row, step = abs(row), abs(step)
    if row < step:
        N, row, T, step = T, step, N, row
    band = (T - 1) * step  # or they take turns along the longer axis
    return (y0 >= x1 + band or x0 >= y1 + band) and (N <= 1 or row >= high - low + band)
