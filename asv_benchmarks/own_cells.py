"""The GRU and cells of one's own beside PyTorch, ONNX Runtime and JAX, for docs/performance.md.

python -m asv_benchmarks.own_cells                # measures, then writes docs/own_cells.json and docs/performance.md
python -m asv_benchmarks.own_cells --from-json    # writes the page again from docs/own_cells.json
python -m asv_benchmarks.own_cells --only 32,8,16,32 --cells coupled          # measures and prints, writes nothing

Each system has a process of its own for each cell; for each shape they take turns, --rounds times, and the median
counts. Results are held against each other. NUMBA_NUM_THREADS sets every system's threads, but JAX's, which takes all
cores. What is not installed is left out by name.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from . import report
from .benchmarks.shapes import GATES, MODES, SHAPES, STEPPED, Shape
from .peers import TOLERANCE, installed, machine, versions
from .systems import INFER_ONLY
from .workers import Worker, disagreement, take_turns

RESULTS, PAGE = report.DOCS / "own_cells.json", report.DOCS / "performance.md"
OWN_SHAPES = [SHAPES[n] for n in (1, 2, 3, 4, 5, 6)]
NEEDS = {"fastlstm": ["fastlstm"], "torch": ["torch"], "torch_compiled": ["torch"],
         "onnxruntime": ["onnxruntime", "onnx"], "jax": ["jax"]}  # fmt: skip
TITLES = {"fastlstm": "fastlstm", "torch": "torch", "torch_compiled": "torch, step compiled",
          "onnxruntime": "onnxruntime", "jax": "jax"}  # fmt: skip


def systems_of(cell: str, mode: str, systems: list[str]) -> list[str]:
    """Those that have the cell: of the GRU a framework's own, of another cell what can be written in it."""
    without = {"torch_compiled"} if cell == "gru" else {"onnxruntime"}
    return [one for one in systems if one not in without and (mode != "train" or one not in INFER_ONLY)]


def jobs(cells: list[str], only: list[Shape]) -> list[tuple[str, str, Shape]]:
    """Cells, modes and shapes."""
    found = []
    for cell in cells:
        shapes = only or (SHAPES if cell == "gru" else OWN_SHAPES)
        found += [(cell, mode, shape) for mode in MODES for shape in shapes]
        found += [(cell, "step", shape) for shape in only or STEPPED]
    return found


def measure(todo: list[tuple[str, str, Shape]], systems: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Seconds a call; ends the program where results differ."""
    table: list[dict[str, Any]] = []
    workers: dict[str, Worker] = {}
    before = ""
    for cell, mode, shape in todo:
        if cell != before:
            close(workers)
            workers = {one: Worker(f"{one} {cell}", script="cell_systems.py") for one in systems_of(cell, "", systems)}
            before = cell
        able = {one: workers[one] for one in systems_of(cell, mode, systems)}
        times, checks, errors = take_turns(able, mode, shape, rounds, seconds)
        if (found := disagreement(checks)) > TOLERANCE:
            raise SystemExit(f"{cell} {mode} {shape}: the systems' results differ by {found:.1e}; nothing is written")
        median = {name: statistics.median(values) for name, values in times.items()}
        shown = ", ".join(f"{name} {1e3 * value:.4g} ms" for name, value in median.items())
        print(f"{cell} {mode} {shape}:", shown, flush=True)
        for name, message in errors.items():
            print(f"  {name}: {message}")
        table.append({"cell": cell, "mode": mode, "shape": shape, "seconds": median, "errors": errors})
    close(workers)
    return {"machine": machine(), "versions": versions(systems, NEEDS), "rounds": rounds, "table": table}


def close(workers: dict[str, Worker]) -> None:
    for worker in workers.values():
        worker.close()


def parts(results: dict[str, Any]) -> dict[str, str]:
    """The page's parts, by marker; nothing in them where nothing was measured."""
    if not results:
        return {f"{cell}_cell": "" for cell in GATES}
    conditions = report.conditions(results, "python -m asv_benchmarks.own_cells")
    return {f"{cell}_cell": f"{tables(results, cell)}\n\n{conditions}" for cell in GATES}


def tables(results: dict[str, Any], cell: str) -> str:
    """One for each mode, and in words how far ahead of the fastest other one."""
    rows = [row for row in results["table"] if row["cell"] == cell]
    found, means = [], []
    for mode in (*MODES, "step"):
        of_mode = [named(row) for row in rows if row["mode"] == mode]
        found.append(report.times(of_mode, list(TITLES.values())))
        ratios = [report.best_peer(row)[1] / row["seconds"]["fastlstm"] for row in of_mode]  # type: ignore[index]
        means.append(f"{report.TITLES[mode]} {statistics.geometric_mean(ratios):.2f} (least {min(ratios):.2f})")
    return "\n\n".join([*found, f"Time of the fastest other one / ours, geometric mean: {', '.join(means)}."])


def named(row: dict[str, Any]) -> dict[str, Any]:
    """With titles in the place of systems' names."""
    return row | {"seconds": {TITLES[name]: seconds for name, seconds in row["seconds"].items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    parser.add_argument("--only", nargs="+", default=[], metavar="N,T,D,H", help="print these shapes, write nothing")
    parser.add_argument("--cells", nargs="+", default=list(GATES), choices=list(GATES), help="of --only")
    parser.add_argument("--systems", nargs="+", default=list(NEEDS), choices=list(NEEDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn, about")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {arguments.rounds}")
    if arguments.cells != list(GATES) and not arguments.only:
        parser.error("--cells: says which of --only to measure, which is missing")
    try:
        only = [Shape.parse(text) for text in arguments.only]
    except ValueError as error:
        parser.error(str(error))
    results = None
    if not arguments.from_json:
        systems = installed(arguments.systems, NEEDS)
        if "fastlstm" not in systems or not set(systems) - {"fastlstm"}:
            parser.error("fastlstm and another system are needed: pip install -e '.[peers]'")
        todo = jobs(arguments.cells, only)
        results = measure(todo, systems, arguments.rounds, arguments.seconds)
        if only:
            return
    report.publish(results, RESULTS, PAGE, parts, parser.error)


if __name__ == "__main__":
    main()
