"""What a machine with a GPU has to show, in one run of ten minutes: are the kernels right, which bits hold, how
fast are they beside cuDNN and JAX; and how fastlstm on the processor grows with its threads.

python -m asv_benchmarks.device                          # all, then writes docs/device.json and two pages
python -m asv_benchmarks.device --parts exact speed      # some of it; the other parts of the file stay as they are
python -m asv_benchmarks.device --tiny --out found.json  # tiny problems: also without a GPU, or in the simulator
python -m asv_benchmarks.device --from-json              # writes the pages again

Each part has a share of --seconds, and the file is written after it. What is missing on the machine is named there,
with what installs it; rows that there was no time for are counted as left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import device_peers, device_report
from .benchmarks.shapes import MODES, SHAPES, Shape
from .device_systems import on_device, on_host, synchronize
from .peers import machine
from .workers import ROOT, Worker

CELLS = "standard", "interpolated", "projected", "peephole", "normalized", "gru", "gru_before"
EXACT = [(Shape(1, 20, 3, 20), ""), (Shape(5, 30, 16, 64), "lengths reset mask reverse"),
         (Shape(70, 12, 32, 96), "lengths"), (Shape(9, 8, 24, 200), "lengths reset mask"),
         (Shape(20, 6, 16, 512), "lengths reset"), (Shape(3, 5, 8, 1024), "")]  # fmt: skip
MANY = [(Shape(N, 4, 8, 32), "lengths") for N in (200, 400, 600)]  # where a block has 2, 4 and 8 sequences


class Run(NamedTuple):
    """How much is to be done. until: the clock at which no new row begins."""

    tiny: bool
    until: float
    missing: str | None

    def rows(self, jobs: list[Any], measure: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """What each job gives, or its error; as many as there is time for."""
        rows: list[dict[str, Any]] = []
        for job in jobs:
            if time.monotonic() > self.until:
                break
            try:
                rows.append(measure(job))
            except Exception as error:  # the others are to be measured all the same
                rows.append({"job": list(map(str, job)), "error": f"{type(error).__name__}: {error}"})
            print(json.dumps(rows[-1]), flush=True)
        return {"rows": rows, "left_out": len(jobs) - len(rows)}


def apart(found: Any, right: Any) -> float:
    """The largest distance of two lists of arrays, relative to each one's largest entry."""
    errors = [
        np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30) for a, b in zip(found, right, strict=True)
    ]
    return float(max(errors))


def flat(found: Any) -> list[Any]:
    return [one for entry in found for one in flat(entry)] if isinstance(found, tuple) else [found]


def same(found: Any, other: Any) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found, other, strict=True))


class Problem(NamedTuple):
    """Numbers of one pass and its way back, on the host."""

    x: Any
    params: Any
    dy: Any
    options: dict[str, Any]

    @classmethod
    def of(cls, cell: str, dtype: str, shape: Shape, options: str) -> Problem:
        """options: names of "lengths", "reset", "mask", "reverse", in one string."""
        import fastlstm

        rng = np.random.default_rng(0)
        params = fastlstm.init_params(shape.D, shape.H, cell=cell, rng=rng, dtype=dtype)  # type: ignore[call-overload]
        P = len(params.U)
        x, dy = (rng.standard_normal((shape.N, shape.T, width)).astype(dtype) for width in (shape.D, P))
        N, T = shape[:2]
        given: dict[str, Any] = {
            "lengths": rng.integers(0, T + 1, N), "reset": rng.random((N, T)) < 0.2,
            "mask": np.where(rng.random((N, P)) < 0.3, 0, 1.25).astype(dtype), "reverse": True,
        }  # fmt: skip
        return cls(x, params, dy, {name: one for name, one in given.items() if name in options})

    def as_float64(self) -> Problem:
        mask = {name: one.astype(float) for name, one in self.options.items() if name == "mask"}
        return Problem(self.x.astype(float), type(self.params)(*(array.astype(float) for array in self.params)),
                       self.dy.astype(float), self.options | mask)  # fmt: skip

    def _options(self, put: Callable[[Any], Any], rows: slice) -> dict[str, Any]:
        found = {name: one if one is True else one[rows] for name, one in self.options.items()}
        return found | ({"h_mask": put(found.pop("mask"))} if "mask" in found else {})

    def passed(self, module: Any, put: Callable[[Any], Any] = lambda a: a, rows: slice = slice(None)) -> list[Any]:
        """y, last state, gradients, those of the weights last; of those rows alone."""
        params = type(self.params)(*map(put, self.params))
        y, last, tape = module.forward_train(put(self.x[rows]), params, **self._options(put, rows))
        grads = module.backward(tape, put(self.dy[rows]))
        return [y, *last, grads.x, *grads.state, *grads.params]

    def inferred(self, module: Any, put: Callable[[Any], Any]) -> list[Any]:
        """y and last state, without a tape."""
        y, last = module.forward(put(self.x), type(self.params)(*map(put, self.params)),
                                 **self._options(put, slice(None)))  # fmt: skip
        return [y, *last]


