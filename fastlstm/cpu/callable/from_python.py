"""The compiled step that Python calls."""

from __future__ import annotations

import functools
from typing import Any

from numba import from_dtype, types

from ...cells.table import CELLS
from ..compiler.options import compiled_from_python
from ..compiler.run import prepare
from ..lstm.cell_type import cell_of
from ..lstm.packing import LAYOUT, Packed, mark
from ..vectors.views import flat
from .fits import fault_on_stack, step_sharing
from .layers import any_turn, step_layer

_STANDARD = mark(CELLS[0])


@compiled_from_python
def step(x: Any, panels: Any, H: Any, h: Any, c: Any) -> Any:
    """False where shapes do not fit, memory is shared or the stack is too small: Python sees to it. Other types than
    those it was compiled for are a TypeError. This is the standard cell's, a shorter call than any cell's."""
    packed = Packed(panels, H, H, flat(_STANDARD), None)  # flat: of the type that users' functions see
    if fault_on_stack(x, packed, h, c) != 0 or step_sharing(x, packed, (h, c), h) != 0:
        return False
    step_layer(x, packed, h, c, any_turn(c))
    return True


@compiled_from_python
def step_of_any(x: Any, panels: Any, H: Any, P: Any, layout: Any, second: Any, h: Any, c: Any) -> Any:
    """`step`, for any cell."""
    packed = Packed(panels, H, P, layout, second)
    if fault_on_stack(x, packed, h, c) != 0 or step_sharing(x, packed, (h, c), h) != 0:
        return False
    step_layer(x, packed, h, c, any_turn(c))
    return True


@functools.cache
def compile_step(dtype: Any, marking: Any, ndim: int) -> None:
    """The step of that float type and cell, for x of that many axes, once."""
    scalar = from_dtype(dtype)
    x, panels = types.Array(scalar, ndim, "C"), types.Array(scalar, 3, "C")
    if marking == _STANDARD.dtype:
        prepare(step, (x, panels, types.int64, x, x))
        return
    layout = types.Array(from_dtype(marking), LAYOUT, "C")
    second = types.Array(scalar, 3, "C") if cell_of(marking).multiplies_later else types.none
    prepare(step_of_any, (x, panels, types.int64, types.int64, layout, second, x, x))
