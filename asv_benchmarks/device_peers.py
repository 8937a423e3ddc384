"""fastlstm on a GPU beside PyTorch's cuDNN and JAX there: for `peers --device cuda`, and the part `speed` of `device`.

Every system has a process of its own, as on processors, and a GPU that the others leave alone meanwhile.
"""

from __future__ import annotations

import os
import statistics
from typing import Any

from . import report
from .benchmarks.shapes import MODES, Shape
from .peers import TOLERANCE
from .workers import Worker, disagreement, take_turns

TITLES = {"fastlstm": "fastlstm", "torch": "torch, cuDNN, float32", "torch_tf32": "torch, cuDNN, TF32", "jax": "jax"}
SPEED = [Shape(*sizes) for sizes in (
    (1, 500, 32, 32), (1, 500, 32, 64), (16, 500, 32, 64), (64, 500, 32, 64), (512, 200, 32, 64), (64, 500, 32, 96),
    (1, 500, 64, 128), (64, 500, 64, 128), (1, 500, 256, 256), (16, 500, 256, 256), (256, 100, 32, 256),
    (1, 200, 512, 512), (64, 100, 512, 512), (1, 100, 1024, 1024), (16, 100, 1024, 1024), (64, 50, 1024, 1024),
)]  # fmt: skip
RAGGED = [Shape(48, 120, 40, 96), Shape(64, 200, 256, 256)]
STEPS = [Shape(1, 1, 16, 64), Shape(1, 1, 256, 256), Shape(16, 1, 16, 64)]
JOBS = [
    *((mode, shape) for shape in SPEED for mode in MODES),
    *(("step", shape) for shape in STEPS),
    *((f"{mode} ragged", shape) for shape in RAGGED for mode in MODES),
]  # what is measured: a mode of device_systems.py, and a shape


def started(names: list[str]) -> tuple[dict[str, Worker], dict[str, str]]:
    """A worker of each system that can compute here, and what keeps the others from it."""
    simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    more = {"JAX_PLATFORMS": "cpu" if simulated else "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    workers = {name: Worker(name, script="device_systems.py", **more) for name in names}
    for worker in workers.values():
        worker.ask("step", Shape(1, 1, 1, 1), 0)
    answers = {name: worker.answer() for name, worker in workers.items()}
    failed = {name: answer["error"] for name, answer in answers.items() if "error" in answer}
    for name in failed:
        workers.pop(name).close()
    return workers, failed


def row(workers: dict[str, Worker], mode: str, shape: Shape, rounds: int, seconds: float) -> dict[str, Any]:
    """One shape's medians, in seconds a call, and what that is of fastlstm's. ValueError where results differ, but for
    those with TF32 products."""
    shape = shape._replace(T=1) if mode == "step" else shape
    able = {name: worker for name, worker in workers.items() if not (name == "jax" and "ragged" in mode)}
    times, checks, errors = take_turns(able, mode, shape, rounds, seconds)
    apart = disagreement({name: check for name, check in checks.items() if name != "torch_tf32"})
    if apart > TOLERANCE:
        raise ValueError(f"{mode} {shape}: the systems' results differ by {apart:.1e}")
    found: dict[str, Any] = {
        "mode": mode, "shape": shape, "seconds": {name: statistics.median(values) for name, values in times.items()},
        "errors": errors, "disagreement": apart,
    }  # fmt: skip
    if (own := found["seconds"].get("fastlstm")) is not None:
        found |= {"gflops": shape.flop(mode.split()[0]) / own / 1e9, "microseconds_a_step": 1e6 * own / shape.T,
                  "rows_a_second": shape.N * shape.T / own}  # fmt: skip
    return found


def tables(rows: list[dict[str, Any]]) -> str:
    """Microseconds a step of each system, the fastest in bold; and what fastlstm gets through."""
    rows = [one for one in rows if one.get("seconds")]
    return "\n\n".join(_table([one for one in rows if one["mode"] == mode]) for mode in dict.fromkeys(
        one["mode"] for one in rows))  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> str:
    names = [name for name in TITLES if any(name in row["seconds"] for row in rows)]
    what, _, ragged = rows[0]["mode"].partition(" ")
    lines = []
    for row in rows:
        seconds, steps = row["seconds"], row["shape"][1]
        cells = [report.number(1e6 * seconds[name] / steps) if name in seconds else "–" for name in names]
        least = min(seconds.values())
        cells = [f"**{cell}**" if seconds.get(name) == least else cell for name, cell in zip(names, cells, strict=True)]
        got_through = row.get("rows_a_second", 0) / 1e6, row.get("gflops", 0)
        own = [report.number(one) if one else "–" for one in got_through]
        lines.append([report.label(row), *cells, *own])
    title = f"{report.TITLES[what]}{', ragged' if ragged else ''}, µs a step: N, T, D, H"
    own = ["fastlstm, million samples·steps a second", "GFLOP/s"]
    return report.table([title, *(TITLES[name] for name in names), *own], lines)