def exact(run: Run) -> dict[str, Any]:
    """Errors against the reference in float64, and bits: the processor's, of a second run, of a row alone."""
    import fastlstm
    from fastlstm.cuda.engine import force, kinds_of

    def measure(job: Any) -> dict[str, Any]:
        cell, dtype, (shape, options), kind = job
        problem = Problem.of(cell, dtype, shape, options)

        def there(rows: slice = slice(None)) -> list[Any]:
            with force(kind):
                return [on_host(one) for one in problem.passed(fastlstm, on_device, rows)]

        packed = fastlstm.pack(problem.params, device="cuda")
        possible = kinds_of(packed, shape.N, shape.T)
        if kind not in possible:
            return {"cell": cell, "dtype": dtype, "shape": shape, "kind": kind, "does_not_fit": True}
        found, again = there(), there()
        with force(kind):
            inferred = [on_host(one) for one in problem.inferred(fastlstm, on_device)]
        right, here = problem.as_float64().passed(fastlstm.reference), problem.passed(fastlstm)
        states = 1 + len(flat(fastlstm.zero_state(problem.params)))
        own = len(found) - len(problem.params)  # what belongs to a row: weights' gradients are sums over rows
        alone = there(slice(0, 1))[:own]
        return {
            "cell": cell, "dtype": dtype, "shape": shape, "options": options, "kind": kind,
            "chosen": kind == possible[0],
            "error_forward": apart(found[:states], right[:states]),
            "error_gradients": apart(found[states:], right[states:]),
            "processors_bits_forward": same(found[:states], here[:states]),
            "processors_bits_gradients": same(found[states:], here[states:]),
            "same_without_a_tape": same(inferred, found[:states]), "same_again": same(found, again),
            "alone_as_in_a_batch": same(alone, [one[:1] for one in found[:own]]),
        }  # fmt: skip

    shapes, cells = ([(Shape(2, 3, 2, 3), "lengths reset mask")], CELLS[:1]) if run.tiny else (EXACT, CELLS)
    dtypes = ("float32",) if run.tiny else ("float32", "float64")
    if not run.tiny:
        compiled(cells, dtypes, run.until)
    jobs = [(cell, dtype, shape, kind) for dtype in dtypes for cell in cells for shape in shapes
            for kind in ("small", "wide", "product")]  # fmt: skip
    jobs += [] if run.tiny else [("standard", "float32", shape, "small") for shape in MANY]
    return run.rows(jobs, measure)


