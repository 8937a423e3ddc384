"""What the in-place functions add to the compilation of a user's function: the table in docs/streaming.md.

Seconds of processor time, each in a process of its own, that finds the kernels of fastlstm in the cache. Later ones
also find there what the first one compiled of fastlstm for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

BEGIN = """
import time, numba, numpy as np, fastlstm
@numba.njit
def warm(a):
    a[0] = a.sum()
warm(np.ones(3, np.float32))  # what Numba itself takes to begin
layers = [fastlstm.init_params(16, 32, rng=0), fastlstm.init_params(32, 32, rng=1)]
N, T, count = 4, 10, {count}
params = tuple(layers[:count]) if count > 1 else layers[0]
packed = fastlstm.pack(params)
state, x, y = fastlstm.zero_state(packed, N), np.ones((N, T, 16), np.float32), np.ones((N, T, 32), np.float32)
tape, grads = fastlstm.make_tape(packed, N, T), fastlstm.make_grads(packed, N, T)
@numba.njit
def mine(x, params, packed, state, y, tape, grads):
{body}
began = time.process_time()
mine(x, params, packed, state, y, tape, grads)
print(time.process_time() - began)
"""
CALLS = {
    "step": "fastlstm.step(x[:, 0], packed, state)",
    "forward_into": "fastlstm.forward_into(x, packed, state, y)",
    "forward_train_into": "fastlstm.forward_train_into(x, packed, state, y, tape)",
    "backward_into": "fastlstm.backward_into(tape, packed, y, state, grads)",
    "pack_into": "fastlstm.pack_into(params, packed)",
}
TRAINING = "forward_train_into", "backward_into", "pack_into"


def python(*arguments: str, folder: str) -> str:
    """What a process prints; folder: of the cache."""
    environment = os.environ | {"NUMBA_CACHE_DIR": folder, "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def seconds(calls: tuple[str, ...], count: int, folder: str) -> float:
    """Of a function that makes these calls with a stack of so many layers."""
    body = "\n".join(f"    {CALLS[name]}" for name in calls)
    return float(python("-c", BEGIN.format(body=body, count=count), folder=folder))


if __name__ == "__main__":
    print("| calls | one layer: the first function | later ones | a stack of two: the first function | later ones |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        kernels = f"{folder}/kernels"
        python("-m", "fastlstm", "warmup", "--dtype", "float32", "standard", folder=kernels)
        for number, calls in enumerate((*((name,) for name in CALLS), TRAINING)):
            found = []
            for count in (1, 2):
                own = f"{folder}/{number}.{count}"
                shutil.copytree(kernels, own)
                found += [min(seconds(calls, count, own) for _ in range(times)) for times in (1, 3)]
            cells = [", ".join(f"`{name}`" for name in calls), *(f"{one:.1f}" for one in found)]
            print(f"| {' | '.join(cells)} |", flush=True)
        empty = seconds(TRAINING, 1, f"{folder}/empty")
    print(f"the last, one layer, with an empty cache: {empty:.1f}")
