"""Largest error against the reference in float64, relative to the largest entry: speed that costs exactness is seen."""

from .common import error, in_float64, make, problem
from .shapes import MODES, Shape

PROMISED = Shape(64, 100, 32, 256)
LONG = Shape(1, 2000, 8, 64)


class Error:
    params = ([PROMISED, LONG], MODES, ["float32", "float64"])
    param_names = ("shape", "mode", "dtype")

    def track_error(self, shape, mode, dtype):
        x, params = problem(shape, dtype)
        exact = make("reference", mode, x.astype(float), in_float64(params))
        return error(make("fastlstm", mode, x, params)(), exact())

    track_error.unit = "of the largest entry"
