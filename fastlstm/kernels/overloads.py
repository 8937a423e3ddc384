"""What Numba asks for where a user's function calls one of ours: do the types fit, and which code is it then.

A function `..._of(types)` gives the compiled form of a public function, see numba.extending.overload. Types that do not
fit are an error when the user's function is compiled; shapes are compared at every call, before anything is touched.
"""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.core.errors import TypingError

from ..params import Grads, Params, State
from .inplace import (
    DSTATE,
    DY,
    GRADS,
    PACKED,
    PARAMS,
    STATE,
    TAPE,
    Buffers,
    X,
    Y,
    any_turn,
    backward_fault,
    backward_layer,
    begin_state,
    chunk_layer,
    input_fault,
    keep_input,
    no_state,
    output_fault,
    pack_fault,
    pack_layer,
    put_step,
    stacked_layer,
    step_layer,
    tape_fault,
    train_layer,
)
from .options import OPTIONS
from .packing import LAYOUT, Packed
from .simd import flat


@njit(**OPTIONS)
def refuse(code: Any) -> None:
    """Raise what is wrong; a message here is a constant, as compiled code wants it."""
    if code == X:
        raise ValueError("x: expected as many numbers a step as packed has inputs, D")
    if code == STATE:
        raise ValueError("state: expected h and c of shape (N, H), N that of x and H that of packed")
    if code == PACKED:
        raise ValueError("packed: expected weights that fastlstm.pack laid out for this processor")
    if code == Y:
        raise ValueError("y: expected shape (N, T, H), N and T those of x and H that of packed, and steps in one piece")
    if code == TAPE:
        raise ValueError("tape: expected make_tape(packed, N, T) for the sizes of packed and x")
    if code == DY:
        raise ValueError("dy: expected shape (N, T, H), that of y")
    if code == DSTATE:
        raise ValueError("dstate: expected the shapes of the state")
    if code == GRADS:
        raise ValueError("grads: expected make_grads(packed, N, T) for the sizes of packed and tape")
    if code == PARAMS:
        raise ValueError("params: expected W (D, 4H), U (H, 4H) and b (4H,) of the sizes of packed")


def _expect(right: bool, name: str, expected: str, found: Any) -> None:
    if not right:
        raise TypingError(f"{name}: expected {expected}, got {found}")


def _is(kind: Any, record: type) -> bool:
    return isinstance(kind, types.BaseNamedTuple) and kind.instance_class is record


def _entries(name: str, kind: Any, record: type) -> tuple[list[Any], bool]:
    """The types of a layer's record, or of all of a stack's; whether it is a stack."""
    stacked = isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple) and len(kind) > 0
    entries = list(kind) if stacked else [kind]
    for entry in entries:
        _expect(_is(entry, record), name, f"{record.__name__}, or a tuple of them", kind)
    _expect(all(entry == entries[0] for entry in entries), name, "entries of one type", kind)
    return entries, stacked


def _as_packed(name: str, kind: Any, record: type, count: int, stacked: bool) -> list[Any]:
    """`_entries`, as many as packed has."""
    entries, also = _entries(name, kind, record)
    _expect(also == stacked and len(entries) == count, name, f"{count} {record.__name__}, as many as packed", kind)
    return entries


def _array(name: str, kind: Any, ndims: tuple[int, ...], dtype: Any, *, own: bool) -> None:
    """own: changed in place, so it must be in C order and writable."""
    right = isinstance(kind, types.Array) and kind.dtype == dtype and kind.ndim in ndims and kind.aligned
    whole = "C-ordered, writable " if own else ""
    if right and own:
        right = kind.layout == "C" and kind.mutable
    _expect(right, name, f"a {whole}array of {dtype} with {' or '.join(map(str, ndims))} dimensions", kind)


def _field(kind: Any, name: str) -> Any:
    return kind.types[kind.fields.index(name)]


def _weights(packed: Any) -> tuple[int, bool, Any]:
    """Layers, whether a stack, and the float type."""
    entries, stacked = _entries("packed", packed, Packed)
    panels = _field(entries[0], "panels")
    dtype = panels.dtype if isinstance(panels, types.Array) else None
    _expect(dtype in (types.float32, types.float64), "packed", "what fastlstm.pack makes", packed)
    _array("packed.panels", panels, (3,), dtype, own=False)
    _array("packed.layout", _field(entries[0], "layout"), (LAYOUT,), types.boolean, own=False)
    return len(entries), stacked, dtype


def _records(name: str, kind: Any, record: type, count: int, stacked: bool, fields: dict[str, tuple[int, ...]],
             dtype: Any) -> list[Any]:  # fmt: skip
    """Check a record a layer: writable arrays of those dimensions."""
    entries = _as_packed(name, kind, record, count, stacked)
    for field, ndims in fields.items():
        _array(f"{name}.{field}", _field(entries[0], field), ndims, dtype, own=True)
    return entries


def _states(kind: Any, count: int, stacked: bool, dtype: Any, name: str = "state") -> int:
    (entry, *_) = _records(name, kind, State, count, stacked, {"h": (1, 2), "c": (1, 2)}, dtype)
    h, c = _field(entry, "h"), _field(entry, "c")
    _expect(h.ndim == c.ndim, f"{name}.c", f"{h.ndim} dimensions, as h has", c)
    return h.ndim


