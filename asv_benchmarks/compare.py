"""Is commit B slower than commit A? Both measured now, on this machine, in turns.

python -m asv_benchmarks.compare main HEAD                 # some minutes
python -m asv_benchmarks.compare main HEAD --shapes 64,50,128,256 --modes train --pairs 20

Each commit is checked out into a temporary folder. A pair of processes, one a commit, takes turns through all shapes
and gives one ratio of their times a shape, B / A, so that what the machine does to both cancels. Then comes a new
pair: two processes of the very same code can differ by a tenth for as long as they live. Printed are the median ratio
of the pairs and its 99 % confidence interval, by the sign test. Exit status 1 where B is slower: the whole interval is
above 1.02.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .benchmarks.shapes import MODES, SHAPES, Shape
from .workers import ROOT, Worker, disagreement, take_turns

SLOWER = 1.02
TOLERANCE = 1e-4  # of the results
CONFIDENCE = 0.99
LEAST_PAIRS = 8  # with fewer, not even all of their ratios are an interval of that confidence


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its confidence interval: as many ratios are left out at either end as the sign test allows."""
    ranked, count = sorted(ratios), len(ratios)
    below, tail = 0, 2.0**-count  # how probable it is that at most that many of the ratios are below the true median
    while 1 - 2 * (more := tail + math.comb(count, below + 1) * 2.0**-count) >= CONFIDENCE:
        below, tail = below + 1, more
    return statistics.median(ranked), ranked[below], ranked[count - 1 - below]


def verdict(low: float, high: float) -> str:
    return "slower" if low > SLOWER else "faster" if high < 1 / SLOWER else ""


def checkout(commit: str, folder: Path) -> Path:
    """A worktree of that commit."""
    run = subprocess.run(
        ["git", "worktree", "add", "--detach", folder, commit], cwd=ROOT, text=True, capture_output=True
    )
    if run.returncode:
        raise SystemExit(f"{commit}: {run.stderr.strip().splitlines()[-1]}")
    return folder


def pair(
    folders: dict[str, Path], names: str, rounds: int, seconds: float, ratios: dict[tuple[str, Shape], list[float]]
) -> None:
    """Two processes' ratio for each problem, added to ratios."""
    workers = {name: Worker("fastlstm", folders[name]) for name in names}
    try:
        for (mode, shape), found in ratios.items():
            times, checks, errors = take_turns(workers, mode, shape, rounds, seconds)
            if errors:
                raise SystemExit(f"{mode} {shape}: {errors}")
            if (far := disagreement(checks)) > TOLERANCE:
                raise SystemExit(f"{mode} {shape}: the two commits' results differ by {far:.1e}")
            found.append(statistics.median(b / a for a, b in zip(times["a"], times["b"], strict=True)))
    finally:
        for worker in workers.values():
            worker.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--shapes", nargs="+", default=[str(shape) for shape in SHAPES], metavar="N,T,D,H")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--pairs", type=int, default=12, help="of processes")
    parser.add_argument("--rounds", type=int, default=3, help="of each pair, for each shape")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a turn, about")
    arguments = parser.parse_args()
    try:
        shapes = [Shape.parse(text) for text in arguments.shapes]
    except ValueError as error:
        parser.error(str(error))
    for name, least in (("pairs", LEAST_PAIRS), ("rounds", 1)):
        if (given := getattr(arguments, name)) < least:
            parser.error(f"--{name}: expected at least {least}, got {given}")
    problems = [(mode, shape) for mode in arguments.modes for shape in shapes]
    ratios: dict[tuple[str, Shape], list[float]] = {problem: [] for problem in problems}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary, name) for name in "ab"}
        try:
            for name, commit in (("a", arguments.a), ("b", arguments.b)):
                checkout(commit, folders[name])
            for number in range(arguments.pairs):
                print(f"pair {number + 1} of {arguments.pairs}", file=sys.stderr, flush=True)
                names = "ab" if number % 2 == 0 else "ba"  # so that neither is always the first
                pair(folders, names, arguments.rounds, arguments.seconds, ratios)
        finally:
            for folder in folders.values():
                subprocess.run(["git", "worktree", "remove", "--force", folder], cwd=ROOT, capture_output=True)
    verdicts = []
    for (mode, shape), found in ratios.items():
        median, low, high = interval(found)
        verdicts.append(verdict(low, high))
        print(f"{mode} {shape!s:<18} {median:.3f} [{low:.3f}, {high:.3f}] {verdicts[-1]}")
    return int("slower" in verdicts)


if __name__ == "__main__":
    raise SystemExit(main())
