"""What fastlstm's options cost, by themselves: float types, stacks, threads, ragged batches; starting; exactness.

python -m asv_benchmarks.figures      # prints what it measures as JSON; minutes
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

import fastlstm
from fastlstm import Bidirectional, reference

from .benchmarks import common
from .benchmarks.shapes import MODES, SHAPES, Shape
from .workers import ROOT

ROUNDS, SECONDS = 5, 0.1  # turns of each, and how long one is
OPTIONS = SHAPES[4]
ALONE = SHAPES[1:3]
RAGGED = [Shape(48, 120, 40, 96), Shape(64, 100, 32, 256)]
EXACT = [Shape(64, 100, 32, 256), Shape(1000, 100, 32, 128)]
PROCESSES = 7  # that start, for each median

Call = Callable[[], Any]

IMPORT = """
import time, numba
begin = time.perf_counter()
import fastlstm
print(time.perf_counter() - begin)
"""
TRIVIAL = """
import time
import numpy as np
from numba import njit, prange

@njit(parallel=True, cache=True)
def double(x):
    for n in prange(len(x)):
        x[n] *= 2

x = np.ones(1000, np.float32)
begin = time.perf_counter()
double(x)
print(time.perf_counter() - begin)
"""
CALL = """
import time
import numpy as np
import fastlstm
params, x = fastlstm.init_params(16, 32, rng=0), np.ones((8, 10, 16), np.float32)
begin = time.perf_counter()
{call}
print(time.perf_counter() - begin)
"""
CALLS = {
    "inference": "fastlstm.forward(x, params)",
    "training": "y, _, tape = fastlstm.forward_train(x, params); fastlstm.backward(tape, y)",
}


def in_turns(works: dict[str, Call]) -> dict[str, float]:
    """Seconds a call, the median of turns that they take."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            work()
            begin, calls = time.perf_counter(), 0
            while not calls or time.perf_counter() - begin < SECONDS:
                work()
                calls += 1
            times[name].append((time.perf_counter() - begin) / calls)
    return {name: statistics.median(values) for name, values in times.items()}


def on_one_thread(work: Call) -> Call:
    def alone() -> None:
        before = numba.get_num_threads()
        numba.set_num_threads(1)
        work()
        numba.set_num_threads(before)

    return alone


def lengths(shape: Shape) -> Any:
    """Drawn evenly from 1 to T."""
    return np.random.default_rng(2).integers(1, shape.T + 1, shape.N)


def options() -> list[dict[str, Any]]:
    """Seconds of one shape with one thing changed at a time."""
    x, one = common.problem(OPTIONS)
    H = OPTIONS.H
    second, above = fastlstm.init_params(OPTIONS.D, H, rng=2), fastlstm.init_params(H, H, rng=3)
    found = []
    for mode in MODES:
        plain = common.checked("fastlstm", mode, x, one)
        works = {
            "one layer, float32": plain,
            "on one thread": on_one_thread(plain),
            "float64": common.checked("fastlstm", mode, *common.problem(OPTIONS, "float64")),
            "lengths drawn from 1 to T": common.checked("fastlstm", mode, x, one, lengths=lengths(OPTIONS)),
            "stack of two": common.checked("fastlstm", mode, x, [one, above]),
            "both directions": common.checked("fastlstm", mode, x, Bidirectional(one, second)),
        }
        found.append({"mode": mode, "shape": OPTIONS, "seconds": in_turns(works)})
    return found


def alone() -> list[dict[str, Any]]:
    """Seconds of one sequence with one thread and with all."""
    found = []
    for mode in MODES:
        for shape in ALONE:
            work = common.checked("fastlstm", mode, *common.problem(shape))
            seconds = in_turns({"one": on_one_thread(work), "all": work})
            found.append({"mode": mode, "shape": shape, "seconds": seconds})
    return found


def ragged() -> list[dict[str, Any]]:
    """Seconds of forward and backward of a padded batch and of a ragged one, and the latter's share of real steps."""
    found = []
    for shape in RAGGED:
        problem, real = common.problem(shape), lengths(shape)
        works = {"padded": common.checked("fastlstm", "train", *problem),
                 "ragged": common.checked("fastlstm", "train", *problem, lengths=real)}  # fmt: skip
        share = float(real.sum() / (shape.N * shape.T))
        found.append({"mode": "train", "shape": shape, "seconds": in_turns(works), "real": share})
    return found


def start() -> dict[str, float]:
    """Seconds: import beyond Numba's, first calls from a warm cache, and compiling all of float32 from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(Path(folder, "cache"))}
        command = [sys.executable, "-m", "fastlstm", "warmup"]
        run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        lines = (line.split() for line in run.stdout.splitlines())
        found = {"compile": sum(float(line[-2]) for line in lines if line[0] in ("threads", "recordings", "float32"))}
        codes = {"import": IMPORT, "trivial": TRIVIAL, **{name: CALL.format(call=call) for name, call in CALLS.items()}}
        for name, code in codes.items():
            script = Path(folder, f"{name}.py")
            script.write_text(code)
            runs = [
                subprocess.run([sys.executable, script], env=environment, check=True, stdout=subprocess.PIPE)
                for _ in range(1 + PROCESSES)  # the first may compile
            ]
            found[name] = statistics.median(float(run.stdout) for run in runs[1:])
    return found


def exactness() -> list[dict[str, Any]]:
    """Largest errors against the reference in float64, relative to the largest entry."""
    found = []
    for shape in EXACT:
        for dtype in ("float32", "float64"):
            x, params = common.problem(shape, dtype)
            dy = np.random.default_rng(2).standard_normal((shape.N, shape.T, shape.H)).astype(dtype)
            y, state, tape = fastlstm.forward_train(x, params)
            y_, state_, tape_ = reference.forward_train(x.astype(float), common.in_float64(params))
            grads, grads_ = fastlstm.backward(tape, dy), reference.backward(tape_, dy.astype(float))
            errors = {"y": common.error((y, state), (y_, state_)), "grads": common.error(grads, grads_)}
            found.append({"shape": shape, "dtype": dtype, **errors})
    return found


def measure() -> dict[str, Any]:
    return {
        "options": options(),
        "alone": alone(),
        "ragged": ragged(),
        "start": start(),
        "exactness": exactness(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
