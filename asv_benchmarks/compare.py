"""Is commit B slower than commit A? Both measured now, on this machine, in turns.

python -m asv_benchmarks.compare main HEAD
python -m asv_benchmarks.compare main HEAD --shapes 64,50,128,256 --modes train --rounds 60

Each commit is checked out into a temporary folder and has a process of its own. A round gives one ratio of their
times, B / A, so that what the machine does to both cancels; printed are the median ratio and its 95 % confidence
interval (bootstrap). Exit status 1 where B is slower and the whole interval is above 1.02.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from .benchmarks.shapes import MODES, SHAPES, Shape
from .workers import ROOT, Worker, disagreement, take_turns

SLOWER = 1.02
SAMPLES = 5000  # of the bootstrap


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its 95 % confidence interval."""
    values = np.array(ratios)
    drawn = np.random.default_rng(0).choice(values, (SAMPLES, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    return float(np.median(values)), float(low), float(high)


def checkout(commit: str, folder: Path) -> Path:
    """A worktree of that commit."""
    run = subprocess.run(
        ["git", "worktree", "add", "--detach", folder, commit], cwd=ROOT, text=True, capture_output=True
    )
    if run.returncode:
        raise SystemExit(f"{commit}: {run.stderr.strip().splitlines()[-1]}")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--shapes", nargs="+", default=[str(shape) for shape in SHAPES], metavar="N,T,D,H")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.05, help="of a turn, about")
    arguments = parser.parse_args()
    try:
        shapes = [Shape.parse(text) for text in arguments.shapes]
    except ValueError as error:
        parser.error(str(error))
    if arguments.rounds < 2:
        parser.error(f"--rounds: expected at least 2, got {arguments.rounds}")
    slower = 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in "ab"]
        workers: dict[str, Worker] = {}
        try:
            for name, commit, folder in zip("ab", (arguments.a, arguments.b), folders, strict=True):
                workers[name] = Worker("fastlstm", checkout(commit, folder))
            for mode in arguments.modes:
                for shape in shapes:
                    times, checks, errors = take_turns(workers, mode, shape, arguments.rounds, arguments.seconds)
                    if errors:
                        raise SystemExit(f"{mode} {shape}: {errors}")
                    if (found := disagreement(checks)) > 1e-4:
                        raise SystemExit(f"{mode} {shape}: the two commits' results differ by {found:.1e}")
                    median, low, high = interval([b / a for a, b in zip(times["a"], times["b"], strict=True)])
                    slower += low > SLOWER
                    verdict = "slower" if low > SLOWER else "faster" if high < 1 else ""
                    print(f"{mode} {shape!s:<18} {median:.3f} [{low:.3f}, {high:.3f}] {verdict}", flush=True)
        finally:
            for worker in workers.values():
                worker.close()
            for folder in folders:
                subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, capture_output=True)
    return int(slower > 0)


if __name__ == "__main__":
    raise SystemExit(main())
