"""What a machine with a GPU has to show, in one run of ten minutes: are the kernels right, which bits hold, how
fast are they beside cuDNN and JAX; and how fastlstm on the processor grows with its threads.

python -m asv_benchmarks.device                          # all, then writes docs/device.json and docs/cuda.md
python -m asv_benchmarks.device --parts exact speed      # some of it; the other parts of the file stay as they are
python -m asv_benchmarks.device --tiny --out found.json  # tiny problems: also without a GPU, or in the simulator
python -m asv_benchmarks.device --from-json              # writes docs/cuda.md again

Each part has a share of --seconds, and the file is written after it. What is missing on the machine is named there,
with what installs it; rows that there was no time for are counted as left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import device_systems as systems
from . import report
from .benchmarks.shapes import MODES, SHAPES, Shape
from .peers import machine
from .workers import ROOT, Worker

RESULTS, PAGE = report.DOCS / "device.json", report.DOCS / "cuda.md"
CELLS = "standard", "interpolated", "projected", "peephole", "normalized", "gru", "gru_before"
SPEED = [Shape(*sizes) for sizes in (
    (1, 500, 32, 32), (1, 500, 32, 64), (16, 500, 32, 64), (64, 500, 32, 64), (512, 200, 32, 64), (64, 500, 32, 96),
    (1, 500, 64, 128), (64, 500, 64, 128), (1, 500, 256, 256), (16, 500, 256, 256), (256, 100, 32, 256),
    (1, 200, 512, 512), (64, 100, 512, 512), (1, 100, 1024, 1024), (16, 100, 1024, 1024), (64, 50, 1024, 1024),
)]  # fmt: skip
RAGGED = [Shape(48, 120, 40, 96), Shape(64, 200, 256, 256)]
STEPS = [Shape(1, 1, 16, 64), Shape(1, 1, 256, 256), Shape(16, 1, 16, 64)]
EXACT = [Shape(1, 20, 3, 20), Shape(5, 30, 16, 64), Shape(70, 12, 32, 96), Shape(9, 8, 24, 200), Shape(20, 6, 16, 512),
         Shape(3, 5, 8, 1024)]  # fmt: skip


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
    lengths: Any

    @classmethod
    def of(cls, cell: str, dtype: str, shape: Shape) -> Problem:
        import fastlstm

        rng = np.random.default_rng(0)
        params = fastlstm.init_params(shape.D, shape.H, cell=cell, rng=rng, dtype=dtype)  # type: ignore[call-overload]
        P = len(params.U)
        x, dy = (rng.standard_normal((shape.N, shape.T, width)).astype(dtype) for width in (shape.D, P))
        return cls(x, params, dy, rng.integers(0, shape.T + 1, shape.N))

    def passed(self, module: Any, put: Callable[[Any], Any] = lambda a: a, rows: slice = slice(None)) -> list[Any]:
        """y, last state, gradients, those of the weights last; of those rows alone."""
        params = type(self.params)(*map(put, self.params))
        y, last, tape = module.forward_train(put(self.x[rows]), params, lengths=self.lengths[rows])
        grads = module.backward(tape, put(self.dy[rows]))
        return [y, *last, grads.x, *grads.state, *grads.params]


def exact(run: Run) -> dict[str, Any]:
    """Errors against the reference in float64, and bits: the processor's, of a second run, of a row alone."""
    import fastlstm
    from fastlstm.cuda.engine import force, kinds_of

    def measure(job: Any) -> dict[str, Any]:
        cell, dtype, shape, kind = job
        problem = Problem.of(cell, dtype, shape)

        def there(rows: slice = slice(None)) -> list[Any]:
            with force(kind):
                return [systems.on_host(one) for one in problem.passed(fastlstm, systems.on_device, rows)]

        packed = fastlstm.pack(problem.params, device="cuda")
        possible = kinds_of(packed, shape.N, shape.T)
        if kind not in possible:
            return {"cell": cell, "dtype": dtype, "shape": shape, "kind": kind, "does_not_fit": True}
        found, again = there(), there()
        double = problem._replace(x=problem.x.astype(float), dy=problem.dy.astype(float),
                                  params=type(problem.params)(*(a.astype(float) for a in problem.params)))  # fmt: skip
        right, here = double.passed(fastlstm.reference), problem.passed(fastlstm)
        states = 1 + len(flat(fastlstm.zero_state(problem.params)))
        own = len(found) - len(problem.params)  # what belongs to a row: weights' gradients are sums over rows
        alone = there(slice(0, 1))[:own]
        return {
            "cell": cell, "dtype": dtype, "shape": shape, "kind": kind, "chosen": kind == possible[0],
            "error_forward": apart(found[:states], right[:states]),
            "error_gradients": apart(found[states:], right[states:]),
            "processors_bits_forward": same(found[:states], here[:states]),
            "processors_bits_gradients": same(found[states:], here[states:]),
            "same_again": same(found, again), "alone_as_in_a_batch": same(alone, [one[:1] for one in found[:own]]),
        }  # fmt: skip

    shapes, cells = ([Shape(2, 3, 2, 3)], CELLS[:1]) if run.tiny else (EXACT, CELLS)
    dtypes = ("float32",) if run.tiny else ("float32", "float64")
    if not run.tiny:
        compiled(cells, dtypes, run.until)
    jobs = [(cell, dtype, shape, kind) for dtype in dtypes for cell in cells for shape in shapes
            for kind in ("small", "wide", "product")]  # fmt: skip
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

        return {"blocks": blocks, "kernel": kernel, "microseconds": 1e6 * systems.seconds_of(work, 0.2) / count}

    return run.rows([(blocks, kernel) for blocks in (8, 32, 128) for kernel in ("counter", "group")], measure)


