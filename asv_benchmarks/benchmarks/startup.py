"""What a new process pays before its first result: import, then the first call from a warm and from an empty cache."""

import os
import subprocess
import sys
import tempfile

CODE = """
import time
begin = time.perf_counter()
import numpy as np
import fastlstm
imported = time.perf_counter()
params = fastlstm.init_params(16, 32, rng=0)
x = np.ones((8, 10, 16), np.float32)
begin_call = time.perf_counter()
y, _ = fastlstm.forward(x, params)
called = time.perf_counter()
assert np.abs(y - fastlstm.reference.forward(x, params)[0]).max() < 1e-5
print(imported - begin, called - begin_call)
"""


def measure(cache):
    """Seconds of import and of the first call, in a process of its own with that cache folder."""
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return tuple(map(float, run.stdout.split()))


def track_import():
    with tempfile.TemporaryDirectory() as cache:
        measure(cache)
        return measure(cache)[0]


def track_first_call_empty_cache():
    with tempfile.TemporaryDirectory() as cache:
        return measure(cache)[1]


def track_first_call_warm_cache():
    with tempfile.TemporaryDirectory() as cache:
        measure(cache)
        return measure(cache)[1]


for _track in (track_import, track_first_call_empty_cache, track_first_call_warm_cache):
    _track.unit = "seconds"
