"""What the in-place functions do, once for a layer, a stack of one cell and a stack of several.

Each function writes the code that does it to one layer after the other, for arguments as `writer` has them. Records of
a layer's weights, states and tapes come in lists, a layer each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...strides import choose
from ..lstm.packing import fourth
from ..lstm.tiles import STEP_ROWS
from . import layers
from .chunk import STACK_BYTES
from .fits import sizes_in
from .writer import Writer, layers_of


def _on_stack(writer: Writer, packed: Any, N: Any) -> tuple[Any, Any]:
    """Samples of N that a step takes together on the stack, and the numbers that it needs there for each: STEP_ROWS
    where they find room, or 1."""
    room = writer.call(layers.sample_room, packed)
    large = room * (packed.panels.itemsize * STEP_ROWS) > STACK_BYTES
    return choose((N < STEP_ROWS) | large, 1, STEP_ROWS), room


_INLINED = 5
"""Of up to that many layers, the steps become part of the user's function: each takes a quarter of a second to compile.
Of more, they are calls, which take 20 ns."""


def step(writer: Writer, x: Any, packed: Sequence[Any], states: Sequence[Any]) -> None:
    turn, N = writer.call(layers.any_turn, cell_state(states[0]).flat()), x.shape[0] if x.ndim == 2 else 1
    _step(writer, x, packed, states, turn, [_on_stack(writer, layer, N) for layer in packed])


def _step(
    writer: Writer, x: Any, packed: Sequence[Any], states: Sequence[Any], turn: Any, rooms: Sequence[Any]
) -> None:
    """A layer's new h is the next one's input."""
    layer_step = layers.step_layer if len(packed) <= _INLINED else layers.step_of_many
    for layer, state, room in zip(packed, states, rooms, strict=True):
        writer.call(layer_step, x.input(), layer, state.h.flat(), cell_state(state).flat(), turn, *room)
        x = state.h


def forward(writer: Writer, x: Any, packed: Sequence[Any], states: Sequence[Any], y: Any) -> None:
    N = x.shape[0] if x.ndim == 3 else 1
    rooms = [_on_stack(writer, layer, N) for layer in packed]
    if len(packed) == 1:
        h, c = states[0].h.flat(), cell_state(states[0]).flat()
        writer.call(layers.pass_layer, x.input(), y, packed[0], h, c, *rooms[0])
        return
    with writer.each(x.shape[-2]) as t:
        _step(writer, x.step(t), packed, states, t, rooms)
        writer.call(layers.put_step, y, t, states[-1].h)


def train(writer: Writer, x: Any, packed: Sequence[Any], states: Sequence[Any], y: Any, tape: Sequence[Any]) -> None:
    writer.call(layers.keep_input, x, tape[0].x)
    outputs = [*(one.x for one in tape[1:]), y]  # a layer's output is the next one's input
    for layer, state, one, out in zip(packed, states, tape, outputs, strict=True):
        writer.call(layers.put, one.h.flat(), state.h.flat())
        # sums of gradients, until backward_into begins them: larger than a step's room whatever the sizes
        work, kept = one.dp.flat(), (one.gates, one.cells)
        h, c = state.h.flat(), cell_state(state).flat()
        writer.call(layers.chunk_layer, one.x, out, layer, h, c, kept, work, STEP_ROWS)


def backward(
    writer: Writer, tape: Sequence[Any], packed: Sequence[Any], dy: Any, lasts: Sequence[Any], grads: Any
) -> None:
    """From the last layer to the first; the last states' gradients stand where those of the first go."""
    params, states = layers_of(grads.params), layers_of(grads.state)
    for state, last in zip(states, lasts or [None] * len(states), strict=True):
        for to, array in zip(state, last or [None] * len(state), strict=True):
            writer.call(layers.put, to.flat(), array and array.flat())
    above, width = (tape[-1].zeros, 0) if dy is None else (dy, packed[-1].output_size)
    for n in reversed(range(len(packed))):
        dx = tape[n].dx if n > 0 else grads.x
        dV, dh, dc = _fourth(params[n]), states[n].h, cell_state(states[n])
        writer.call(layers.backward_layer, tape[n], packed[n], (above.flat(), width), dx.flat(), params[n], dV.flat(),
                    dh.flat(), dc.flat())  # fmt: skip
        above, width = dx, sizes_in(packed[n])[1]


def pack(writer: Writer, params: Sequence[Any], packed: Sequence[Any]) -> None:
    for one, layer in zip(params, packed, strict=True):
        writer.call(layers.pack_layer, one, _fourth(one).flat(), layer, sizes_in(layer)[1])


def cell_state(state: Any) -> Any:
    """c; h of a cell without c."""
    return getattr(state, state.fields[-1])


def _fourth(params: Any) -> Any:
    return getattr(params, fourth(params.kind.instance_class))
