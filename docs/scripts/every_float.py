"""Visits every float32: the largest errors of the kernels' functions on this processor. Of float64 it takes the sample
that the tests take.

python docs/scripts/every_float.py                  # all functions; half an hour
python docs/scripts/every_float.py exp log          # these; tanh and sigmoid come together
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests/cpu/vectors"))
from test_activations import sigmoid, tanh
from test_functions import FUNCTIONS, found_by, sample, ulps

CHUNK = 1 << 22
INFINITY = 0x7F800000


def chunks(sign: int) -> Iterator[np.ndarray]:
    """All finite floats of a sign, from 0 on."""
    for first in range(0, INFINITY, CHUNK):
        count = min(CHUNK, INFINITY - first)
        yield (np.arange(first, first + count, dtype=np.uint32) | np.uint32(sign << 31)).view(np.float32)


def activations() -> None:
    ulp = absolute = place = 0.0
    steps_down = 0
    for sign in (0, 1):
        before = None
        for x in chunks(sign):
            wide = x.astype(np.float64)
            exact, found = np.tanh(wide), tanh(x)
            normal = np.abs(x) >= np.finfo(np.float32).tiny
            if normal.any():
                errors = (np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32)))[normal]
                if errors.max() > ulp:
                    ulp, place = float(errors.max()), float(x[normal][errors.argmax()])
            with np.errstate(over="ignore"):
                exact, found = 1 / (1 + np.exp(-wide)), sigmoid(x)
            absolute = max(absolute, float(np.abs(found - exact).max()))
            row = found if before is None else np.concatenate([[before], found])
            steps_down += int((np.diff(row) * (1 - 2 * sign) < 0).sum())
            before = found[-1]
    print(f"tanh {ulp:.3f} ulp at {place!r}; sigmoid {absolute:.3e} ({absolute * 2**23:.3f} of 2**-23)")
    print(f"sigmoid steps down {steps_down} times")


def function(name: str) -> None:
    found, exact = found_by[name], FUNCTIONS[name][1]
    worst = place = 0.0
    with np.errstate(all="ignore"):
        for sign in (0, 1):
            for x in chunks(sign):
                errors = ulps(found(x), exact(x.astype(np.float64)))
                if errors.max(initial=0) > worst:
                    of = x[np.isfinite(exact(x.astype(np.float64)).astype(np.float32))]
                    worst, place = float(errors.max()), float(of[errors.argmax()])
        x = sample(np.float64)
        wide = float(ulps(found(x), exact(x.astype(np.longdouble))).max())
    print(f"{name} {worst:.3f} ulp at {place!r}; of a sample of float64 {wide:.3f}", flush=True)


if __name__ == "__main__":
    for one in sys.argv[1:] or ["tanh", *FUNCTIONS]:
        if one in ("tanh", "sigmoid"):
            activations()
        else:
            function(one)
