"""Visits every float32: the largest errors of the kernels' functions on this processor.

python docs/scripts/every_float.py                  # tanh and sigmoid; some minutes
python docs/scripts/every_float.py exp log log1p    # and softplus, softsign, sqrt, reciprocal
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[2] / "tests/cpu/vectors"))
from test_activations import sigmoid, tanh
from test_functions import FUNCTIONS, found_by, ulps

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
    worst = 0.0
    for sign in (0, 1):
        for x in chunks(sign):
            with np.errstate(all="ignore"):
                errors = ulps(found_by[name](x), FUNCTIONS[name][1](x.astype(np.float64)))
            worst = max(worst, float(errors.max(initial=0)))
    print(f"{name} {worst:.3f} ulp", flush=True)


for name in sys.argv[1:]:
    function(name)
if not sys.argv[1:]:
    activations()
