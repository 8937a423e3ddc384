"""What Numba asks for where a user's function calls one of ours: do the types fit, and which code is it then.

A function `..._of(types)` gives the compiled form of a public function, see numba.extending.overload. Types that do not
fit are an error when the user's function is compiled; shapes are compared at every call, before anything is touched.

A stack of one cell is gone through in loops. A stack of several is a tuple of several types, which no loop can go
through: what is done to each of its layers is a function that takes the first one (or the last), and calls itself with
the rest. A function that is handed such tuples takes long to compile, so that the loops stand where they are needed.
"""

from __future__ import annotations

from typing import Any

from numba import types

from ...params import Grads
from ..vectors.views import flat
from .faults import PACKED, PARAMS, TAPE
from .fits import (
    back_sharing,
    backward_fault,
    chunk_sharing,
    ends_fault,
    fault_on_stack,
    input_fault,
    inputs_of,
    last_fault,
    lasts_fault,
    output_fault,
    pack_fault,
    same_state,
    same_states,
    step_sharing,
    tape_fault,
    train_sharing,
)
from .layers import (
    any_turn,
    backward_layer,
    begin_state,
    begin_states,
    keep_input,
    pack_layer,
    pass_layer,
    put_step,
    stacked_layer,
    step_layer,
    train_layer,
)
from .sharing import sharing
from .stacks import (
    back_layers,
    grads_fault,
    inputs_fault,
    pack_layers,
    packs_fault,
    step_layers,
    tapes_fault,
    train_layers,
)
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


def _of_cells(packed: Any, layer: Any, stack: Any, mixed: Any) -> Any:
    """The form for a layer, for a stack of one cell, or of several."""
    if isinstance(packed, types.BaseNamedTuple):
        return layer
    return stack if isinstance(packed, types.UniTuple) else mixed


def step_of(x: Any, packed: Any, state: Any) -> Any:
    cells, stacked, dtype = cells_of(packed)
    ndim = expect_states(state, cells, stacked, dtype)
    expect_array("x", x, (ndim,), dtype)

    def layer_fault(x: Any, packed: Any, state: Any) -> Any:
        code = fault_on_stack(x, packed, state.h, state.c)
        if code == 0:
            code = step_sharing(x, packed, state, state.h)
        return code

    def layer(x: Any, packed: Any, state: Any) -> None:
        step_layer(x, packed, state.h, state.c, any_turn(state.c))

    def stack_fault(x: Any, packed: Any, state: Any) -> Any:
        code = fault_on_stack(x, packed[0], state[0].h, state[0].c)
        for i in range(1, len(packed)):
            if code == 0:
                code = fault_on_stack(state[i - 1].h, packed[i], state[i].h, state[i].c)
        if code == 0:
            code = step_sharing(x, packed, state, state[0].h)
        return code

    def stack(x: Any, packed: Any, state: Any) -> None:
        turn = any_turn(state[0].c)
        stacked_layer(x, packed[0], state[0].h, state[0].c, turn)
        for i in range(1, len(packed)):
            stacked_layer(state[i - 1].h, packed[i], state[i].h, state[i].c, turn)

    def mixed_fault(x: Any, packed: Any, state: Any) -> Any:
        code = inputs_fault(x, packed, state)
        if code == 0:
            code = step_sharing(x, packed, state, state[0].h)
        return code

    def mixed(x: Any, packed: Any, state: Any) -> None:
        step_layers(x, packed, state, any_turn(state[0].c))

    return _of_cells(packed, (layer_fault, layer), (stack_fault, stack), (mixed_fault, mixed))