def step_of(x: Any, packed: Any, state: Any) -> Any:
    count, stacked, dtype = _weights(packed)
    ndim = _states(state, count, stacked, dtype)
    _array("x", x, (ndim,), dtype, own=False)

    def layer(x: Any, packed: Any, state: Any) -> None:
        code = input_fault(x, packed.panels, packed.hidden_size, state.h, state.c)
        if code != 0:
            refuse(code)
        step_layer(x, packed.panels, packed.hidden_size, state.h, state.c, any_turn(state.c))

    def stack(x: Any, packed: Any, state: Any) -> None:
        code = input_fault(x, packed[0].panels, packed[0].hidden_size, state[0].h, state[0].c)
        for i in range(1, len(packed)):
            if code == 0:
                code = input_fault(state[i - 1].h, packed[i].panels, packed[i].hidden_size, state[i].h, state[i].c)
        if code != 0:
            refuse(code)
        stacked_layer(x, packed[0].panels, packed[0].hidden_size, state[0].h, state[0].c, any_turn(state[0].c))
        for i in range(1, len(packed)):
            h, c = state[i]
            stacked_layer(state[i - 1].h, packed[i].panels, packed[i].hidden_size, h, c, any_turn(c))

    return stack if stacked else layer


def forward_into_of(x: Any, packed: Any, state: Any, y: Any) -> Any:
    count, stacked, dtype = _weights(packed)
    ndim = _states(state, count, stacked, dtype)
    _array("x", x, (ndim + 1,), dtype, own=False)
    _array("y", y, (ndim + 1,), dtype, own=False)
    _expect(y.mutable, "y", "a writable array", y)

    def layer(x: Any, packed: Any, state: Any, y: Any) -> None:
        H = packed.hidden_size
        code = input_fault(x, packed.panels, H, state.h, state.c)
        if code == 0:
            code = output_fault(x, y, H)
        if code != 0:
            refuse(code)
        chunk_layer(x, y, packed.panels, H, state.h, state.c, state.h, state.h, False)

    def stack(x: Any, packed: Any, state: Any, y: Any) -> None:
        top = len(packed) - 1
        code = input_fault(x, packed[0].panels, packed[0].hidden_size, state[0].h, state[0].c)
        for i in range(1, top + 1):
            if code == 0:
                code = input_fault(state[i - 1].h, packed[i].panels, packed[i].hidden_size, state[i].h, state[i].c)
        if code == 0:
            code = output_fault(x, y, packed[top].hidden_size)
        if code != 0:
            refuse(code)
        for t in range(x.shape[-2]):
            stacked_layer(x[..., t, :], packed[0].panels, packed[0].hidden_size, state[0].h, state[0].c, t)
            for i in range(1, top + 1):
                h, c = state[i]
                stacked_layer(state[i - 1].h, packed[i].panels, packed[i].hidden_size, h, c, t)
            put_step(y, t, state[top].h)

    return stack if stacked else layer


