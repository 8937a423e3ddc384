"""Growth in each of N, T, D and H, the others held."""

from .common import checked, problem
from .shapes import AXES, MIDDLE, MODES


class _Axis:
    def setup(self, size, mode):
        if not hasattr(self, "work"):
            shape = MIDDLE._replace(**{type(self).__name__: size})
            self.work = checked("fastlstm", mode, *problem(shape))

    def time_sequences(self, size, mode):
        self.work()


class N(_Axis):
    params = (AXES["N"], MODES)
    param_names = ("N", "mode")


class T(_Axis):
    params = (AXES["T"], MODES)
    param_names = ("T", "mode")


class D(_Axis):
    params = (AXES["D"], MODES)
    param_names = ("D", "mode")


class H(_Axis):
    params = (AXES["H"], MODES)
    param_names = ("H", "mode")
