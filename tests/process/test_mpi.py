"""Learning in processes that MPI starts. What is exact there is tested without it, in tests/nn/test_together.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import SUITE

PATIENCE = 120  # seconds: a rank that waits for another for ever is ended by it
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

BEGIN = """
import json, sys
import numpy as np
from mpi4py import MPI
from fastlstm import nn
from fastlstm.nn import callbacks

comm = MPI.COMM_WORLD
rank, rng = comm.rank, np.random.default_rng(0)
x, y = rng.standard_normal((11, 5, 3)), rng.random((11, 5, 2))
weights, lengths = rng.random((11, 5)), rng.integers(0, 6, 11)

def model(seed=0, inputs=3):
    layers = [nn.LSTM(4, return_sequences=True, dtype="float64", kernel_regularizer="l2"),
              nn.Dense(2, dtype="float64")]
    made = nn.Sequential(layers, seed=seed)
    made.build((None, None, inputs))
    made.compile("adam", "mse", metrics=["mae"])
    return made

def part(cut, **options):
    return {"x": x[cut], "y": y[cut], "sample_weight": weights[cut], "lengths": lengths[cut], **options}

def say(**what):
    print("SAID " + json.dumps(what), flush=True)
"""


def mpi(code: str, ranks: int = 2, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mpi4py")
    if MPIEXEC is None:
        pytest.skip("no mpiexec")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(SUITE), "NUMBA_NUM_THREADS": "1"}
    return subprocess.run(
        [MPIEXEC, "-n", str(ranks), sys.executable, "-c", BEGIN + code],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip


def what(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The ranks have said, in the order of their numbers. Lines of two may stand in one."""
    read = json.JSONDecoder().raw_decode
    return sorted((read(one)[0] for one in done.stdout.split("SAID ")[1:]), key=lambda one: int(one["rank"]))


def said(code: str, ranks: int = 2) -> list[dict[str, Any]]:
    """What the ranks of a run without errors say."""
    done = mpi(code, ranks)
    assert done.returncode == 0, done.stderr
    return what(done)


def test_parts_of_three_ranks_learn_as_one() -> None:
    """One of them without any data; twice, with the same bits."""
    found = said(
        """
cuts = [slice(0, 7), slice(7, 7), slice(7, 11)]
runs = []
for _ in range(2):
    one = model(seed=rank)
    history = one.fit(**part(cuts[rank]), batch_size=4, epochs=3, shuffle=False, verbose=0, comm=comm,
                      validation_data=part(cuts[rank])).history
    runs.append((one.flat_params.tobytes().hex(), history))
expected = model(seed=0)
batches = [part(np.r_[0:4, 7:11]), part(np.r_[4:7])]
history = expected.fit(batches, epochs=3, verbose=0, validation_data=batches).history
off = max(np.abs(np.subtract(history[name], runs[0][1][name])).max() for name in history)
say(rank=rank, again=runs[0] == runs[1], bits=runs[0][0], off=float(off),
    weights=float(abs(one.flat_params - expected.flat_params).max()), history=runs[0][1])
""",
        ranks=3,
    )
    assert [one["rank"] for one in found] == [0, 1, 2]
    for one in found:
        assert one["again"]
        assert one["bits"] == found[0]["bits"]
        assert one["history"] == found[0]["history"]
        assert one["weights"] < 1e-12
        assert one["off"] < 1e-12


def test_one_rank_has_the_bits_of_no_communicator() -> None:
    (found,) = said(
        """
models = [model(), model()]
for one, options in zip(models, ({"comm": comm}, {})):
    one.fit(**part(slice(None)), batch_size=4, epochs=2, verbose=0, **options)
say(rank=rank, same=models[0].flat_params.tobytes() == models[1].flat_params.tobytes())
""",
        ranks=1,
    )
    assert found["same"]


