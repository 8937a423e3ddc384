"""The engine for processors: `Engine` in fastlstm/backend.py, the door to it, says what each function does."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import llvmlite
import numba
import numpy as np

from ..cells.phases import Cell
from ..cells.table import CELLS
from ..params import AnyState
from . import training
from .callable import from_python, overloads
from .callable.buffers import make_tape, standing_in, tape_arrays
from .callable.fits import packed_shapes
from .callable.public import public
from .compiler.cache import cache_folder
from .compiler.run import Recording, Strands, compile_region, recording
from .lstm.cell_type import cell_with_mark, mark
from .lstm.engine import backward, cells, forward, pack, packing
from .lstm.packing import Packed, cell_in, sizes, unpack
from .lstm.plans import standing
from .lstm.records import keep, kept_shapes
from .lstm.sizes import inputs_of
from .machine.memory import Array, empty, writable, zeros
from .machine.threads import Payoff, available, layer, on_threads
from .vectors.target import vector_bytes

__all__ = [
    "available", "backward", "callable_in_compiled_code", "cell_in", "cell_with_mark", "cells", "empty", "facts",
    "fits", "forward", "keep", "kept_shapes", "make_tape", "on_threads", "pack", "packing", "payoff",
    "prepare", "quick_step", "recorder", "recording", "sizes", "standing", "standing_in", "step", "strands",
    "tape_arrays", "training", "unpack", "zeros",
]  # fmt: skip

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_STANDARD = mark(CELLS[0])
recorder, strands, payoff = Recording, Strands, Payoff


def fits(packed: Packed) -> bool:
    """Whether these are panels of this processor's layout: of another vector width, they would be read past their
    end."""
    panels, H, P, layout, second = packed
    cell, found = cell_with_mark(layout), (panels.shape,)
    if second is not None:
        if type(second) is not np.ndarray or second.dtype != panels.dtype:
            return False
        found = panels.shape, second.shape
    return cell is not None and _have_layout(cell, panels.dtype, H, P, found)


@functools.lru_cache(1024)
def _have_layout(cell: Cell, dtype: np.dtype[Any], H: int, P: int, found: tuple[tuple[int, ...], ...]) -> bool:
    """Whether arrays of those shapes are panels of such weights."""
    if dtype not in _FLOATS or len(found[0]) != 3 or not 1 <= P <= H or (P < H and not cell.projects):
        return False
    D = inputs_of(cell, found[0][1], P)
    return D > 0 and found == packed_shapes(cell, dtype.itemsize, D, H, P)


def quick_step(x: Array, packed: Packed, state: AnyState) -> Any:
    panels, H, P, layout, second = packed
    h, c = state[0], state[-1]
    try:  # it ends here for other types, and where a shape does not fit
        kind = panels.dtype
        # Numba may take an array of the other byte order for one of this processor's, and 4.9 for 4
        native = (x.dtype is kind is h.dtype and c.dtype is kind) or (
            kind.isnative and x.dtype == h.dtype == c.dtype == kind  # as in arrays from a pickle
        )
        if not native or type(H) is not int or type(P) is not int:
            return False
        if layout is _STANDARD and P == H:  # a shorter call
            return from_python.step(x, panels, H, h, c)
        if len(state) == 1:
            return from_python.step_of_hidden(x, panels, H, P, layout, second, h)
        return from_python.step_of_any(x, panels, H, P, layout, second, h, c)
    except (TypeError, AttributeError):
        return False


def step(x: Array, packed: Packed, state: AnyState) -> Any:
    if quick_step(x, packed, state):
        return True
    panels, H, P, _, second = packed
    cell = cell_in(packed)
    from_python.compile_step(panels.dtype, cell, x.ndim)
    later = None if second is None else writable(second)
    return quick_step(writable(x), Packed(writable(panels), H, P, mark(cell), later), state)


def callable_in_compiled_code(function: Callable[..., Any]) -> None:
    public(function, getattr(overloads, f"{function.__name__}_of"))


def prepare() -> Iterator[tuple[str, Callable[[], object]]]:
    yield "threads", compile_region
    yield "recordings", lambda: Strands([Recording()]).run(1)


def facts() -> dict[str, object]:
    target = numba.core.registry.cpu_target.target_context.codegen()
    folder = cache_folder()
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "processor": f"{target.magic_tuple()[1]} ({platform.machine()}, {os.cpu_count()} cores)",
        "vector width": f"{8 * vector_bytes()} bits",
        "threading layer": layer(),
        "threads": numba.get_num_threads(),
        "cache folder": f"{folder} (writable)" if folder else "none: compiles in every process",
    }
