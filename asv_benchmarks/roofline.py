"""What the machine can do: multiply-adds, streaming reads, the latency of a sum, the cost of a call.

python -m asv_benchmarks.roofline      # prints what it measures as JSON; ten seconds
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

import fastlstm
from fastlstm.cpu.vectors.emitter import Emitter, Vector, data
from fastlstm.cpu.vectors.target import lanes

from .benchmarks.shapes import Shape

SECONDS = 1.0  # of each measurement, which needs a moment when nothing else runs
SUMS = 12  # independent sums: more than latency times units of any processor at hand, and 14 of 16 registers
CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # bytes, where the system does not say
TILE_ROWS = 6  # rows of the batch that share one read of the weights
FLOAT = 4  # bytes


def _loop(sums: int, read: bool) -> Any:
    """An intrinsic: loop(array, turns) runs `sums` independent chains of operations, a vector each, and stores them
    into the array's beginning. An operation is a multiply-add, or with `read` the addition of the next vector of the
    array."""

    @intrinsic
    def loop(typing: Any, array: Any, turns: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = Emitter(builder, context.get_data_type(array.dtype), array.dtype.bitwidth // 8)
            begin = data(context, builder, array, args[0])
            factor, term = e.load(begin), e.load(begin, e.lanes)
            before, body, end = (
                builder.block,
                builder.append_basic_block("body"),
                builder.append_basic_block("end"),
            )
            builder.branch(body)
            builder.position_at_end(body)
            left, moving = builder.phi(ir.IntType(64)), builder.phi(begin.type)
            chains = [builder.phi(e.type) for _ in range(sums)]
            for n, chain in enumerate(chains):
                old = Vector(e, chain)
                new = old + e.load(moving, n * e.lanes) if read else old.fma(factor, term)
                chain.add_incoming(factor.values[0], before)
                chain.add_incoming(new.values[0], body)
            left.add_incoming(args[1], before)
            fewer = builder.sub(left, e.index(1))
            left.add_incoming(fewer, body)
            moving.add_incoming(begin, before)
            moving.add_incoming(e.at(moving, sums * e.lanes) if read else begin, body)
            builder.cbranch(builder.icmp_signed(">", fewer, e.index(0)), body, end)
            builder.position_at_end(end)
            total = Vector(e, chains[0].incomings[1][0])
            for chain in chains[1:]:
                total = total + Vector(e, chain.incomings[1][0])
            e.store(total, begin)
            return context.get_dummy_value()

        return types.void(array, types.intp), generate

    return loop


_many, _one, _read = _loop(SUMS, False), _loop(1, False), _loop(SUMS, True)


@njit(nogil=True)
def _multiply(array, turns):
    _many(array, turns)


@njit(nogil=True)
def _chain(array, turns):
    _one(array, turns)


@njit(parallel=True)
def _multiply_all(arrays, turns, workers):
    for worker in prange(workers):
        _many(arrays[worker], turns)


@njit(parallel=True)
def _read_all(arrays, turns, repeat, workers):
    for worker in prange(workers):
        for _ in range(repeat):
            _read(arrays[worker], turns)


def best(call: Callable[[], Any]) -> float:
    """The least of the call's times, in seconds: what else runs only ever adds."""
    call()
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def cache_sizes() -> dict[str, int]:
    """Bytes of the data caches of a core, by level."""
    found = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.removesuffix("K")) << 10
    return dict(sorted((found or CACHES).items()))


def measure() -> dict[str, Any]:
    """GFLOP/s of one core and of all, GB/s of each core from each level while all read, and what a step in a chain and
    a call cost, in nanoseconds."""
    width, workers = lanes(FLOAT), numba.config.NUMBA_NUM_THREADS
    turns, flop = 2_000_000, 2 * width * SUMS
    row = np.zeros((workers, 4096), np.float32)
    levels = cache_sizes()
    working_sets = {level: size // 2 for level, size in levels.items()}
    if "L3" in levels:  # cores share it: a part each, but more than L2 holds
        working_sets["L3"] = max(working_sets["L3"] // workers, 2 * levels["L2"])
    working_sets["memory"] = 4 * max(levels.values())
    bandwidth = {}
    for level, size in working_sets.items():
        steps = max(1, size // (4 * width * SUMS))
        arrays = np.zeros((workers, steps * width * SUMS), np.float32)
        repeat = max(1, (256 << 20) // arrays[0].nbytes)
        seconds = best(lambda a=arrays, s=steps, r=repeat: _read_all(a, s, r, workers))
        bandwidth[level] = arrays[0].nbytes * repeat / seconds / 1e9
    packed, x = fastlstm.pack(fastlstm.init_params(1, 1, rng=0)), np.ones((1, 1, 1), np.float32)
    return {
        "core_gflops": flop * turns / best(lambda: _multiply(row[0], turns)) / 1e9,
        "gflops": flop * turns * workers / best(lambda: _multiply_all(row, turns, workers)) / 1e9,
        "latency_ns": best(lambda: _chain(row[0], turns)) / turns * 1e9,
        "caches": levels,
        "bandwidth": bandwidth,
        "call_ns": best(lambda: [fastlstm.forward(x, packed) for _ in range(100)]) * 1e7,
    }


def limits(shape: Shape, mode: str, machine: dict[str, Any], threads: int) -> dict[str, float]:
    """Seconds below which no call can be, by what bounds it.

    arithmetic: the multiply-adds of the matrix products, on all cores. Weights: a read of U for every step and
    TILE_ROWS samples of a core, one of W for every TILE_ROWS samples and steps, each core at its bandwidth from the
    level that holds them; with fewer samples than cores they share the weights. Chain: a step's h waits for the sum
    over the h before it. Each has the cost of a call on top. Backward reads and multiplies twice as much as forward.
    """
    N, T, D, H = shape
    passes = 3 if mode == "train" else 1
    size = FLOAT * 4 * H * (D + H)
    share = min(1.0, N / threads)  # of the weights that a core reads
    rows = max(1.0, N / threads)
    level = next((name for name, capacity in machine["caches"].items() if size * share <= capacity), "memory")
    reads = T * (max(1.0, rows / TILE_ROWS) * H + rows / TILE_ROWS * D) * FLOAT * 4 * H * share
    call = machine["call_ns"] * 1e-9 * (2 if mode == "train" else 1)
    return {
        "arithmetic": call + shape.flop(mode) / machine["gflops"] / 1e9,
        f"weights from {level}": call + passes * reads / machine["bandwidth"][level] / 1e9,
        "chain": call + T * H * machine["latency_ns"] * 1e-9 * (2 if mode == "train" else 1),
        "call": call,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