def test_early_stopping_and_rank_0_alone_prints() -> None:
    done = mpi("""
one = model(seed=rank)
history = one.fit(**part(slice(0, 7) if rank == 0 else slice(7, 11)), epochs=50, verbose=2, comm=comm,
                  callbacks=[callbacks.EarlyStopping("loss", min_delta=1.0, patience=2, verbose=1)])
say(rank=rank, epochs=len(history.epoch))
""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("early stopping") == 1
    assert done.stdout.count("1 batches - ") == 3
    assert [one["epochs"] for one in what(done)] == [3, 3]


FAILING = {
    "its data": ("one.fit(**part(slice(0, 6), lengths=[9] * 6 if rank else None), comm=comm, verbose=0)", "lengths: "),
    "a callback": ("""
class Fail(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if rank == 1 and batch == 1:
            raise ValueError("no more")
one.fit(**part(slice(0, 6)), batch_size=2, comm=comm, verbose=0, callbacks=[Fail()])
""", "ValueError: no more"),
    "the end of the process": ("""
class Leave(callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if rank == 1:
            sys.exit("gone away")
one.fit(**part(slice(0, 6)), batch_size=2, comm=comm, verbose=0, callbacks=[Leave()])
""", "SystemExit: gone away"),
}  # fmt: skip


@pytest.mark.parametrize("failing", FAILING)
def test_a_rank_that_fails_ends_all(failing: str) -> None:
    """Within the patience of `mpi`. Rank 0 says what rank 1 has met."""
    code, message = FAILING[failing]
    catching = "\n    ".join(code.strip().splitlines())
    done = mpi(f"""
one = model()
try:
    {catching}
except RuntimeError as error:
    say(rank=rank, error=str(error))
    raise
print("NOT HERE")
""")
    assert done.returncode != 0
    assert "NOT HERE" not in done.stdout
    (found,) = what(done)
    assert found["rank"] == 0
    assert found["error"].startswith("rank 1: ")
    assert message in found["error"]


def test_an_exchange_that_fails_ends_the_processes() -> None:
    done = mpi("""
class Broken:
    def __init__(self):
        self.calls = 0
    def __getattr__(self, name):
        return getattr(comm, name)
    def Allreduce(self, send, receive):
        self.calls += 1
        if rank == 1 and self.calls == 2:
            raise OSError("the net is down")
        comm.Allreduce(send, receive)
model().fit(**part(slice(0, 6)), batch_size=2, comm=Broken(), verbose=0)
print("NOT HERE")
""")
    assert done.returncode != 0
    assert "NOT HERE" not in done.stdout
    assert "OSError: the net is down" in done.stderr


def test_ranks_that_disagree_are_told_so() -> None:
    done = mpi("""
try:
    model(inputs=3 + rank).fit(np.zeros((4, 5, 3 + rank)), np.zeros((4, 5, 2)), comm=comm, verbose=0)
except ValueError as error:
    say(rank=rank, error=str(error))
""")
    assert done.returncode == 0, done.stderr
    expected = "x: expected shape (N, T, 3) at all ranks, as at rank 0, got shape (N, T, 4) at rank 1"
    assert [one["error"] for one in what(done)] == [expected] * 2


def test_a_communicator_of_others() -> None:
    done = mpi("""
group = comm.Split(0 if rank == 0 else MPI.UNDEFINED)
try:
    model().fit(**part(slice(0, 6)), comm=group, verbose=0)
except ValueError as error:
    say(rank=rank, error=str(error))
""")
    assert done.returncode == 0, done.stderr
    (found,) = what(done)
    assert found["rank"] == 1
    assert found["error"].startswith("comm: expected a communicator that this process is part of, got ")


def test_the_pages_example_runs(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
    (block,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "mpi4py" in block)
    before = """
np.save(f"x-{rank}.npy", rng.standard_normal((40 + rank, 6, 16)))
np.save(f"y-{rank}.npy", np.arange(40 + rank) % 2)
"""
    done = mpi(before + block, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.safetensors").exists()
