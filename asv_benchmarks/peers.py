"""fastlstm beside PyTorch, ONNX Runtime, OpenVINO, JAX and the NumPy reference, and beside what the machine can do.

python -m asv_benchmarks.peers                    # measures, then writes docs/performance.* and README's table
python -m asv_benchmarks.peers --from-json        # writes the pages and plots again from docs/performance.json
python -m asv_benchmarks.peers --only 64,50,128,256 --systems fastlstm torch      # measures and prints, writes nothing
python -m asv_benchmarks.peers --only 1,1,16,64 --modes step      # one time step from Python, the state kept
python -m asv_benchmarks.peers --device cuda      # fastlstm, cuDNN and JAX on a GPU: docs/device.json and its pages

Every system has a process of its own; for each shape they take turns, --rounds times, and the median counts. Results
are held against each other. What is not installed is left out by name. NUMBA_NUM_THREADS sets every system's threads.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from . import report
from .benchmarks.shapes import MODES, SHAPES, STEPPED, Shape, along
from .systems import INFER_ONLY, SYSTEMS, threads
from .workers import ROOT, Worker, disagreement, take_turns

TOLERANCE = 1e-3  # far above float32 rounding of the longest sums, far below any mistake
PLOTTED = "NTH"  # sizes that growth is drawn along
PROCESS_SHAPES = [SHAPES[4], SHAPES[5]]
NEEDS = {"fastlstm": ["fastlstm"], "reference": ["fastlstm"], "onnxruntime": ["onnxruntime", "onnx"],
         "openvino": ["openvino", "onnx"], "torch": ["torch"], "jax": ["jax"]}  # fmt: skip


def row(workers: dict[str, Worker], mode: str, shape: Shape, rounds: int, seconds: float) -> dict[str, Any]:
    """One shape's medians, in seconds a call; ends the program where results differ."""
    able = {name: worker for name, worker in workers.items() if mode != "train" or name not in INFER_ONLY}
    times, checks, errors = take_turns(able, mode, shape, rounds, seconds)
    if (found := disagreement(checks)) > TOLERANCE:
        raise SystemExit(f"{mode} {shape}: the systems' results differ by {found:.1e}; nothing is written")
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{mode} {shape}:", ", ".join(f"{name} {1e3 * value:.4g} ms" for name, value in median.items()), flush=True)
    for name, message in errors.items():
        print(f"  {name}: {message}")
    return {"mode": mode, "shape": shape, "seconds": median, "errors": errors, "disagreement": found}


def processes(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Samples·steps a second of one process with all threads, and of as many processes with a thread each and their
    share of the batch each."""
    count, found = threads(), []
    one, many = [Worker("fastlstm")], [Worker("fastlstm", NUMBA_NUM_THREADS="1") for _ in range(count)]
    for mode in MODES:
        for shape in PROCESS_SHAPES:
            rates: dict[str, list[float]] = {"one": [], "many": []}
            for _ in range(rounds):
                for name, workers in (("one", one), ("many", many)):
                    part = shape._replace(N=shape.N // len(workers))
                    for again in (0.01, seconds):  # the first gets all of them past what only the first call does
                        for worker in workers:
                            worker.ask(mode, part, again)
                        answers = [worker.answer() for worker in workers]
                    rates[name].append(sum(part.N * part.T / answer["seconds"] for answer in answers))
            rate = {name: statistics.median(values) for name, values in rates.items()}
            found.append({"mode": mode, "shape": shape, **rate})
    for worker in one + many:
        worker.close()
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on, with and when."""
    from fastlstm.cpu.vectors.target import vector_bytes

    try:
        processor = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())[1]  # type: ignore[index]
    except (OSError, TypeError):
        processor = platform.processor()
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": threads(),
        "vector_bits": 8 * vector_bytes(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.date.today().isoformat(),
    }


def versions(systems: Iterable[str], needs: dict[str, list[str]] = NEEDS) -> dict[str, str]:
    """Of all that these systems need, and of what fastlstm needs."""
    from fastlstm import __version__

    distributions = metadata.packages_distributions()

    def version(module: str) -> str:
        if module == "fastlstm":  # it may be on PYTHONPATH only
            return __version__
        known = distributions[module]
        return metadata.version(module if module in known else known[0])  # tensorflow has distributions of other names

    return {name: version(name) for name in ["numba", "numpy", *sorted({n for s in systems for n in needs[s]})]}


def measured_by(module: str) -> Any:
    """What a module of this folder prints, in a process of its own."""
    command = [sys.executable, "-m", f"asv_benchmarks.{module}"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def measure(systems: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """All that the pages show."""
    limits = measured_by("roofline")
    workers = {system: Worker(system) for system in systems}
    found = {
        "machine": machine(),
        "versions": versions(systems),
        "rounds": rounds,
        "limits": limits,
        "table": [row(workers, mode, shape, rounds, seconds) for mode in MODES for shape in SHAPES],
        "steps": [row(workers, "step", shape, rounds, seconds) for shape in STEPPED],
        "scaling": {
            axis: [row(workers, mode, shape, rounds, seconds / 2) for mode in MODES for shape in along(axis)]
            for axis in PLOTTED
        },
    }
    for worker in workers.values():
        worker.close()
    found["processes"] = processes(rounds, seconds)
    found["figures"] = measured_by("figures")
    return found


def installed(names: Iterable[str], needs: dict[str, list[str]] = NEEDS) -> list[str]:
    """Those that can run here; says which cannot."""
    found = []
    for name in names:
        missing = [need for need in needs[name] if importlib.util.find_spec(need) is None]
        if missing:
            print(f"{name} is left out: {', '.join(missing)} not installed")
        else:
            found.append(name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    parser.add_argument("--only", nargs="+", metavar="N,T,D,H", help="print these shapes, write nothing")
    parser.add_argument("--modes", nargs="+", choices=[*MODES, "step"], help="of --only; step leaves T aside")
    parser.add_argument("--systems", nargs="+", metavar="NAME")
    parser.add_argument("--device", choices=["cuda"], help="a GPU, in the place of processors")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a turn, about")
    arguments = parser.parse_args()
    if arguments.modes and not arguments.only:
        parser.error("--modes: says what to measure of the shapes of --only, which is missing")
    if arguments.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {arguments.rounds}")
    if arguments.device:
        from . import device  # which takes from here what is the same there

        device.beside_peers(parser, arguments)
        return
    names = arguments.systems or list(SYSTEMS)
    if unknown := set(names) - set(SYSTEMS):
        parser.error(f"unknown system {', '.join(sorted(unknown))}; known are {', '.join(SYSTEMS)}")
    if arguments.from_json:
        report.write(json.loads(report.RESULTS.read_text()))
        return
    systems = installed(names)
    if not set(systems) - {"fastlstm", "reference"}:
        parser.error("no other system is installed: pip install -e '.[peers]'")
    if arguments.only:
        try:
            shapes = [Shape.parse(text) for text in arguments.only]
        except ValueError as error:
            parser.error(str(error))
        workers = {system: Worker(system) for system in systems}
        for mode in arguments.modes or MODES:
            for shape in shapes:
                row(workers, mode, shape, arguments.rounds, arguments.seconds)
        for worker in workers.values():
            worker.close()
        return
    if not {"fastlstm", "reference"} <= set(systems):
        parser.error("the pages need fastlstm and reference among --systems")
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("the plots need matplotlib: pip install -e '.[bench]'")
    results = measure(systems, arguments.rounds, arguments.seconds)
    report.RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    report.write(json.loads(report.RESULTS.read_text()))


if __name__ == "__main__":
    main()