def forward_train_into_of(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> Any:
    count, stacked, dtype = _weights(packed)
    ndim = _states(state, count, stacked, dtype)
    _array("x", x, (ndim + 1,), dtype, own=False)
    _array("y", y, (ndim + 1,), dtype, own=False)
    _expect(y.mutable, "y", "a writable array", y)
    _tapes(tape, count, stacked, dtype)

    def layer(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
        H, N = packed.hidden_size, tape.x.shape[0]
        code = input_fault(x, packed.panels, H, state.h, state.c)
        if code == 0:
            code = output_fault(x, y, H)
        if code == 0:
            code = tape_fault(N, x.shape[-2], packed.panels, H, state.h, state.c, tape)
        if code != 0:
            refuse(code)
        keep_input(x, tape.x)
        train_layer(y, packed.panels, H, state.h, state.c, tape)

    def stack(x: Any, packed: Any, state: Any, y: Any, tape: Any) -> None:
        top, N, T = len(packed) - 1, tape[0].x.shape[0], x.shape[-2]
        code = input_fault(x, packed[0].panels, packed[0].hidden_size, state[0].h, state[0].c)
        if code == 0:
            code = output_fault(x, y, packed[top].hidden_size)
        for i in range(top + 1):
            if code == 0:
                code = tape_fault(N, T, packed[i].panels, packed[i].hidden_size, state[i].h, state[i].c, tape[i])
            if code == 0 and i > 0 and tape[i].x.shape[2] != packed[i - 1].hidden_size:
                code = TAPE
        if code != 0:
            refuse(code)
        keep_input(x, tape[0].x)
        for i in range(top):  # a layer's output is the next one's input
            train_layer(tape[i + 1].x, packed[i].panels, packed[i].hidden_size, state[i].h, state[i].c, tape[i])
        train_layer(y, packed[top].panels, packed[top].hidden_size, state[top].h, state[top].c, tape[top])

    return stack if stacked else layer


def backward_into_of(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> Any:
    count, stacked, dtype = _weights(packed)
    _tapes(tape, count, stacked, dtype)
    _expect(_is(grads, Grads), "grads", "what make_grads makes", grads)
    _array("grads.x", _field(grads, "x"), (2, 3), dtype, own=True)
    _records("grads.params", _field(grads, "params"), Params, count, stacked,
             {"W": (2,), "U": (2,), "b": (1,)}, dtype)  # fmt: skip
    ndim = _states(_field(grads, "state"), count, stacked, dtype, "grads.state")
    has_dy, has_dstate = not _none(dy), not _none(dstate)
    if has_dy:
        _array("dy", dy, (ndim + 1,), dtype, own=False)
        _expect(dy.layout == "C", "dy", "an array in C order", dy)
    if has_dstate:
        found = _states(dstate, count, stacked, dtype, "dstate")
        _expect(found == ndim, "dstate", f"h of {ndim} dimensions, as grads.state has", dstate)

    def layer(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> None:
        H = packed.hidden_size
        N, T, D = tape.x.shape
        code = backward_fault(tape, packed.panels, H, grads.params, grads.state)
        if code == 0 and (grads.x.size != N * T * D or grads.x.shape[-2:] != (T, D)):
            code = GRADS
        if has_dy:  # noqa: SIM102
            if code == 0 and (dy.size != N * T * H or dy.shape[-2:] != (T, H)):
                code = DY
        if has_dstate:  # noqa: SIM102
            if code == 0 and (dstate.h.shape != grads.state.h.shape or dstate.c.shape != grads.state.c.shape):
                code = DSTATE
        if code != 0:
            refuse(code)
        if has_dstate:
            begin_state(grads.state, dstate)
        else:
            no_state(grads.state)
        above, ldy = flat(tape.zeros), H - H
        if has_dy:
            above, ldy = flat(dy), H
        backward_layer(tape, packed.panels, H, above, ldy, flat(grads.x), grads.params, grads.state)

    def stack(tape: Any, packed: Any, dy: Any, dstate: Any, grads: Any) -> None:
        top = len(packed) - 1
        N, T, D = tape[0].x.shape
        H = packed[top].hidden_size
        code = 0
        for i in range(top + 1):
            if code == 0:
                code = backward_fault(tape[i], packed[i].panels, packed[i].hidden_size, grads.params[i],
                                      grads.state[i])  # fmt: skip
            if (
                code == 0
                and i > 0
                and (tape[i].x.shape != (N, T, packed[i - 1].hidden_size) or tape[i].dx.size != tape[i].x.size)
            ):
                code = TAPE
            if has_dstate:  # noqa: SIM102
                if code == 0 and (
                    dstate[i].h.shape != grads.state[i].h.shape or dstate[i].c.shape != grads.state[i].c.shape
                ):
                    code = DSTATE
        if code == 0 and (grads.x.size != N * T * D or grads.x.shape[-2:] != (T, D)):
            code = GRADS
        if has_dy:  # noqa: SIM102
            if code == 0 and (dy.size != N * T * H or dy.shape[-2:] != (T, H)):
                code = DY
        if code != 0:
            refuse(code)
        above, ldy = flat(tape[top].zeros), H - H
        if has_dy:
            above, ldy = flat(dy), H
        for back in range(top + 1):
            i = top - back
            if has_dstate:
                begin_state(grads.state[i], dstate[i])
            else:
                no_state(grads.state[i])
            dx = flat(tape[i].dx) if i > 0 else flat(grads.x)
            backward_layer(tape[i], packed[i].panels, packed[i].hidden_size, above, ldy, dx, grads.params[i],
                           grads.state[i])  # fmt: skip
            above, ldy = dx, packed[i].panels.shape[1] - 1 - packed[i].hidden_size

    return stack if stacked else layer


def pack_into_of(params: Any, packed: Any) -> Any:
    count, stacked, dtype = _weights(packed)
    (entry, *_) = _as_packed("params", params, Params, count, stacked)
    for field, ndim in (("W", 2), ("U", 2), ("b", 1)):
        kind = _field(entry, field)
        _array(f"params.{field}", kind, (ndim,), dtype, own=False)
        _expect(kind.layout == "C", f"params.{field}", "an array in C order", kind)

    def layer(params: Any, packed: Any) -> None:
        code = pack_fault(params, packed.panels, packed.hidden_size)
        if code != 0:
            refuse(code)
        pack_layer(params, packed.panels, packed.hidden_size)

    def stack(params: Any, packed: Any) -> None:
        code = 0
        for i in range(len(packed)):
            if code == 0:
                code = pack_fault(params[i], packed[i].panels, packed[i].hidden_size)
        if code != 0:
            refuse(code)
        for i in range(len(packed)):
            pack_layer(params[i], packed[i].panels, packed[i].hidden_size)

    return stack if stacked else layer


def _none(kind: Any) -> bool:
    return kind is None or isinstance(kind, (types.NoneType, types.Omitted))


def _tapes(kind: Any, count: int, stacked: bool, dtype: Any) -> None:
    (entry, *_) = _as_packed("tape", kind, Buffers, count, stacked)
    _array("tape.x", _field(entry, "x"), (3,), dtype, own=True)
