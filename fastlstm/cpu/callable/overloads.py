"""What Numba asks for where a user's function calls one of ours: do the types fit, and which code is it then.

A function `..._of(types)` gives two functions: one writes the code that finds the faults of the arguments, one the code
that does the work, see `public`. Types that do not fit are an error when the user's function is compiled; shapes are
compared at every call, before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ...params import Grads
from . import fits, walks
from .faults import Faults
from .types import (
    cells_of,
    expect,
    expect_array,
    expect_output,
    expect_states,
    expect_tapes,
    expect_weights,
    field_type,
    is_none,
    is_record,
)
from .writer import Writer, layers_of

Forms: TypeAlias = tuple[Callable[..., None], Callable[..., None]]


def _forms(faults: Any, walk: Any, *stacks: int) -> Forms:
    """Of functions that take lists, a layer each, in these places."""

    def apart(arguments: tuple[Any, ...]) -> list[Any]:
        return [layers_of(one) if n in stacks else one for n, one in enumerate(arguments)]

    def find(found: Faults, *arguments: Any) -> None:
        faults(found, *apart(arguments))

    def work(writer: Writer, *arguments: Any) -> None:
        walk(writer, *apart(arguments))

    return find, work


def step_of(x: Any, packed: Any, state: Any) -> Forms:
    cells, stacked, dtype = cells_of(packed)
    ndim = expect_states(state, cells, stacked, dtype)
    expect_array("x", x, (ndim,), dtype)
    return _forms(fits.step_faults, walks.step, 1, 2)


def forward_into_of(x: Any, packed: Any, state: Any, y: Any) -> Forms:
    cells, stacked, dtype = cells_of(packed)
    ndim = expect_states(state, cells, stacked, dtype)
    expect_array("x", x, (ndim + 1,), dtype)
    expect_output(y, ndim + 1, dtype)
    return _forms(fits.forward_faults, walks.forward, 1, 2)


def forward_train_into_of(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Forms:
    forward_into_of(x, packed, state, y)
    expect_tapes(tape, packed)
    return _forms(fits.train_faults, walks.train, 1, 2, 4)


def backward_into_of(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Forms:
    cells, stacked, dtype = cells_of(packed)
    expect_tapes(tape, packed)
    expect(is_record(grads, Grads), "grads", "what make_grads makes", grads)
    expect_array("grads.x", field_type(grads, "x"), (2, 3), dtype, own=True)
    expect_weights("grads.params", field_type(grads, "params"), cells, stacked, dtype, own=True)
    ndim = expect_states(field_type(grads, "state"), cells, stacked, dtype, "grads.state")
    if not is_none(dy):
        expect_array("dy", dy, (ndim + 1,), dtype, whole=True)
    if not is_none(dstate):
        found = expect_states(dstate, cells, stacked, dtype, "dstate")
        expect(found == ndim, "dstate", f"h of {ndim} dimensions, as grads.state has", dstate)
    return _forms(fits.backward_faults, walks.backward, 0, 1, 3)


def pack_into_of(params: Any, packed: Any) -> Forms:
    cells, stacked, dtype = cells_of(packed, own=True)
    expect_weights("params", params, cells, stacked, dtype, own=False)
    return _forms(fits.pack_faults, walks.pack, 0, 1)
