"""The engine for processors: what `fastlstm.backend` finds behind its door."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import llvmlite
import numba
import numpy as np

from ..cells.table import CELLS
from ..params import State
from . import training
from .callable import from_python, overloads
from .callable.buffers import make_tape, standing_in, tape_arrays
from .callable.public import public
from .compiler.cache import cache_folder
from .compiler.run import Recording, compile_region, recording
from .lstm.cell_type import cell_with_mark, mark
from .lstm.engine import backward, cells, forward, pack, pack_into, packing
from .lstm.packing import Packed, cell_in, panel_vectors, sizes, unpack, wide_blocks
from .lstm.plans import standing
from .lstm.records import keep, kept_shapes
from .machine.memory import empty, zeros
from .machine.plain import Array, writable
from .machine.threads import Payoff, available, layer, on_threads
from .vectors.target import BLOCK, lanes, vector_bytes

__all__ = [
    "available", "backward", "callable_in_compiled_code", "cell_in", "cell_with_mark", "cells", "empty", "facts",
    "fits", "forward", "keep", "kept_shapes", "make_tape", "on_threads", "pack", "pack_into", "packing", "payoff",
    "prepare", "quick_step", "recorder", "recording", "sizes", "standing", "standing_in", "step", "tape_arrays",
    "training", "unpack", "zeros",
]  # fmt: skip

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_STANDARD = mark(CELLS[0])
recorder = Recording


def fits(packed: Packed) -> bool:
    """Whether these are panels of this processor's layout: of another vector width, they would be read past their
    end."""
    panels, H, P, layout, second = packed
    if panels.dtype not in _FLOATS or panels.ndim != 3 or not 1 <= P <= H:
        return False
    one = cell_with_mark(layout)
    if one is None or (second is None) == one.multiplies_later or (P < H and not one.projects):
        return False
    L = lanes(panels.itemsize)
    count, vectors, width = panels.shape
    if second is not None and not (
        type(second) is np.ndarray
        and second.dtype == panels.dtype
        and second.shape == (wide_blocks(P, panels.itemsize), H, BLOCK * L)
    ):
        return False
    D = sizes(packed)[0]
    return bool(width == L and count == -(-H // L) and D > 0 and vectors == panel_vectors(one, D, P))


def quick_step(x: Array, packed: Packed, state: State) -> Any:
    """One step without a check in Python, the shortest way there is; false where something does not fit."""
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
        if layout is _STANDARD and P == H:
            return from_python.step(x, panels, H, h, c)
        if len(state) == 1:
            return from_python.step_of_hidden(x, panels, H, P, layout, second, h)
        return from_python.step_of_any(x, panels, H, P, layout, second, h, c)
    except (TypeError, AttributeError):
        return False


def step(x: Array, packed: Packed, state: State) -> Any:
    """One step of arrays that fit; false where a layer has too many units for the stack."""
    panels, H, P, layout, second = packed
    cell = cell_in(packed)
    from_python.compile_step(panels.dtype, cell, x.ndim)
    x, panels = writable(x), writable(panels)
    if cell is CELLS[0]:  # a shorter call
        return from_python.step(x, panels, H, *state)
    later = None if second is None else writable(second)
    call = from_python.step_of_hidden if len(state) == 1 else from_python.step_of_any
    return call(x, panels, H, P, layout, later, *state)


def callable_in_compiled_code(function: Callable[..., Any]) -> None:
    """Let users' compiled functions call that public one too."""
    public(function, getattr(overloads, f"{function.__name__}_of"))


def payoff() -> Payoff:
    """Whether threads pay, for something that is done again and again."""
    return Payoff()


def prepare() -> Iterator[tuple[str, Callable[[], object]]]:
    """What is compiled once for all kernels: names, and calls that do it."""
    yield "threads", compile_region
    yield "recordings", Recording


def facts() -> dict[str, object]:
    """What calls run on, in the words of `show_config`."""
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
