"""What a user may choose: float type, cell, threads, ragged batches, stacks, both directions."""

import numba
import numpy as np

import fastlstm

from .common import checked, problem
from .shapes import MODES, SHAPES

ONE, SMALL, LARGE = SHAPES[1], SHAPES[3], SHAPES[4]


class FloatType:
    params = (["float32", "float64"], MODES)
    param_names = ("dtype", "mode")

    def setup(self, dtype, mode):
        if not hasattr(self, "work"):
            self.work = checked("fastlstm", mode, *problem(LARGE, dtype))

    def time_sequences(self, dtype, mode):
        self.work()


class Cells:
    params = (["standard", "interpolated", "projected", "peephole", "normalized", "gru", "gru_before"], MODES)
    param_names = ("cell", "mode")

    def setup(self, cell, mode):
        if not hasattr(self, "work"):
            self.work = checked("fastlstm", mode, *problem(LARGE, cell=cell))

    def time_sequences(self, cell, mode):
        self.work()


class Threads:
    params = ([ONE, SMALL, LARGE], MODES, ["1", "all"])
    param_names = ("shape", "mode", "threads")

    def setup(self, shape, mode, threads):
        numba.set_num_threads(1 if threads == "1" else numba.config.NUMBA_NUM_THREADS)
        if not hasattr(self, "work"):
            self.work = checked("fastlstm", mode, *problem(shape))

    def time_sequences(self, shape, mode, threads):
        self.work()


class Lengths:
    """Lengths spread evenly from 1 to T, given as lengths or ignored as padding."""

    params = (["padded", "ragged"], MODES)
    param_names = ("batch", "mode")

    def setup(self, batch, mode):
        if not hasattr(self, "work"):
            lengths = np.linspace(1, LARGE.T, LARGE.N).astype(int) if batch == "ragged" else None
            self.work = checked("fastlstm", mode, *problem(LARGE), lengths=lengths)

    def time_sequences(self, batch, mode):
        self.work()


class Layers:
    params = (["one", "stack of three", "both directions", "stack of two in both directions"], MODES)
    param_names = ("layers", "mode")

    def setup(self, layers, mode):
        if hasattr(self, "work"):
            return
        x, first = problem(LARGE)
        H = LARGE.H

        def layer(seed, D):
            return fastlstm.init_params(D, H, rng=seed)

        def both(seed, D):
            return fastlstm.Bidirectional(layer(seed, D), layer(seed + 1, D))

        params = {
            "one": first,
            "stack of three": [first, layer(2, H), layer(3, H)],
            "both directions": both(2, LARGE.D),
            "stack of two in both directions": [both(2, LARGE.D), both(4, 2 * H)],
        }[layers]
        self.work = checked("fastlstm", mode, x, params)

    def time_sequences(self, layers, mode):
        self.work()