def forward_into_of(x: Any, packed: Any, state: Any, y: Any) -> Any:
    cells, stacked, dtype = cells_of(packed)
    ndim = expect_states(state, cells, stacked, dtype)
    expect_array("x", x, (ndim + 1,), dtype)
    expect_output(y, ndim + 1, dtype)

    def layer_fault(x: Any, packed: Any, state: Any, y: Any) -> Any:
        code = fault_on_stack(x, packed, state.h, state.c)
        if code == 0:
            code = output_fault(x, y, packed.output_size)
        if code == 0:
            code = chunk_sharing(x, packed, state, y)
        return code

    def layer(x: Any, packed: Any, state: Any, y: Any) -> None:
        pass_layer(x, y, packed, state.h, state.c)

    def stack_fault(x: Any, packed: Any, state: Any, y: Any) -> Any:
        top = len(packed) - 1
        code = fault_on_stack(x, packed[0], state[0].h, state[0].c)
        for i in range(1, top + 1):
            if code == 0:
                code = fault_on_stack(state[i - 1].h, packed[i], state[i].h, state[i].c)
        if code == 0:
            code = output_fault(x, y, packed[top].output_size)
        if code == 0:
            code = chunk_sharing(x, packed, state, y)
        return code

    def stack(x: Any, packed: Any, state: Any, y: Any) -> None:
        top = len(packed) - 1
        for t in range(x.shape[-2]):
            stacked_layer(x[..., t, :], packed[0], state[0].h, state[0].c, t)
            for i in range(1, top + 1):
                stacked_layer(state[i - 1].h, packed[i], state[i].h, state[i].c, t)
            put_step(y, t, state[top].h)

    def mixed_fault(x: Any, packed: Any, state: Any, y: Any) -> Any:
        code = inputs_fault(x, packed, state)
        if code == 0:
            code = output_fault(x, y, packed[-1].output_size)
        if code == 0:
            code = chunk_sharing(x, packed, state, y)
        return code

    def mixed(x: Any, packed: Any, state: Any, y: Any) -> None:
        for t in range(x.shape[-2]):
            step_layers(x[..., t, :], packed, state, t)
            put_step(y, t, state[-1].h)

    return _of_cells(packed, (layer_fault, layer), (stack_fault, stack), (mixed_fault, mixed))


