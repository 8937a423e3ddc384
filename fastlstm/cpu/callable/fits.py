"""Whether the arguments of the in-place functions belong together: the code that finds their faults.

Each function writes it for the arguments as `writer` has them. Records of a layer's weights, states and tapes come in
lists, a layer each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...cells.phases import Cell
from ...params import shapes
from ...strides import apart, in_step, larger, rows_of
from ..lstm.sizes import inputs_of, panel_vectors
from ..vectors.target import BLOCK, lanes
from ..vectors.whole import alike
from .buffers import tape_shapes
from .chunk import STACK_BYTES
from .faults import Argument, Fault, Faults, meet, share_nothing, shared_by
from .layers import follows, sample_room
from .writer import layers_of


def sizes_in(packed: Any) -> tuple[Cell, Any, Any, Any]:
    """The cell of a layer's weights, and D, H, P."""
    cell, P = packed.layout.cell, packed.output_size
    return cell, inputs_of(cell, packed.panels.shape[1], P), packed.hidden_size, P


def packed_shapes(cell: Cell, itemsize: int, D: Any, H: Any, P: Any) -> tuple[tuple[Any, Any, Any], ...]:
    """Of panels, and of `second` where the cell has one."""
    L = lanes(itemsize)
    panels = -(-H // L), panel_vectors(cell, D, P), L
    return (panels, (-(-P // (BLOCK * L)), H, BLOCK * L)) if cell.multiplies_later else (panels,)


def _have_shapes(arrays: Iterable[Any], expected: Iterable[tuple[Any, ...]]) -> Any:
    return alike([n for array in arrays for n in array.shape], [n for shape in expected for n in shape])


def _expect_packed(faults: Faults, packed: Any) -> None:
    (cell, D, H, P), panels = sizes_in(packed), packed.panels
    right = (P > 0) & (H >= P if cell.projects else H == P) & (D > 0)
    arrays = [panels] if packed.second is None else [panels, packed.second]
    faults.unless(right & _have_shapes(arrays, packed_shapes(cell, panels.itemsize, D, H, P)), Fault.PACKED)


def _state_fits(packed: Any, state: Any, N: Any) -> Any:
    """Whether h is (N, P) and c, if there is one, (N, H); or (P,) and (H,) of one sequence."""
    _, _, H, P = sizes_in(packed)
    found, widths = [n for array in state for n in array.shape], (P, H)[: len(state)]
    if state.h.ndim == 1:
        return (N == 1) & alike(found, widths)
    return alike(found, [n for width in widths for n in (N, width)])


def _expect_input(faults: Faults, x: Any, packed: Any, state: Any) -> None:
    """x of a step or of a chunk; with an axis N where h and c have one."""
    _expect_packed(faults, packed)
    faults.unless(x.shape[-1] == sizes_in(packed)[1], Fault.X)
    faults.unless(_state_fits(packed, state, x.shape[0] if state.h.ndim == 2 else 1), Fault.STATE)
    faults.unless(_even(x), Fault.STRIDES)


def _expect_small(faults: Faults, x: Any, packed: Sequence[Any], states: Sequence[Any]) -> None:
    """x, weights and states of all layers, where each step works on the stack."""
    for layer, state in zip(packed, states, strict=True):
        _expect_input(faults, x, layer, state)
        faults.unless(faults.writer.call(sample_room, layer) * layer.panels.itemsize <= STACK_BYTES, Fault.LARGE)
        x = state.h


def _even(array: Any) -> Any:
    """Whether all strides are whole numbers of the array's type, as they are not in fields of packed records: kernels
    count so."""
    every: Any = 0
    for stride in array.strides:
        every = stride | every
    return every & (array.itemsize - 1) == 0


def _expect_output(faults: Faults, x: Any, y: Any, P: Any) -> None:
    """y of a chunk: its shape, and no number of it in the memory of another."""
    whole = (y.size == 0) | (P <= 1) | (y.strides[-1] == y.itemsize)
    faults.unless(alike(y.shape, (*x.shape[:-1], P)) & whole, Fault.Y)
    faults.unless(_even(y), Fault.STRIDES)
    N, row = rows_of(y)
    faults.unless(apart(P * y.itemsize, N, row, y.shape[-2], y.strides[-2]), Fault.Y)


def _tape_fits(faults: Faults, tape: Any, packed: Any) -> Any:
    """Whether it was made for these weights (the cell is in its type), and all of its arrays have the sizes that the
    kernels count on; but for dx."""
    cell, *sizes = sizes_in(packed)
    N, T, _ = tape.x.shape
    M, follow = tape.where.size, faults.writer.call
    expected = tape_shapes(cell.name, tape.x.itemsize, tuple(sizes), N, T, M, 1)
    (room,) = expected.pop("tmp")
    del expected["dx"]
    return (
        alike([tape.hidden_size, tape.output_size, tape.reset.size], [*sizes[1:], 0])
        & _have_shapes([getattr(tape, field) for field in expected], expected.values())
        & (tape.tmp.size >= room)
        & ((N <= 0) | (T <= 0) | (M >= N) & (M % larger(N, 1) == 0))
        & follow(follows, tape.bases, 0, N) & follow(follows, tape.order, 0, 1) & follow(follows, tape.lens, T, 0)
    )  # fmt: skip


def step_faults(faults: Faults, x: Any, packed: Sequence[Any], states: Sequence[Any]) -> None:
    """x may be h, that of the first layer."""
    _expect_small(faults, x, packed, states)
    share_nothing(faults, [Argument(Fault.STATE, states)], [Argument(Fault.PACKED, packed)])
    faults.unless(_same_place(x, states[0].h) | ~meet(x, states), shared_by(Fault.X, Fault.STATE))


def _same_place(x: Any, h: Any) -> Any:
    """Whether x (N, D) is h (N, P), or x (D,) h (P,), in C order."""
    right = (x.shape[-1] == h.shape[-1]) & (x.address == h.address)
    if x.ndim == 2:
        right = right & ((x.shape[0] <= 1) | (x.strides[0] == h.strides[0]))
    return right & ((x.shape[-1] == 1) | (x.strides[-1] == h.strides[-1]))


def forward_faults(faults: Faults, x: Any, packed: Sequence[Any], states: Sequence[Any], y: Any) -> None:
    """y may be x."""
    _expect_small(faults, x, packed, states)
    _expect_output(faults, x, y, packed[-1].output_size)
    share_nothing(faults, [Argument(Fault.STATE, states), Argument(Fault.Y, y)], [Argument(Fault.PACKED, packed)])
    share_nothing(faults, [Argument(Fault.STATE, states)], [Argument(Fault.X, x)])
    faults.unless(in_step(x, y, y.address - x.address) | ~meet(x, y), shared_by(Fault.X, Fault.Y))


def train_faults(
    faults: Faults, x: Any, packed: Sequence[Any], states: Sequence[Any], y: Any, tape: Sequence[Any]
) -> None:
    """x, which is copied, may be y."""
    _expect_input(faults, x, packed[0], states[0])
    _expect_output(faults, x, y, packed[-1].output_size)
    N, T, width = tape[0].x.shape[0], x.shape[-2], x.shape[-1]
    for layer, state, one in zip(packed, states, tape, strict=True):
        _expect_packed(faults, layer)
        faults.unless(_state_fits(layer, state, N), Fault.STATE)
        faults.unless(alike(one.x.shape, (N, T, width)) & _tape_fits(faults, one, layer), Fault.TAPE)
        width = layer.output_size
    own = [Argument(Fault.STATE, states), Argument(Fault.TAPE, tape)]
    share_nothing(faults, [*own, Argument(Fault.Y, y)], [Argument(Fault.PACKED, packed)])
    share_nothing(faults, own, [Argument(Fault.X, x)])


def _weights_fit(params: Any, packed: Any) -> Any:
    """Whether a record has the shapes of those weights."""
    cell, *sizes = sizes_in(packed)
    return _have_shapes(params, shapes(cell.record, *sizes).values())


def backward_faults(
    faults: Faults, tape: Sequence[Any], packed: Sequence[Any], dy: Any, lasts: Sequence[Any], grads: Any
) -> None:
    """The last states' gradients may be where those of the first states go."""
    N, T, D = tape[0].x.shape
    width, params, states = D, layers_of(grads.params), layers_of(grads.state)
    for n, (layer, one) in enumerate(zip(packed, tape, strict=True)):
        _expect_packed(faults, layer)
        faults.unless(_tape_fits(faults, one, layer), Fault.TAPE)
        faults.unless(_weights_fit(params[n], layer) & _state_fits(layer, states[n], N), Fault.GRADS)
        if n > 0:
            faults.unless(alike((*one.x.shape, one.dx.size), (N, T, width, one.x.size)), Fault.TAPE)
        width = layer.output_size
    faults.unless(alike((grads.x.size, *grads.x.shape[-2:]), (N * T * D, T, D)), Fault.GRADS)
    if dy is not None:
        faults.unless(alike((dy.size, *dy.shape[-2:]), (N * T * width, T, width)), Fault.DY)
    pairs = [pair for state, last in zip(states, lasts, strict=False) for pair in zip(state, last, strict=True)]
    same: Any = True
    for own, last in pairs:
        faults.unless(alike(last.shape, own.shape), Fault.DSTATE)
        same = (last.address == own.address) & same
    written = [Argument(Fault.TAPE, tape), Argument(Fault.GRADS, grads)]
    read = [Argument(Fault.PACKED, packed), Argument(Fault.DY, dy), Argument(Fault.DSTATE, lasts, same)]
    share_nothing(faults, written, read)


def pack_faults(faults: Faults, params: Sequence[Any], packed: Sequence[Any]) -> None:
    for one, layer in zip(params, packed, strict=True):
        _expect_packed(faults, layer)
        faults.unless(_weights_fit(one, layer), Fault.PARAMS)
    share_nothing(faults, [Argument(Fault.PACKED, packed)], [Argument(Fault.PARAMS, params)])
