"""One time step of one sequence with the state kept: inside a user's compiled loop, and from Python."""

import time

import numpy as np
from numba import njit

import fastlstm
from fastlstm import State, reference

from .common import error

SIZES = [(1, 8), (1, 16), (1, 20), (1, 32), (1, 64), (16, 64), (64, 128)]  # D, H
STEPS = 2000


@njit
def run(x, packed, state):
    for t in range(len(x)):
        fastlstm.step(x[t], packed, state)


class _Stepped:
    params = (SIZES,)
    param_names = ("D, H",)

    def setup(self, size):
        D, H = size
        params = fastlstm.init_params(D, H, rng=0)
        self.packed = fastlstm.pack(params)
        self.x = np.random.default_rng(1).standard_normal((STEPS, D)).astype(np.float32)
        self.state = State(np.zeros(H, np.float32), np.zeros(H, np.float32))
        self.work()
        if (found := error(self.state, reference.forward(self.x, params)[1])) > 1e-4:
            raise AssertionError(f"off by {found:.1e} of the largest entry")


class Compiled(_Stepped):
    def work(self):
        run(self.x, self.packed, self.state)

    def track_step(self, size):
        took = []
        for _ in range(30):
            begin = time.perf_counter()
            self.work()
            took.append(time.perf_counter() - begin)
        return 1e6 * np.median(took) / STEPS

    track_step.unit = "µs"


class Python(_Stepped):
    def work(self):
        for row in self.x:
            fastlstm.step(row, self.packed, self.state)

    def time_steps(self, size):  # of STEPS
        self.work()


class Latency:
    """Of a million single steps from Python (D 16, H 64), the clock's reading included."""

    def setup(self):
        self.packed = fastlstm.pack(fastlstm.init_params(16, 64, rng=0))
        self.state, self.x = State(*np.zeros((2, 64), np.float32)), np.ones(16, np.float32)
        fastlstm.step(self.x, self.packed, self.state)

    def nanoseconds(self, steps=1_000_000):
        clock, took = time.perf_counter_ns, np.empty(steps, np.int64)
        for n in range(steps):
            begin = clock()
            fastlstm.step(self.x, self.packed, self.state)
            took[n] = clock() - begin
        return took

    def track_median(self):
        return np.median(self.nanoseconds()) / 1e3

    def track_worst_of_ten_thousand(self):
        return np.quantile(self.nanoseconds(), 0.9999) / 1e3

    track_median.unit = track_worst_of_ten_thousand.unit = "µs"
