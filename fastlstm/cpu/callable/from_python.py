"""The compiled step that Python calls."""

from __future__ import annotations

import functools
from typing import Any

from numba import from_dtype, typeof, types
from numba.extending import intrinsic

from ...cells.phases import Cell
from ...cells.table import CELLS
from ...params import Hidden, State
from ..compiler.options import compiled_from_python
from ..compiler.run import prepare
from ..lstm.cell_type import mark
from ..lstm.packing import Packed
from . import walks
from .faults import Faults
from .fits import step_faults
from .writer import Writer

_STANDARD = mark(CELLS[0])


@intrinsic  # type: ignore[misc]
def _step_if_it_fits(typing: Any, x: Any, packed: Any, state: Any) -> Any:
    """`step` of a layer, and whether shapes fit, no memory is shared and the stack is large enough."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        faults = Faults(Writer(context, builder))
        x, packed, state = faults.writer.arguments(signature.args, args)
        step_faults(faults, x, [packed], [state])
        right = ~faults.wrong
        with builder.if_then(right.value):
            walks.step(faults.writer, x, [packed], [state])
        return right.value

    return types.boolean(x, packed, state), generate


@compiled_from_python
def step(x: Any, panels: Any, H: Any, h: Any, c: Any) -> Any:
    """False where something does not fit: Python sees to it. Other types than those it was compiled for are a
    TypeError. This is the standard cell's, a shorter call than any cell's."""
    return _step_if_it_fits(x, Packed(panels, H, H, _STANDARD, None), State(h, c))


@compiled_from_python
def step_of_any(x: Any, panels: Any, H: Any, P: Any, layout: Any, second: Any, h: Any, c: Any) -> Any:
    """`step`, for any cell."""
    return _step_if_it_fits(x, Packed(panels, H, P, layout, second), State(h, c))


@compiled_from_python
def step_of_hidden(x: Any, panels: Any, H: Any, P: Any, layout: Any, second: Any, h: Any) -> Any:
    """`step`, for a cell without c."""
    return _step_if_it_fits(x, Packed(panels, H, P, layout, second), Hidden(h))


@functools.cache
def compile_step(dtype: Any, cell: Cell, ndim: int) -> None:
    """The step of that float type and cell, for x of that many axes, once."""
    scalar = from_dtype(dtype)
    x, panels = types.Array(scalar, ndim, "C"), types.Array(scalar, 3, "C")
    if cell is CELLS[0]:
        prepare(step, (x, panels, types.int64, x, x))
        return
    layout = typeof(mark(cell))
    second = types.Array(scalar, 3, "C") if cell.multiplies_later else types.none
    arguments = x, panels, types.int64, types.int64, layout, second, x
    if cell.alone:
        prepare(step_of_hidden, arguments)
    else:
        prepare(step_of_any, (*arguments, x))
