"""Learning in one process and in several: samples a second, and the share of the time that their exchanges take.

python -m asv_benchmarks.scale                                   # measures, then writes docs/scale.json and its tables
python -m asv_benchmarks.scale --only 64,8,16,32,6400 --rounds 1 # prints, writes nothing
python -m asv_benchmarks.scale --from-json                       # writes the tables again from docs/scale.json

pip install mpi4py mpich. The same samples in the same batches: by one process with a thread, by one with as many
threads as there are ranks (--ranks), and by so many ranks with a thread each, which have equal parts of every batch.
They take turns, --rounds times, each time in new processes; their weights are held against each other.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import report
from .benchmarks.learning import data, model
from .benchmarks.shapes import Fit
from .peers import installed, machine, versions
from .systems import projections
from .workers import PAUSE, ROOT, disagreement

RESULTS, PAGE = report.DOCS / "scale.json", report.DOCS / "scale.md"
FITS = [Fit(64, 8, 16, 32, 12_800), Fit(128, 50, 16, 128, 2_560)]
SECONDS = 2.0  # of a turn, at least, in whole epochs
TOLERANCE = 1e-3  # as in training.py
NETWORKS = {  # assumed: seconds until a message begins to arrive, and bytes a second
    "10 Gbit/s Ethernet": (30e-6, 1.1e9),
    "100 Gbit/s InfiniBand": (2e-6, 11e9),
}
MACHINES = (2, 8, 32, 128)


class Timed:
    """A communicator that takes the time of its sums, also that of waiting for the other ranks."""

    def __init__(self, comm: Any) -> None:
        self._comm, self.seconds, self.bytes = comm, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comm, name)

    def Allreduce(self, send: Any, receive: Any) -> None:
        began = time.perf_counter()
        self._comm.Allreduce(send, receive)
        self.seconds += time.perf_counter() - began
        self.bytes = send.nbytes


class Clock:
    """A callback: what each epoch has taken, and of that its sums."""

    def __init__(self, comm: Timed | None) -> None:
        self._comm = comm
        self.seconds: list[float] = []
        self.exchanging: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.seconds, self.exchanging = [], []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began, self._before = time.perf_counter(), self._comm.seconds if self._comm else 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        self.exchanging.append(self._comm.seconds - self._before if self._comm else 0.0)


def turn(fit: Fit, *, ranks: bool) -> dict[str, Any] | None:
    """Seconds of the median epoch, of one process or of all ranks. None at ranks that are not the first."""
    from fastlstm import nn

    comm: Any = None
    x, labels = data(fit)
    batch = fit.batch
    if ranks:
        from mpi4py import MPI

        comm = Timed(MPI.COMM_WORLD)
        batch //= comm.size
        x, labels = (
            np.ascontiguousarray(a.reshape(-1, comm.size, batch, *a.shape[1:])[:, comm.rank]).reshape(-1, *a.shape[1:])
            for a in (x, labels)
        )
    learner, clock = model(fit, nn.Sequential, nn), Clock(comm)
    options = {"batch_size": batch, "shuffle": False, "verbose": 0, "comm": comm, "callbacks": [clock]}
    learner.fit(x, labels, **options)  # compiles
    check = projections(learner.get_weights())
    learner.fit(x, labels, epochs=2, **options)
    epochs = max(3, math.ceil(SECONDS / clock.seconds[-1]))
    learner.fit(x, labels, epochs=1 + (epochs if comm is None else comm.bcast(epochs)), **options)
    result: dict[str, Any] = {"seconds": statistics.median(clock.seconds[1:]), "check": check}
    if comm is not None:
        shares = comm.gather(sum(clock.exchanging[1:]) / sum(clock.seconds[1:]))
        if comm.rank:
            return None
        result |= {"share": statistics.mean(shares), "bytes": comm.bytes}
    return result


def ways(ranks: int) -> dict[str, tuple[int, int]]:
    """By name: ranks, 0 where there is no MPI, and threads of each."""
    return {"one thread": (0, 1), f"{ranks} threads": (0, ranks), f"{ranks} ranks": (ranks, 1)}


def run(fit: Fit, ranks: int, threads: int) -> dict[str, Any]:
    """A turn in new processes."""
    command = [sys.executable, "-W", "ignore", "-m", "asv_benchmarks.scale", "--turn", str(fit)]
    if ranks:
        command = [_mpiexec(), "-n", str(ranks), *command, "--with-mpi"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"NUMBA_NUM_THREADS": str(threads), "PYTHONPATH": paths}
    time.sleep(PAUSE)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _mpiexec() -> str:
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise SystemExit("mpiexec is not installed: pip install mpi4py mpich")
    return found


def measure(fits: list[Fit], ranks: int, rounds: int) -> dict[str, Any]:
    """Seconds an epoch for each way; ends the program where the weights differ."""
    table = []
    for fit in fits:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways(ranks)}
        for number in range(rounds):
            for name in list(found)[:: 1 if number % 2 == 0 else -1]:
                found[name].append(run(fit, *ways(ranks)[name]))
        if (off := disagreement({name: some[0]["check"] for name, some in found.items()})) > TOLERANCE:
            raise SystemExit(f"{fit}: the weights after an epoch differ by {off:.1e}; nothing is written")
        seconds = {name: statistics.median(one["seconds"] for one in some) for name, some in found.items()}
        together = found[f"{ranks} ranks"]
        row = {"fit": fit, "seconds": seconds, "share": statistics.median(one["share"] for one in together),
               "bytes": together[0]["bytes"], "disagreement": off}  # fmt: skip
        print(f"{fit}:", ", ".join(f"{name} {report.number(fit.samples / s)} samples/s" for name, s in seconds.items()),
              f"exchanges {row['share']:.1%}, of {row['bytes']} bytes", flush=True)  # fmt: skip
        table.append(row)
    found_versions = versions(["mpi"], {"mpi": ["fastlstm", "mpi4py"]})
    return {"machine": machine(), "versions": found_versions, "ranks": ranks, "rounds": rounds, "table": table}


def exchange(size: int, machines: int, network: str) -> float:
    """Seconds of a sum of so many bytes, by halving and doubling: Thakur et al., "Optimization of Collective
    Communication Operations in MPICH" (2005)."""
    latency, speed = NETWORKS[network]
    return 2 * math.log2(machines) * latency + 2 * (machines - 1) / machines * size / speed


