"""`fastlstm.nn.Embedding` beside `torch.nn.Embedding`: forward and backward, in turns, the median of rounds.

python -m asv_benchmarks.embedding               # needs torch; NUMBA_NUM_THREADS sets the threads of both

Words are drawn by Zipf's law, as those of a text are, or all alike. Backward gives the gradient of all vectors, which
begins with zeros on both sides.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from fastlstm import nn

SHAPES = [
    (10_000, 128, 32, 100), (20_000, 64, 32, 80), (1_000, 32, 64, 50), (5_000, 128, 128, 200), (50_000, 256, 64, 200),
]  # fmt: skip
"""V vectors of size D; N sequences of T words."""


def words(V: int, N: int, T: int, zipf: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    if not zipf:
        return rng.integers(0, V, (N, T))
    shares = 1 / np.arange(1, V + 1)
    return rng.choice(V, (N, T), p=shares / shares.sum())


def ours(V: int, D: int, x: np.ndarray, dy: np.ndarray, vectors: np.ndarray) -> Callable[[], np.ndarray]:
    model = nn.Sequential([nn.Embedding(V, D)])
    model.build((None, None))
    model.set_weights([vectors])

    def both() -> np.ndarray:
        model._forward(x, None, True)
        model._backward(dy)
        return model.flat_grads

    return both


def torchs(V: int, D: int, x: np.ndarray, dy: np.ndarray, vectors: np.ndarray) -> Callable[[], np.ndarray]:
    import torch

    torch.set_num_threads(numba.get_num_threads())
    layer = torch.nn.Embedding(V, D, _weight=torch.from_numpy(vectors.copy()))
    indices, slopes = torch.from_numpy(x), torch.from_numpy(dy)

    def both() -> np.ndarray:
        layer.weight.grad = None
        layer(indices).backward(slopes)
        grad: Any = layer.weight.grad
        found: np.ndarray = grad.numpy()
        return found

    return both


def measured(calls: list[Callable[[], np.ndarray]], rounds: int) -> list[float]:
    """Milliseconds of each, in turns."""
    found: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 3):
        for times, call in zip(found, calls, strict=True):
            began = time.perf_counter()
            call()
            if number >= 3:
                times.append(1e3 * (time.perf_counter() - began))
    return [statistics.median(times) for times in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    print(f"{numba.get_num_threads()} threads, median of {rounds}; ms")
    for V, D, N, T in SHAPES:
        for zipf in (True, False):
            rng = np.random.default_rng(1)
            x, vectors = words(V, N, T, zipf), rng.standard_normal((V, D)).astype(np.float32)
            dy = rng.standard_normal((N, T, D)).astype(np.float32)
            calls = [ours(V, D, x, dy, vectors), torchs(V, D, x, dy, vectors)]
            one, two = (call().reshape(V, D) for call in calls)
            np.testing.assert_allclose(one, two, atol=1e-4 * np.abs(two).max())
            a, b = measured(calls, rounds)
            kind = "Zipf's law" if zipf else "all alike"
            print(f"V {V:>6}  D {D:>4}  N {N:>4}  T {T:>4}  {kind:10}  fastlstm {a:8.3f}  torch {b:8.3f}  {a / b:5.2f}")


if __name__ == "__main__":
    main()
