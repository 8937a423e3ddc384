"""The table of shapes: fastlstm and the reference in seconds, fastlstm in GFLOP/s."""

import time

from .common import SYSTEMS, checked, problem
from .shapes import MODES, SHAPES

SECONDS = 0.2  # of one throughput figure

CHECKED = SHAPES[:-1]  # the largest would take half of the quick pass


class Seconds:
    params = (CHECKED, MODES, list(SYSTEMS))
    param_names = ("shape", "mode", "system")

    def setup(self, shape, mode, system):
        if not hasattr(self, "work"):  # ASV sets up before every sample; once is enough for the check
            self.work = checked(system, mode, *problem(shape))

    def time_sequences(self, shape, mode, system):
        self.work()


class Throughput:
    params = (CHECKED, MODES)
    param_names = ("shape", "mode")

    def setup(self, shape, mode):
        self.work = checked("fastlstm", mode, *problem(shape))

    def track_gflops(self, shape, mode):
        return shape.flop(mode) / 1e9 * calls_per_second(self.work)

    track_gflops.unit = "GFLOP/s"


def calls_per_second(work):
    begin, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < SECONDS:
        work()
        calls += 1
    return calls / passed
