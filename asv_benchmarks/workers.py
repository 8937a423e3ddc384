"""Systems in processes of their own, and taking turns with them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Sizes = Sequence[int]  # a Shape or a Fit

ROOT = Path(__file__).parents[1]
PAUSE = 0.15  # seconds before each turn: the threads of whoever had the one before go on spinning for a while


class Worker:
    """A process of one system.

    Parameters
    ----------
    system : str
        A name of systems.SYSTEMS; behind a space that of another cell than the standard one, where the system has it.
    source : path
        Where its fastlstm comes from.
    script : str
        Of this folder: who answers, systems.py or learners.py.
    **environment : str
        Environment variables besides this process's own.
    """

    def __init__(self, system: str, source: Path = ROOT, script: str = "systems.py", **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", ROOT / "asv_benchmarks" / script, *system.split()],
            env={**os.environ, "PYTHONPATH": str(source), "JAX_PLATFORMS": "cpu", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, mode: str, shape: Sizes, seconds: float) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says so
            print(json.dumps({"mode": mode, "shape": shape, "seconds": seconds}), file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """Seconds a call and the projections of its results, or an error."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def take_turns(
    workers: dict[str, Worker], mode: str, shape: Sizes, rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, Any], dict[str, str]]:
    """Each worker's times by round, its projections, and the errors of those that cannot do it; the order of the turns
    is reversed in every other round."""
    times: dict[str, list[float]] = {name: [] for name in workers}
    checks, errors = {}, {}
    for number in range(rounds):
        names: Sequence[str] = list(workers)
        for name in names if number % 2 == 0 else names[::-1]:
            if name in errors:
                continue
            time.sleep(PAUSE)
            workers[name].ask(mode, shape, seconds)
            found = workers[name].answer()
            if "error" in found:
                errors[name] = found["error"]
                del times[name]
            else:
                times[name].append(found["seconds"])
                checks[name] = found["check"]
    return times, checks, errors


def disagreement(checks: dict[str, Any]) -> float:
    """The largest relative distance between any two systems' arrays, from their projections."""
    worst = 0.0
    for results in zip(*checks.values(), strict=True):
        sums = [total for total, _ in results]
        largest = max(norm for _, norm in results) or 1.0  # all of 0: a gradient that no step before reaches
        worst = max(worst, (max(sums) - min(sums)) / largest)
    return worst
