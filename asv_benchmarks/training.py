"""fastlstm.nn beside Keras on each of its backends and a loop in PyTorch: samples a second of an epoch of learning.

python -m asv_benchmarks.training                        # measures, then writes docs/training.json and its table
python -m asv_benchmarks.training --only 32,8,16,32,2000 --systems fastlstm torch     # prints, writes nothing
python -m asv_benchmarks.training --from-json            # writes the table again from docs/training.json

Each has a process of its own; for each model they take turns, --rounds times, and the median counts. After the first
epoch their weights are held against each other. What is not installed is left out by name. NUMBA_NUM_THREADS sets every
system's threads, but JAX's, which takes all cores.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from . import report
from .benchmarks.shapes import FITS, Fit
from .peers import installed, machine, versions
from .workers import Worker, disagreement, take_turns

RESULTS, PAGE = report.DOCS / "training.json", report.DOCS / "performance.md"
TOLERANCE = 1e-3  # far above rounding, far below any mistake
BACKENDS = ["jax", "tensorflow", "torch"]
NEEDS = {
    "fastlstm": ["fastlstm"],
    "torch": ["torch"],
    **{f"keras-{backend}": ["keras", backend] for backend in BACKENDS},
}
TITLES = {"fastlstm": "fastlstm.nn", "torch": "PyTorch, own loop", "keras-jax": "Keras on JAX",
          "keras-tensorflow": "Keras on TensorFlow", "keras-torch": "Keras on PyTorch"}  # fmt: skip


def worker(system: str) -> Worker:
    learner, _, backend = system.partition("-")
    return Worker(learner, script="learners.py", KERAS_BACKEND=backend)


def measure(systems: list[str], fits: list[Fit], rounds: int) -> dict[str, Any]:
    """Seconds an epoch for each model; ends the program where the weights differ."""
    workers = {system: worker(system) for system in systems}
    table = []
    for fit in fits:
        times, checks, errors = take_turns(workers, "fit", fit, rounds, 0.0)
        if (found := disagreement(checks)) > TOLERANCE:
            raise SystemExit(f"{fit}: the weights after an epoch differ by {found:.1e}; nothing is written")
        median = {name: statistics.median(values) for name, values in times.items()}
        rates = (f"{name} {report.number(fit.samples / seconds)} samples/s" for name, seconds in median.items())
        print(f"{fit}:", ", ".join(rates), flush=True)
        for name, message in errors.items():
            print(f"  {name}: {message}")
        table.append({"fit": fit, "seconds": median, "errors": errors, "disagreement": found})
    for one in workers.values():
        one.close()
    return {"machine": machine(), "versions": versions(systems, NEEDS), "rounds": rounds, "table": table}


def parts(results: dict[str, Any]) -> dict[str, str]:
    """The page's part, by marker."""
    shown = [name for name in TITLES if any(name in row["seconds"] for row in results["table"])]
    lines = []
    for row in results["table"]:
        fit, seconds = Fit(*row["fit"]), row["seconds"]
        rates = [report.number(fit.samples / seconds[name]) if name in seconds else "–" for name in shown]
        lines.append([", ".join(map(str, fit)), *rates])
    head = ["samples a second: batch, T, D, H, samples", *(TITLES[name] for name in shown)]
    conditions = report.conditions(results, "python -m asv_benchmarks.training")
    return {"training": f"{report.table(head, lines)}\n\n{conditions}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    parser.add_argument("--only", nargs="+", metavar="BATCH,T,D,H,SAMPLES", help="print these models, write nothing")
    parser.add_argument("--systems", nargs="+", default=list(NEEDS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if unknown := set(arguments.systems) - set(NEEDS):
        parser.error(f"unknown system {', '.join(sorted(unknown))}; known are {', '.join(NEEDS)}")
    if arguments.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {arguments.rounds}")
    try:
        fits = [Fit.parse(text) for text in arguments.only or ()] or FITS
    except ValueError as error:
        parser.error(str(error))
    results = None
    if not arguments.from_json:
        systems = installed(arguments.systems, NEEDS)
        if not set(systems) - {"fastlstm"}:
            parser.error("no other system is installed: pip install -e '.[keras]'")
        if "fastlstm" not in systems and not arguments.only:
            parser.error("the page needs fastlstm among --systems")
        results = measure(systems, fits, arguments.rounds)
        if arguments.only:
            return
    report.publish(results, RESULTS, PAGE, parts, parser.error)


if __name__ == "__main__":
    main()