def forward_train_into_of(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
    cells, stacked, dtype = cells_of(packed)
    ndim = expect_states(state, cells, stacked, dtype)
    expect_array("x", x, (ndim + 1,), dtype)
    expect_output(y, ndim + 1, dtype)
    expect_tapes(tape, packed, cells, stacked, dtype)

    def layer_fault(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
        code = input_fault(x, packed, state.h, state.c)
        if code == 0:
            code = output_fault(x, y, packed.output_size)
        if code == 0:
            code = tape_fault(tape.x.shape[0], x.shape[-2], packed, state.h, state.c, tape)
        if code == 0:
            code = train_sharing(x, packed, state, y, tape)
        return code

    def layer(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
        keep_input(x, tape.x)
        train_layer(y, packed, state.h, state.c, tape)

    def stack_fault(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
        top, N, T = len(packed) - 1, tape[0].x.shape[0], x.shape[-2]
        code = input_fault(x, packed[0], state[0].h, state[0].c)
        if code == 0:
            code = output_fault(x, y, packed[top].output_size)
        for i in range(top + 1):
            if code == 0:
                code = tape_fault(N, T, packed[i], state[i].h, state[i].c, tape[i])
            if code == 0 and i > 0 and tape[i].x.shape[2] != packed[i - 1].output_size:
                code = TAPE
        if code == 0:
            code = train_sharing(x, packed, state, y, tape)
        return code

    def stack(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
        top = len(packed) - 1
        keep_input(x, tape[0].x)
        for i in range(top):  # a layer's output is the next one's input
            train_layer(tape[i + 1].x, packed[i], state[i].h, state[i].c, tape[i])
        train_layer(y, packed[top], state[top].h, state[top].c, tape[top])

    def mixed_fault(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
        code = input_fault(x, packed[0], state[0].h, state[0].c)
        if code == 0:
            code = output_fault(x, y, packed[-1].output_size)
        if code == 0:
            code = tapes_fault(tape[0].x.shape[0], x.shape[-2], x.shape[-1], packed, state, tape)
        if code == 0:
            code = train_sharing(x, packed, state, y, tape)
        return code

    def mixed(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
        keep_input(x, tape[0].x)
        train_layers(y, packed, state, tape)

    return _of_cells(packed, (layer_fault, layer), (stack_fault, stack), (mixed_fault, mixed))


def backward_into_of(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Any:
    cells, stacked, dtype = cells_of(packed)
    expect_tapes(tape, packed, cells, stacked, dtype)
    expect(is_record(grads, Grads), "grads", "what make_grads makes", grads)
    expect_array("grads.x", field_type(grads, "x"), (2, 3), dtype, own=True)
    expect_weights("grads.params", field_type(grads, "params"), cells, stacked, dtype, own=True)
    ndim = expect_states(field_type(grads, "state"), cells, stacked, dtype, "grads.state")
    has_dy, has_dstate = not is_none(dy), not is_none(dstate)
    if has_dy:
        expect_array("dy", dy, (ndim + 1,), dtype, whole=True)
    if has_dstate:
        found = expect_states(dstate, cells, stacked, dtype, "dstate")
        expect(found == ndim, "dstate", f"h of {ndim} dimensions, as grads.state has", dstate)

    def layer_fault(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Any:
        P = packed.output_size
        N, T, D = tape.x.shape
        code = backward_fault(tape, packed, grads.params, grads.state)
        if code == 0:
            code = ends_fault(N, T, D, P, grads.x, dy)
        if code == 0:
            code = last_fault(grads.state, dstate)
        if code == 0:
            code = back_sharing(tape, packed, dy, dstate, grads, same_state(grads.state, dstate))
        return code

    def layer(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> None:
        begin_state(grads.state, dstate)
        P = packed.output_size
        above, ldy = flat(tape.zeros), P - P
        if has_dy:
            above, ldy = flat(dy), P
        backward_layer(tape, packed, above, ldy, flat(grads.x), grads.params, grads.state)

    def stack_fault(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Any:
        N, T, D = tape[0].x.shape
        top = len(packed) - 1
        P = packed[top].output_size
        code = 0
        for i in range(top + 1):
            if code == 0:
                code = backward_fault(tape[i], packed[i], grads.params[i], grads.state[i])
            if (
                code == 0
                and i > 0
                and (tape[i].x.shape != (N, T, packed[i - 1].output_size) or tape[i].dx.size != tape[i].x.size)
            ):
                code = TAPE
        if code == 0:
            code = lasts_fault(grads.state, dstate)
        if code == 0:
            code = ends_fault(N, T, D, P, grads.x, dy)
        if code == 0:
            code = back_sharing(tape, packed, dy, dstate, grads, same_states(grads.state, dstate))
        return code

    def stack(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> None:
        begin_states(grads.state, dstate)
        top = len(packed) - 1
        P = packed[top].output_size
        above, ldy = flat(tape[top].zeros), P - P
        if has_dy:
            above, ldy = flat(dy), P
        for back in range(top + 1):
            i = top - back
            dx = flat(tape[i].dx) if i > 0 else flat(grads.x)
            backward_layer(tape[i], packed[i], above, ldy, dx, grads.params[i], grads.state[i])
            above, ldy = dx, inputs_of(packed[i])

    def mixed_fault(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Any:
        N, T, D = tape[0].x.shape
        P = packed[-1].output_size
        code = grads_fault(N, T, D, tape, packed, grads.params, grads.state)
        if code == 0:
            code = lasts_fault(grads.state, dstate)
        if code == 0:
            code = ends_fault(N, T, D, P, grads.x, dy)
        if code == 0:
            code = back_sharing(tape, packed, dy, dstate, grads, same_states(grads.state, dstate))
        return code

    def mixed(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> None:
        begin_states(grads.state, dstate)
        P = packed[-1].output_size
        above, ldy = flat(tape[-1].zeros), P - P
        if has_dy:
            above, ldy = flat(dy), P
        back_layers(tape, packed, above, ldy, flat(grads.x), grads.params, grads.state)

    return _of_cells(packed, (layer_fault, layer), (stack_fault, stack), (mixed_fault, mixed))


def pack_into_of(params: Any, packed: Any) -> Any:
    cells, stacked, dtype = cells_of(packed, own=True)
    expect_weights("params", params, cells, stacked, dtype, own=False)

    def layer_fault(params: Any, packed: Any) -> Any:
        code = pack_fault(params, packed)
        if code == 0:
            code = sharing((PACKED, packed), (PARAMS, params))
        return code

    def layer(params: Any, packed: Any) -> None:
        pack_layer(params, packed)

    def stack_fault(params: Any, packed: Any) -> Any:
        code = 0
        for i in range(len(packed)):
            if code == 0:
                code = pack_fault(params[i], packed[i])
        if code == 0:
            code = sharing((PACKED, packed), (PARAMS, params))
        return code

    def stack(params: Any, packed: Any) -> None:
        for i in range(len(packed)):
            pack_layer(params[i], packed[i])

    def mixed_fault(params: Any, packed: Any) -> Any:
        code = packs_fault(params, packed)
        if code == 0:
            code = sharing((PACKED, packed), (PARAMS, params))
        return code

    def mixed(params: Any, packed: Any) -> None:
        pack_layers(params, packed)

    return _of_cells(packed, (layer_fault, layer), (stack_fault, stack), (mixed_fault, mixed))