def compiled(cells: Any, dtypes: Any, until: float) -> None:
    """The processor's kernels, for as long as half of the time that is left: side by side, into the disk cache."""
    commands = [
        [sys.executable, "-m", "fastlstm", "warmup", cell, "--dtype", dtype] for dtype in dtypes for cell in cells
    ]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for command in commands]
    until = (until + time.monotonic()) / 2
    for process in running:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def barriers(run: Run) -> dict[str, Any]:
    """Microseconds of a barrier of all blocks: by an atomic counter, and by a cooperative group."""
    from numba import cuda

    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return {"missing": "blocks that run at the same time: the simulator runs one after the other"}
    count = 2000

    @cuda.jit
    def counted(arrived: Any, count: Any) -> None:
        for t in range(count):
            cuda.syncthreads()
            if cuda.threadIdx.x == 0:
                cuda.threadfence()
                cuda.atomic.add(arrived, 0, 1)
                while cuda.atomic.add(arrived, 0, 0) < cuda.gridDim.x * (t + 1):
                    pass
                cuda.threadfence()
            cuda.syncthreads()

    @cuda.jit
    def grouped(arrived: Any, count: Any) -> None:
        grid = cuda.cg.this_grid()
        for _ in range(count):
            grid.sync()

    def measure(job: Any) -> dict[str, Any]:
        blocks, kernel = job

        def work() -> None:
            (counted if kernel == "counter" else grouped)[blocks, 256](cuda.to_device(np.zeros(1, np.int32)), count)

        return {"blocks": blocks, "kernel": kernel, "microseconds": 1e6 * seconds_of(work, 0.2) / count}

    return run.rows([(blocks, kernel) for blocks in (8, 32, 128) for kernel in ("counter", "group")], measure)


def seconds_of(work: Callable[[], Any], least: float) -> float:
    """The median of single calls, the device's work included, which together take about that long."""
    for _ in range(3):
        work()
    synchronize()
    times: list[float] = []
    until = time.perf_counter() + least
    while not times or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def speed(run: Run) -> dict[str, Any]:
    """Seconds a call of each system."""
    jobs = [("train ragged", Shape(1, 2, 2, 3))] if run.tiny else device_peers.JOBS
    workers, missing = device_peers.started(list(device_peers.TITLES))
    try:
        found = run.rows(jobs, lambda job: device_peers.row(workers, *job, 1, 0 if run.tiny else 0.3))
    finally:
        for worker in workers.values():
            worker.close()
    return found | {"missing_systems": missing}


def sanitizer(run: Run) -> dict[str, Any]:
    """compute-sanitizer's racecheck and memcheck over a tiny `exact`."""
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        return {"missing": "compute-sanitizer, which comes with the CUDA toolkit"}
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return {"missing": "a device: the simulator has nothing to check"}

    def measure(job: Any) -> dict[str, Any]:
        (check,) = job
        command = [tool, "--tool", check, "--error-exitcode", "9", sys.executable, "-m", "asv_benchmarks.device",
                   "--tiny", "--parts", "exact", "--out", os.devnull]  # fmt: skip
        left = max(10.0, min(120.0, run.until - time.monotonic()))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=left)
        return {"check": check, "clean": done.returncode == 0, "says": done.stdout.strip().splitlines()[-1:]}

    return run.rows([("racecheck",), ("memcheck",)], measure)


