"""The interpolated cell beside the standard one, and beside JAX with the same equations.

python -m asv_benchmarks.cells                           # measures, then writes docs/cells.json and docs/cells.md
python -m asv_benchmarks.cells --modes infer --shapes 64,50,128,256     # measures these anew, the others stay
python -m asv_benchmarks.cells --from-json               # writes the page again from docs/cells.json

Each has a process of its own; for each shape they take turns, --rounds times, and the median counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from . import report
from .benchmarks.shapes import MODES, SHAPES, Shape
from .peers import TOLERANCE, installed, machine, versions
from .workers import Worker, disagreement, take_turns

RESULTS, PAGE = report.DOCS / "cells.json", report.DOCS / "cells.md"
SYSTEMS = ["fastlstm", "fastlstm interpolated", "jax interpolated"]


def measure(modes: list[str], shapes: list[Shape], rounds: int, seconds: float, old: dict[str, Any]) -> dict[str, Any]:
    """Seconds a call for each mode and shape; those of the old results that are not measured anew stay."""
    table = {(row["mode"], tuple(row["shape"])): row for row in old.get("table", [])}
    workers = {system: Worker(system) for system in SYSTEMS}
    for mode in modes:
        for shape in shapes:
            times, checks, errors = take_turns(workers, mode, shape, rounds, seconds)
            if errors:
                raise SystemExit(f"{mode} {shape}: {errors}")
            if (found := disagreement({name: checks[name] for name in SYSTEMS[1:]})) > TOLERANCE:
                raise SystemExit(f"{mode} {shape}: the results differ by {found:.1e}; nothing is written")
            median = {name: statistics.median(values) for name, values in times.items()}
            table[mode, tuple(shape)] = {"mode": mode, "shape": shape, "seconds": median}
            print(f"{mode} {shape}:", ", ".join(f"{name} {1e3 * s:.4g} ms" for name, s in median.items()), flush=True)
    for worker in workers.values():
        worker.close()
    every = [table[mode, tuple(shape)] for mode in MODES for shape in SHAPES if (mode, tuple(shape)) in table]
    return {"machine": machine(), "versions": versions(["fastlstm", "jax"]), "rounds": rounds, "table": every}


def parts(results: dict[str, Any]) -> dict[str, str]:
    """The page's parts, by marker."""
    lines, ratios = [], []
    for row in results["table"]:
        shape, mode = Shape(*row["shape"]), row["mode"]
        standard, own, jax = (row["seconds"][name] for name in SYSTEMS)
        rates = [shape.flop(mode) / standard / 1e9, shape.flop(mode, "interpolated") / own / 1e9]
        ratios.append(jax / own)
        lines.append([report.TITLES[mode], ", ".join(map(str, shape)), report.number(1e3 * standard),
                      report.number(1e3 * own), *(report.number(rate) for rate in rates), f"{rates[1] / rates[0]:.2f}",
                      f"{ratios[-1]:.2f}"])  # fmt: skip
    head = ["", "N, T, D, H", "standard, ms", "interpolated, ms", "GFLOP/s", "GFLOP/s", "share", "JAX's time / ours"]
    mean = f"Geometric mean of the last column: {statistics.geometric_mean(ratios):.2f}."
    conditions = report.conditions(results, "python -m asv_benchmarks.cells")
    return {"cells": f"{report.table(head, lines)}\n\n{mean} {conditions}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--shapes", nargs="+", default=[str(shape) for shape in SHAPES], metavar="N,T,D,H")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a turn, about")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not arguments.from_json:
        try:
            shapes = [Shape.parse(text) for text in arguments.shapes]
        except ValueError as error:
            parser.error(str(error))
        if "jax" not in installed(["jax"]):
            parser.error("jax is not installed: pip install -e '.[peers]'")
        results = measure(arguments.modes, shapes, arguments.rounds, arguments.seconds, results)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        results = json.loads(RESULTS.read_text())
    PAGE.write_text(report.fill(PAGE.read_text(), parts(results)))


if __name__ == "__main__":
    main()
