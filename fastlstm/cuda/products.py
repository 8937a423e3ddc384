"""Products of matrices, in tiles. A number of the result is one chain of fused multiply-adds, in the order of k: the
CPU's order. Sums over rows run in pieces that are then added up, as on the CPU."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .device import SIMULATED, add, cuda, fma, kernel
from .rows import Rows

PIECE = 128  # rows of one running sum
NOTHING = -0.0  # fills tiles up: 0 * -0 added to a sum leaves every bit of it


class Tile(NamedTuple):
    """A block's part of a result. It has across * down threads, of which each has rows * columns numbers; `deep` of k
    are in shared memory at a time."""

    across: int
    down: int
    rows: int
    columns: int
    deep: int

    @property
    def width(self) -> int:
        return self.across * self.columns

    @property
    def height(self) -> int:
        return self.down * self.rows


LOW = Tile(16, 8, 1, 4, 16)  # for few rows
HIGH = Tile(16, 16, 4, 4, 16)
if SIMULATED:  # where a thread is a Python thread
    LOW, HIGH = Tile(2, 2, 2, 4, 8), Tile(2, 2, 4, 4, 8)


class Depth(NamedTuple):
    """rows, width: of the result; depth: how many products a number of it is the sum of."""

    rows: int
    width: int
    depth: int


def tile_for(rows: int) -> Tile:
    return LOW if rows <= 2 * LOW.height else HIGH


@lru_cache(None)
def product(real: Any, tile: Tile, transposed: bool, adds: bool) -> Any:
    """Kernel: out = a @ b, or out += a @ b where it `adds`. b is (depth, width), or, `transposed`, (width, depth) and
    taken as b.T. A row of out with a negative number is not written to. Blocks: (across, down) the result."""
    across, down, rows, columns, deep = tile
    height, width, threads = tile.height, tile.width, across * down
    high, wide = (
        height + 4,
        width + 4,
    )  # so that a column's numbers are in different banks, and four neighbours one load

    @kernel
    def tiles(size: Depth, a: Rows, b: Any, out: Rows) -> None:
        left = cuda.shared.array((deep, high), real)
        right = cuda.shared.array((deep, wide), real)
        sums = cuda.local.array((rows, columns), real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        thread = y * across + x
        r0 = cuda.blockIdx.y * height
        c0 = cuda.blockIdx.x * width
        for i in range(rows):
            r = r0 + y * rows + i
            row = out.of[out.first + r] if r < size.rows else -1
            for j in range(columns):
                c = c0 + x * columns + j
                sums[i, j] = 0
                if adds and row >= 0 and c < size.width:
                    sums[i, j] = out.array[row, out.column + c]
        for k0 in range(0, size.depth, deep):
            for e in range(thread, deep * height, threads):
                k = e % deep
                r = e // deep
                left[k, r] = 0
                if r0 + r < size.rows and k0 + k < size.depth:
                    left[k, r] = a.array[a.of[a.first + r0 + r], a.column + k0 + k]
            for e in range(thread, deep * width, threads):
                k = e % deep if transposed else e // width
                c = e // deep if transposed else e % width
                right[k, c] = NOTHING
                if c0 + c < size.width and k0 + k < size.depth:
                    right[k, c] = b[c0 + c, k0 + k] if transposed else b[k0 + k, c0 + c]
            cuda.syncthreads()
            for k in range(deep):
                for i in range(rows):
                    for j in range(columns):
                        sums[i, j] = fma(left[k, y * rows + i], right[k, x * columns + j], sums[i, j])
            cuda.syncthreads()
        for i in range(rows):
            r = r0 + y * rows + i
            row = out.of[out.first + r] if r < size.rows else -1
            for j in range(columns):
                c = c0 + x * columns + j
                if row >= 0 and c < size.width:
                    out.array[row, out.column + c] = sums[i, j]

    return tiles


def product_blocks(tile: Tile, size: Depth) -> tuple[int, int]:
    return -(-size.width // tile.width), -(-size.rows // tile.height)


@lru_cache(None)
def sums(real: Any, tile: Tile) -> Any:
    """Kernel: out[p, q] = sum over rows r of a[r, p] * b[r, q]. Block z of the third axis takes `share` rows, a
    multiple of PIECE, from z * share on, and writes to row z * size.rows + p of out."""
    across, down, rows, columns, deep = tile
    height, width, threads = tile.height, tile.width, across * down

    @kernel
    def pieces(size: Depth, share: int, a: Rows, b: Rows, out: Any) -> None:
        left = cuda.shared.array((deep, height), real)
        right = cuda.shared.array((deep, width), real)
        total = cuda.local.array((rows, columns), real)
        part = cuda.local.array((rows, columns), real)
        x = cuda.threadIdx.x
        y = cuda.threadIdx.y
        thread = y * across + x
        p0 = cuda.blockIdx.y * height
        q0 = cuda.blockIdx.x * width
        begin = cuda.blockIdx.z * share
        end = min(begin + share, size.depth)
        for i in range(rows):
            for j in range(columns):
                total[i, j] = 0
        for m0 in range(begin, end, PIECE):
            for i in range(rows):
                for j in range(columns):
                    part[i, j] = 0
            for k0 in range(m0, min(m0 + PIECE, end), deep):
                for e in range(thread, deep * height, threads):
                    k = e // height
                    p = e % height
                    left[k, p] = 0
                    if p0 + p < size.rows and k0 + k < end:
                        left[k, p] = a.array[a.of[a.first + k0 + k], a.column + p0 + p]
                for e in range(thread, deep * width, threads):
                    k = e // width
                    q = e % width
                    right[k, q] = NOTHING
                    if q0 + q < size.width and k0 + k < end:
                        right[k, q] = b.array[b.of[b.first + k0 + k], b.column + q0 + q]
                cuda.syncthreads()
                for k in range(deep):
                    for i in range(rows):
                        for j in range(columns):
                            part[i, j] = fma(left[k, y * rows + i], right[k, x * columns + j], part[i, j])
                cuda.syncthreads()
            for i in range(rows):
                for j in range(columns):
                    total[i, j] = add(total[i, j], part[i, j])
        for i in range(rows):
            for j in range(columns):
                p = p0 + y * rows + i
                q = q0 + x * columns + j
                if p < size.rows and q < size.width:
                    out[cuda.blockIdx.z * size.rows + p, q] = total[i, j]

    return pieces


@lru_cache(None)
def column_sums(real: Any) -> Any:
    """Kernel: out[z, q] = sum over `share` rows of a[r, q], from z * share on; size.depth rows in all. A thread has a
    column; block z of the second axis."""

    @kernel
    def columns(size: Depth, share: int, a: Any, out: Any) -> None:
        q = cuda.grid(1)
        begin = cuda.blockIdx.y * share
        end = min(begin + share, size.depth)
        if q < size.width:
            total = real(0)
            for m0 in range(begin, end, PIECE):
                part = real(0)
                for r in range(m0, min(m0 + PIECE, end)):
                    part = add(part, a[r, q])
                total = add(total, part)
            out[cuda.blockIdx.y, q] = total

    return columns


@lru_cache(None)
def add_up(real: Any) -> Any:
    """Kernel: out[p, q] = the sum of parts[z * size.rows + p, q] over z < count, in order."""

    @kernel
    def added(size: Depth, parts: Any, count: int, out: Any) -> None:
        e = cuda.grid(1)
        if e < size.rows * size.width:
            p = e // size.width
            q = e % size.width
            total = parts[p, q]
            for z in range(1, count):
                total = add(total, parts[z * size.rows + p, q])
            out[p, q] = total

    return added
