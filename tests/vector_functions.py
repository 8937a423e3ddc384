"""Functions of the processor's vectors, over arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fastlstm.cpu.vectors.emitter import Emitter, data


def compiled(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """A function of vectors as one of arrays: of one, or of rows of one array."""

    @intrinsic
    def apply(typing: Any, rows: Any, out: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e = Emitter(builder, context.get_data_type(rows.dtype), rows.dtype.bitwidth // 8)
            x_, out_ = (data(context, builder, kind, arg) for kind, arg in zip((rows, out), args, strict=True))
            size = context.make_array(out)(context, builder, args[1]).nitems
            with cgutils.for_range_slice(builder, e.index(0), size, e.index(e.lanes), intp=size.type) as (j, _):
                operands = [e.load(x_, e.times(row, size), j) for row in range(function.__code__.co_argcount)]
                e.store(function(*operands), out_, j)
            return context.get_dummy_value()

        return types.void(rows, out), generate

    @njit
    def run(rows: Any, out: Any) -> None:
        apply(rows, out)

    def call(*rows: np.ndarray) -> np.ndarray:
        size = rows[0].size
        filled = np.zeros((len(rows), -(-size // 16) * 16), rows[0].dtype)
        filled[:, :size] = rows
        out = np.empty(filled.shape[1], filled.dtype)
        run(filled, out)
        return out[:size]

    return call
