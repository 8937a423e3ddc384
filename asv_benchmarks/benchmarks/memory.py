"""Peak of memory that a call takes beyond its arguments, its results included, as tracemalloc sees NumPy's arrays."""

import tracemalloc

from .common import checked, make, problem
from .shapes import MODES, SHAPES, Shape


class Peak:
    params = (SHAPES[4:6], MODES)
    param_names = ("shape", "mode")

    def setup(self, shape, mode):
        # checked on few samples: what a call frees is kept for the next one, and that of a large call would not count
        checked("fastlstm", mode, *problem(Shape(2, 3, shape.D, shape.H)))
        self.work = make("fastlstm", mode, *problem(shape))

    def track_peak(self, shape, mode):
        tracemalloc.start()
        self.work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / 1e6

    track_peak.unit = "MB"
