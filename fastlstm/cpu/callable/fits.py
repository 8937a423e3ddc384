"""Whether the arguments of the in-place functions belong together: faults, found by comparing shapes and strides."""

from __future__ import annotations

from typing import Any

from ..compiler.options import compiled, inlined
from ..lstm.cell_type import cell_marked
from ..lstm.packing import row_length
from ..lstm.sizes import GROUP, panel_rows, room_sizes
from ..vectors.target import BLOCK
from ..vectors.views import array_or_flat, flat, lanes_of
from .chunk import STACK_BYTES, sample_numbers
from .faults import DSTATE, DY, GRADS, LARGE, PACKED, PARAMS, STATE, STRIDES, TAPE, X_AND_STATE, X_AND_Y, X, Y
from .sharing import address, apart, in_turn, meet, same, sharing, uneven


@inlined
def _packed_fits(packed: Any) -> Any:
    panels, H, P = packed.panels, packed.hidden_size, packed.output_size
    width, second = BLOCK * lanes_of(panels), array_or_flat(packed.second, packed.panels)
    return (
        P > 0
        and H >= P
        and (H == P or cell_marked(packed.layout).projects)
        and inputs_of(packed) > 0
        and panels.shape[0] == (H + lanes_of(panels) - 1) // lanes_of(panels)
        and panels.shape[2] == width
        and (second.ndim != 3 or second.shape == ((P + width - 1) // width, H, width))
    )


@inlined
def inputs_of(packed: Any) -> Any:
    """D."""
    return packed.panels.shape[1] - panel_rows(cell_marked(packed.layout), 0, packed.output_size)


@inlined
def state_fits(packed: Any, h: Any, c: Any) -> Any:
    """Whether h is (N, P) or (P,), and c (N, H) or (H,)."""
    return (
        h.ndim == c.ndim
        and h.shape[-1] == packed.output_size
        and c.shape[-1] == packed.hidden_size
        and h.shape[:-1] == c.shape[:-1]
    )


@inlined
def input_fault(x: Any, packed: Any, h: Any, c: Any) -> Any:
    """x of a step or of a chunk; with an axis N where h and c have one."""
    if not _packed_fits(packed):
        return PACKED
    if x.shape[-1] != inputs_of(packed):
        return X
    if not state_fits(packed, h, c) or (h.ndim == 2 and x.shape[0] != h.shape[0]):
        return STATE
    return STRIDES if uneven(x) else 0


@inlined
def fault_on_stack(x: Any, packed: Any, h: Any, c: Any) -> Any:
    """The same where a step works on the stack."""
    fault = input_fault(x, packed, h, c)
    return LARGE if fault == 0 and sample_numbers(packed) * packed.panels.itemsize > STACK_BYTES else fault


@inlined
def step_sharing(x: Any, packed: Any, state: Any, h: Any) -> Any:
    """Arguments of a step that share memory; x may be h, that of the first layer."""
    fault = sharing((STATE, state), (PACKED, packed))
    return X_AND_STATE if fault == 0 and meet(x, state) and not same_place(x, h) else fault


@inlined
def same_place(x: Any, h: Any) -> Any:
    """Whether x (N, D) is h (N, P), or x (D,) h (P,), in C order."""
    if x.shape[-1] != h.shape[-1] or address(x) != address(h):
        return False
    if x.ndim == 2 and x.shape[0] > 1 and x.strides[0] != h.strides[0]:
        return False
    return x.shape[-1] == 1 or x.strides[-1] == h.strides[-1]


@inlined
def output_fault(x: Any, y: Any, P: Any) -> Any:
    """y of a chunk: its shape, and no number of it in the memory of another."""
    if y.shape[-1] != P or y.shape[:-1] != x.shape[:-1] or (y.size > 0 and P > 1 and y.strides[-1] != y.itemsize):
        return Y
    if uneven(y):
        return STRIDES
    N, row = _samples(y)
    return 0 if apart(P * y.itemsize, N, row, y.shape[-2], y.strides[-2]) else Y


@inlined
def _samples(x: Any) -> Any:
    """N, and bytes from one to the next."""
    if x.ndim == 3:
        return x.shape[0], x.strides[0]
    return x.ndim - 1, x.ndim - x.ndim  # 1 and 0, no constants: those would be types of their own


@inlined
def chunk_sharing(x: Any, packed: Any, state: Any, y: Any) -> Any:
    """Arguments of a pass that share memory; y may be x."""
    fault = sharing((STATE, state, Y, y), (PACKED, packed))
    if fault == 0:
        fault = sharing((STATE, state), (X, x))
    if fault == 0 and sharing((Y, y), (X, x)) != 0:
        N, row = _samples(x)
        T, step = x.shape[-2], x.strides[-2]
        _, y_row = _samples(y)
        ahead, reach = address(y) - address(x), (x.shape[-1] - 1) * x.strides[-1]
        if (
            (N > 1 and row != y_row)
            or (T > 1 and step != y.strides[-2])
            or not in_turn(min(0, reach), max(0, reach) + x.itemsize, ahead, ahead + y.shape[-1] * y.itemsize, N, row,
                           T, step)
        ):  # fmt: skip
            fault = X_AND_Y
    return fault


@inlined
def _tape_fits(tape: Any, packed: Any) -> Any:
    """Whether it was made for these weights (the cell is in its type), and all of its arrays have the sizes that the
    kernels count on."""
    N, T, D = tape.x.shape
    H, P, cell, L = packed.hidden_size, packed.output_size, cell_marked(packed.layout), lanes_of(tape.gates)
    nb, M = (H + L - 1) // L, tape.where.size
    ldh, ldc, ldz, lda, sums, wt, ut = room_sizes(cell, L, D, H, P)
    return (
        same(
            (tape.hidden_size, tape.output_size, inputs_of(packed), tape.h.shape, tape.gates.shape, tape.cells.shape,
             tape.reset.size, tape.dh.shape, tape.dc.shape, tape.t.shape, tape.dz.shape, tape.a.shape, tape.dp.size,
             tape.zeros.size, tape.wt.size, tape.ut.size),
            (H, P, D, (N, P), (T, N, nb, cell.kept * L), (T + 1, N, nb * L),
             0, (N, ldh), (N, ldc), (N, nb * L), (M, ldz), (M, lda), sums,
             BLOCK * L, wt, ut),
        )
        and tape.tmp.size >= GROUP * BLOCK * L
        and _scheduled(N, T, M, flat(tape.bases), flat(tape.order), flat(tape.lens))
    )  # fmt: skip


@compiled
def _scheduled(N: Any, T: Any, M: Any, bases: Any, order: Any, lens: Any) -> Any:
    """Whether that is the schedule of N sequences of T steps, in blocks of M rows."""
    if bases.size != T + 1 or order.size != N or lens.size != N or (N > 0 and T > 0 and (M < N or M % N != 0)):
        return False
    for s in range(T + 1):
        if bases[s] != s * N:
            return False
    for n in range(N):  # noqa: SIM110 - Numba has no all()
        if order[n] != n or lens[n] != T:
            return False
    return True


@inlined
def tape_fault(N: Any, T: Any, packed: Any, h: Any, c: Any, tape: Any) -> Any:
    """Whether a layer's weights, state and tape belong together."""
    if not _packed_fits(packed):
        return PACKED
    if h.size != N * packed.output_size or not state_fits(packed, h, c):
        return STATE
    if tape.x.shape != (N, T, inputs_of(packed)) or not _tape_fits(tape, packed):
        return TAPE
    return 0


@inlined
def train_sharing(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
    """Arguments of a pass that share memory; x, which is copied, may be y."""
    fault = sharing((STATE, state, Y, y, TAPE, tape), (PACKED, packed))
    return sharing((STATE, state, TAPE, tape), (X, x)) if fault == 0 else fault


@inlined
def _params_fit(params: Any, packed: Any) -> Any:
    """Whether a record has the shapes of those weights. Its third field is V, or weights for the
    equations, where the cell has such, else b."""
    H, P, cell = packed.hidden_size, packed.output_size, cell_marked(packed.layout)
    return (
        params.W.shape == (inputs_of(packed), row_length(cell, 1, H))
        and params.U.shape == (P, row_length(cell, 2, H))
        and params.b.shape[0] == row_length(cell, 0, H)
        and (array_or_flat(packed.second, packed.panels).ndim != 3 or params[2].shape == (H, P))
        and (cell.weight_rows == 0 or params[2].shape[0] == row_length(cell, 3, H))
    )


@inlined
def backward_fault(tape: Any, packed: Any, params: Any, state: Any) -> Any:
    """Whether a layer's weights, tape and gradients belong together."""
    if not _packed_fits(packed):
        return PACKED
    N = tape.x.shape[0]
    if not _tape_fits(tape, packed):
        return TAPE
    if not _params_fit(params, packed):
        return GRADS
    if state.h.size != N * packed.output_size or not state_fits(packed, state.h, state.c):
        return GRADS
    return 0


@inlined
def ends_fault(N: Any, T: Any, D: Any, P: Any, dx: Any, dy: Any) -> Any:
    """Whether there is room for the gradient of x (D numbers a step), and that of y (P numbers), or None, has its
    shape."""
    if dx.size != N * T * D or dx.shape[-2:] != (T, D):
        return GRADS
    if dy is not None:  # noqa: SIM102 - decided while Numba types the function, if it stands alone
        if dy.size != N * T * P or dy.shape[-2:] != (T, P):
            return DY
    return 0


@inlined
def last_fault(state: Any, last: Any) -> Any:
    """Whether the gradient of a layer's last state, or None, has the shapes of its state."""
    if last is not None:  # noqa: SIM102
        if last.h.shape != state.h.shape or last.c.shape != state.c.shape:
            return DSTATE
    return 0


@inlined
def lasts_fault(state: Any, last: Any) -> Any:
    """The same of a stack."""
    if last is not None:
        for i in range(len(state)):
            if last_fault(state[i], last[i]) != 0:
                return DSTATE
    return 0


@inlined
def back_sharing(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any, same: Any) -> Any:
    """Arguments of a pass back that share memory. same: whether dstate is grads.state, as it may be."""
    return sharing((TAPE, tape, GRADS, grads), (PACKED, packed, DY, dy, 0 if same else DSTATE, dstate))


@inlined
def same_state(state: Any, last: Any) -> Any:
    """Whether a layer's last state's gradient, or None, is where that of its first state goes."""
    if last is not None:
        return address(last.h) == address(state.h) and address(last.c) == address(state.c)
    return True


@inlined
def same_states(state: Any, last: Any) -> Any:
    """The same of a stack."""
    if last is not None:
        for i in range(len(state)):
            if not same_state(state[i], last[i]):
                return False
    return True


@inlined
def pack_fault(params: Any, packed: Any) -> Any:
    if not _packed_fits(packed):
        return PACKED
    if not _params_fit(params, packed):
        return PARAMS
    return 0
