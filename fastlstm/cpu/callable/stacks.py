"""Stacks of several cells, which are tuples of several types: each function takes the first layer and calls itself with
the rest."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from ..compiler.options import INLINED
from ..vectors.views import flat
from .faults import TAPE
from .fits import backward_fault, fault_on_stack, pack_fault, tape_fault
from .layers import backward_layer, pack_layer, stacked_layer, train_layer


def _each(stub: Any) -> Any:
    """Let stub(arguments) choose the compiled form of a function of the layers of a stack of several cells: of the one
    layer that is left, or of the first (or the last) and the rest."""
    overload(stub, jit_options=INLINED)(stub)
    return stub


def _form(packed: Any, one: Any, more: Any) -> Any:
    return one if len(packed) == 1 else more


@_each
def inputs_fault(x: Any, packed: Any, state: Any) -> Any:
    def one(x: Any, packed: Any, state: Any) -> Any:
        return fault_on_stack(x, packed[0], state[0].h, state[0].c)

    def more(x: Any, packed: Any, state: Any) -> Any:
        code = fault_on_stack(x, packed[0], state[0].h, state[0].c)
        return inputs_fault(state[0].h, packed[1:], state[1:]) if code == 0 else code

    return _form(packed, one, more)


@_each
def step_layers(x: Any, packed: Any, state: Any, turn: Any) -> Any:
    def one(x: Any, packed: Any, state: Any, turn: Any) -> None:
        stacked_layer(x, packed[0], state[0].h, state[0].c, turn)

    def more(x: Any, packed: Any, state: Any, turn: Any) -> None:
        stacked_layer(x, packed[0], state[0].h, state[0].c, turn)
        step_layers(state[0].h, packed[1:], state[1:], turn)

    return _form(packed, one, more)


@_each
def tapes_fault(N: Any, T: Any, D: Any, packed: Any, state: Any, tape: Any) -> Any:
    """D: numbers that the first of the layers reads."""

    def one(N: Any, T: Any, D: Any, packed: Any, state: Any, tape: Any) -> Any:
        code = tape_fault(N, T, packed[0], state[0].h, state[0].c, tape[0])
        return TAPE if code == 0 and tape[0].x.shape[2] != D else code

    def more(N: Any, T: Any, D: Any, packed: Any, state: Any, tape: Any) -> Any:
        code = tapes_fault(N, T, D, packed[:1], state[:1], tape[:1])
        if code == 0:
            code = tapes_fault(N, T, packed[0].output_size, packed[1:], state[1:], tape[1:])
        return code

    return _form(packed, one, more)


@_each
def train_layers(y: Any, packed: Any, state: Any, tape: Any) -> Any:
    """A layer's output is the next one's input."""

    def one(y: Any, packed: Any, state: Any, tape: Any) -> None:
        train_layer(y, packed[0], state[0].h, state[0].c, tape[0])

    def more(y: Any, packed: Any, state: Any, tape: Any) -> None:
        train_layer(tape[1].x, packed[0], state[0].h, state[0].c, tape[0])
        train_layers(y, packed[1:], state[1:], tape[1:])

    return _form(packed, one, more)


@_each
def grads_fault(N: Any, T: Any, D: Any, tape: Any, packed: Any, params: Any, state: Any) -> Any:
    """D: numbers that the first of the layers reads."""

    def one(N: Any, T: Any, D: Any, tape: Any, packed: Any, params: Any, state: Any) -> Any:
        code = backward_fault(tape[0], packed[0], params[0], state[0])
        return TAPE if code == 0 and tape[0].x.shape != (N, T, D) else code

    def more(N: Any, T: Any, D: Any, tape: Any, packed: Any, params: Any, state: Any) -> Any:
        code = grads_fault(N, T, D, tape[:1], packed[:1], params[:1], state[:1])
        if code == 0 and tape[1].dx.size != tape[1].x.size:
            code = TAPE
        if code == 0:
            code = grads_fault(N, T, packed[0].output_size, tape[1:], packed[1:], params[1:], state[1:])
        return code

    return _form(packed, one, more)


@_each
def back_layers(tape: Any, packed: Any, above: Any, ldy: Any, dx: Any, params: Any, state: Any) -> Any:
    """From the last layer to the first, whose dx is given; the last states' gradients stand in `state`."""

    def one(tape: Any, packed: Any, above: Any, ldy: Any, dx: Any, params: Any, state: Any) -> None:
        backward_layer(tape[0], packed[0], above, ldy, dx, params[0], state[0])

    def more(tape: Any, packed: Any, above: Any, ldy: Any, dx: Any, params: Any, state: Any) -> None:
        kept = tape[-1]
        below = flat(kept.dx)
        backward_layer(kept, packed[-1], above, ldy, below, params[-1], state[-1])
        back_layers(tape[:-1], packed[:-1], below, kept.x.shape[2], dx, params[:-1], state[:-1])

    return _form(packed, one, more)


@_each
def packs_fault(params: Any, packed: Any) -> Any:
    def one(params: Any, packed: Any) -> Any:
        return pack_fault(params[0], packed[0])

    def more(params: Any, packed: Any) -> Any:
        code = pack_fault(params[0], packed[0])
        return packs_fault(params[1:], packed[1:]) if code == 0 else code

    return _form(packed, one, more)


@_each
def pack_layers(params: Any, packed: Any) -> Any:
    def one(params: Any, packed: Any) -> None:
        pack_layer(params[0], packed[0])

    def more(params: Any, packed: Any) -> None:
        pack_layer(params[0], packed[0])
        pack_layers(params[1:], packed[1:])

    return _form(packed, one, more)