def processor(run: Run) -> dict[str, Any]:
    """Seconds a call of fastlstm on the processor with 1, 2, 4, ... threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counts = [1] if run.tiny else [n for n in (1, 2, 4, 8, 16, 32) if n <= cores]
    shapes = [Shape(2, 3, 2, 3)] if run.tiny else SHAPES
    workers = {count: Worker("fastlstm", NUMBA_NUM_THREADS=str(count), NUMBA_ENABLE_CUDASIM="0") for count in counts}

    def measure(job: Any) -> dict[str, Any]:
        mode, shape = job
        seconds = {}
        for count, worker in workers.items():
            worker.ask(mode, shape, 0.01 if run.tiny else 0.2)
            answer = worker.answer()
            seconds[str(count)] = answer.get("seconds", answer.get("error"))
        return {"mode": mode, "shape": shape, "seconds": seconds}

    try:
        return run.rows([(mode, shape) for shape in shapes for mode in (MODES[:1] if run.tiny else MODES)], measure)
    finally:
        for worker in workers.values():
            worker.close()


PARTS: dict[str, tuple[Callable[[Run], dict[str, Any]], float]] = {  # and each one's share of the time
    "exact": (exact, 0.4), "barriers": (barriers, 0.05), "speed": (speed, 0.3), "sanitizer": (sanitizer, 0.1),
    "processor": (processor, 0.15),
}  # fmt: skip
WITHOUT_A_GPU = {"processor"}


def measured(names: list[str], run: Run, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Parts, one after the other."""
    whole = sum(PARTS[name][1] for name in names)
    for name in names:
        print(f"== {name}", flush=True)
        if run.missing and name not in WITHOUT_A_GPU:
            yield name, {"missing": run.missing}
            continue
        began = time.monotonic()
        try:
            function, share = PARTS[name]
            found = function(run._replace(until=began + seconds * share / whole))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        yield name, found | {"took_seconds": round(time.monotonic() - began, 1)}


def beside_peers(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """`peers --device cuda`: measures what `speed` does, without a limit to its time, and fills the pages; --only
    prints."""
    names = arguments.systems or list(device_peers.TITLES)
    if unknown := set(names) - set(device_peers.TITLES):
        parser.error(f"unknown system {', '.join(sorted(unknown))}; known are {', '.join(device_peers.TITLES)}")
    if arguments.from_json:
        if not device_report.RESULTS.exists():
            parser.error(f"--from-json: {device_report.RESULTS.name} is missing; measure first")
        device_report.write()
        return
    jobs = device_peers.JOBS
    if arguments.only:
        try:
            shapes = [Shape.parse(text) for text in arguments.only]
        except ValueError as error:
            parser.error(str(error))
        jobs = [(mode, shape) for mode in arguments.modes or MODES for shape in shapes]
    from fastlstm.cuda.machine import hindrance, simulated

    if missing := hindrance():
        parser.error(f"--device cuda: {missing}")
    if simulated() and not arguments.only:
        parser.error("--device cuda: the simulator's times are not to be published; --only prints some")
    workers, missing_systems = device_peers.started(names)
    for name, why in missing_systems.items():
        print(f"{name} is left out: {why}")
    rows = []
    try:
        for mode, shape in jobs:
            rows.append(device_peers.row(workers, mode, shape, arguments.rounds, arguments.seconds))
            times = (f"{name} {1e3 * value:.4g} ms" for name, value in rows[-1]["seconds"].items())
            print(f"{mode} {shape}:", ", ".join(times), flush=True)
    except ValueError as error:
        raise SystemExit(f"{error}; nothing is written") from error
    finally:
        for worker in workers.values():
            worker.close()
    if arguments.only:
        print(device_peers.tables(rows))
        return
    device_report.keep(about() | {"speed": {"rows": rows, "left_out": 0, "missing_systems": missing_systems}})
    device_report.write()


def about() -> dict[str, Any]:
    """What it is measured on."""
    from fastlstm.cuda.machine import facts

    return {"machine": machine(), "device": {name: str(value) for name, value in facts().items()}}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tiny", action="store_true", help="tiny problems, which say that this program works; needs --out"
    )
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=float, default=570, help="about as long")
    parser.add_argument("--out", type=Path, help="a file, in the place of docs/device.json and the pages")
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    options = parser.parse_args(argv)
    if options.tiny and options.out is None:
        parser.error("--tiny: expected --out, as its figures mean nothing")
    from fastlstm.cuda.machine import hindrance

    if not options.from_json:
        run = Run(options.tiny, 0, hindrance())
        path = options.out or device_report.RESULTS
        device_report.keep(about(), path, anew=options.tiny)
        for name, found in measured(options.parts, run, options.seconds):
            device_report.keep({name: found}, path)
    if options.out is None:
        device_report.write()


if __name__ == "__main__":
    main()