def speed(run: Run) -> dict[str, Any]:
    """Seconds a call of each system, in this process; they take turns shape by shape."""

    def measure(job: Any) -> dict[str, Any]:
        mode, shape, ragged = job
        options = {"lengths": np.random.default_rng(0).integers(1, shape.T + 1, shape.N)} if ragged else {}
        row: dict[str, Any] = {"mode": mode, "shape": shape, "ragged": ragged, "seconds": {}, "errors": {}}
        for name, make in systems.there(ragged).items():
            try:
                row["seconds"][name] = systems.seconds_of(make(mode, *shape, **options), 0 if run.tiny else 0.3)
            except Exception as error:
                row["errors"][name] = f"{type(error).__name__}: {error}"
        if "fastlstm" in row["seconds"]:
            row["gflops"] = shape.flop(mode) / row["seconds"]["fastlstm"] / 1e9
            row["microseconds_a_step"] = 1e6 * row["seconds"]["fastlstm"] / shape.T
        return row

    shapes = [Shape(2, 2, 2, 3)] if run.tiny else SPEED
    jobs = [(mode, shape, False) for shape in shapes for mode in MODES]
    jobs += [("step", shape, False) for shape in ([Shape(1, 1, 2, 3)] if run.tiny else STEPS)]
    jobs += [(mode, shape, True) for shape in ([] if run.tiny else RAGGED) for mode in MODES]
    return run.rows(jobs, measure)


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


def parts(results: dict[str, Any]) -> dict[str, str]:
    """Of docs/cuda.md, by marker."""
    if not results:
        return {"device": "Not yet measured on hardware."}
    found = [
        f"{', '.join(f'{name} {value}' for name, value in results['device'].items())}; {results['machine']['date']}."
    ]
    rows = [row for row in results.get("exact", {}).get("rows", []) if "error_forward" in row]
    if rows:
        head = ["cell, type, kind: N, T, D, H", "error, forward", "error, gradients", "the processor's bits",
                "the same again", "alone as in a batch"]  # fmt: skip
        found.append(report.table(head, [_exact_row(row) for row in rows]))
    rows = [row for row in results.get("speed", {}).get("rows", []) if "seconds" in row]
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
        table = [[f"{report.TITLES[row['mode']]}{', ragged' if row['ragged'] else ''}: {report.label(row)}",
                  *(report.number(1e3 * row["seconds"][name]) if name in row["seconds"] else "–" for name in names)]
                 for row in rows]  # fmt: skip
        found.append(report.table(["ms", *names], table))
    return {"device": "\n\n".join(found)}


def _exact_row(row: dict[str, Any]) -> list[str]:
    yes = {True: "yes", False: "no"}
    both = f"y {yes[row['processors_bits_forward']]}, gradients {yes[row['processors_bits_gradients']]}"
    return [f"{row['cell']}, {row['dtype']}, {row['kind']}: {report.label(row)}", f"{row['error_forward']:.1e}",
            f"{row['error_gradients']:.1e}", both, yes[row["same_again"]], yes[row["alone_as_in_a_batch"]]]  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tiny", action="store_true", help="tiny problems, which say that this program works; needs --out"
    )
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=float, default=570, help="about as long")
    parser.add_argument("--out", type=Path, help="a file, in the place of docs/device.json and docs/cuda.md")
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    options = parser.parse_args(argv)
    if options.tiny and options.out is None:
        parser.error("--tiny: expected --out, as its figures mean nothing")
    from fastlstm.cuda.machine import facts, hindrance

    path = options.out or RESULTS
    results = json.loads(path.read_text()) if path.is_file() and not options.tiny else {}
    if not options.from_json:
        run = Run(options.tiny, 0, hindrance())
        results |= {"machine": machine(), "device": {name: str(value) for name, value in facts().items()}}
        for name, found in measured(options.parts, run, options.seconds):
            results[name] = found
            path.write_text(json.dumps(results, indent=1) + "\n")
    if options.out is None:
        PAGE.write_text(report.fill(PAGE.read_text(), parts(results)))


if __name__ == "__main__":
    main()