def parts(results: dict[str, Any]) -> dict[str, str]:
    """The page's parts, by marker; nothing in them where nothing was measured."""
    if not results:
        return {"scale": "", "scale_model": ""}
    ranks, lines, modelled = results["ranks"], [], []
    names = list(ways(ranks))
    for row in results["table"]:
        fit, seconds = Fit(*row["fit"]), row["seconds"]
        label = ", ".join(map(str, fit))
        rates = [report.number(fit.samples / seconds[name]) for name in names]
        against = seconds[names[1]] / seconds[names[2]]
        lines.append([label, *rates, f"{against:.0%}", f"{row['share']:.1%}", f"{row['bytes'] / 1024:.0f}"])
        batch = seconds[names[1]] * fit.batch / fit.samples
        for network in NETWORKS:
            shares = [batch / (batch + exchange(row["bytes"], count, network)) for count in MACHINES]
            modelled.append([label, report.number(1e3 * batch), network, *(f"{share:.0%}" for share in shares)])
    head = ["samples a second: batch, T, D, H, samples", f"1 process, {names[0]}", f"1 process, {names[1]}",
            f"{names[2]}, one thread each", f"{names[2]} / {names[1]}", "of it exchanges", "KiB a batch"]  # fmt: skip
    expected = ["batch, T, D, H, samples", "ms a batch", "network", *(f"{count} machines" for count in MACHINES)]
    conditions = report.conditions(results, "python -m asv_benchmarks.scale").replace(" for every system", "")
    return {"scale": f"{report.table(head, lines)}\n\n{conditions}", "scale_model": report.table(expected, modelled)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from-json", action="store_true", help="measure nothing")
    parser.add_argument("--only", nargs="+", metavar="BATCH,T,D,H,SAMPLES", help="print these models, write nothing")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    parser.add_argument("--with-mpi", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.turn:
        if (found := turn(Fit.parse(arguments.turn), ranks=arguments.with_mpi)) is not None:
            print(json.dumps(found), flush=True)
        return
    if arguments.rounds < 1 or arguments.ranks < 2:
        parser.error("--rounds: expected at least 1, --ranks at least 2, got "
                     f"{arguments.rounds} and {arguments.ranks}")  # fmt: skip
    try:
        fits = [Fit.parse(text) for text in arguments.only or ()] or FITS
    except ValueError as error:
        parser.error(str(error))
    if any(fit.batch % arguments.ranks or fit.samples % fit.batch for fit in fits):
        parser.error("a batch has to be of equal parts for all ranks, and the samples of whole batches")
    results = None
    if not arguments.from_json:
        if not installed(["mpi"], {"mpi": ["mpi4py"]}):
            parser.error("mpi4py is needed: pip install mpi4py mpich")
        results = measure(fits, arguments.ranks, arguments.rounds)
        if arguments.only:
            return
    report.publish(results, RESULTS, PAGE, parts, parser.error)


if __name__ == "__main__":
    main()
