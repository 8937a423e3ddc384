"""What Numba asks for where a user's function calls one of ours: do the types fit, and which code is it then.

A function `..._of(types)` gives the compiled form of a public function, see numba.extending.overload. Types that do not
fit are an error when the user's function is compiled; shapes are compared at every call, before anything is touched.

A stack of one cell is gone through in loops. A stack of several is a tuple of several types, which no loop can go
through: what is done to each of its layers is a function that takes the first one (or the last), and calls itself with
the rest. A function that is handed such tuples takes long to compile, so that the loops stand where they are needed.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from numba import njit, types
from numba.core.errors import TypingError
from numba.core.typing.templates import CallableTemplate, infer, infer_global, signature
from numba.extending import lower_builtin, models, overload, register_model
from numba.np.numpy_support import as_dtype

from ..params import CELLS, Grads, State, shapes
from .cells import Cell, cell_of
from .faults import PACKED, PARAMS, TAPE, refuse, sharing
from .inplace import (
    Buffers,
    any_turn,
    back_sharing,
    backward_fault,
    backward_layer,
    begin_state,
    begin_states,
    chunk_sharing,
    ends_fault,
    fault_on_stack,
    input_fault,
    inputs_of,
    keep_input,
    last_fault,
    lasts_fault,
    output_fault,
    pack_fault,
    pack_layer,
    pass_layer,
    put_step,
    same_state,
    same_states,
    stacked_layer,
    step_layer,
    step_sharing,
    tape_fault,
    train_layer,
    train_sharing,
)
from .options import INLINED
from .packing import LAYOUT, Packed
from .simd import flat


class Public(types.Function):  # type: ignore[misc]
    """The Numba type of a public function: the error for types that do not fit begins with what is wrong.

    Numba's own has that line in the middle of what it tried."""

    def __init__(self, template: Any, form: Any) -> None:
        super().__init__(template)
        self.form = form

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        try:
            return super().get_call_type(context, args, kws)
        except TypingError as error:
            with contextlib.suppress(TypeError):  # not these arguments at all
                self.form(*map(types.unliteral, args), **kws)
            raise error


register_model(Public)(models.OpaqueModel)


def public(function: Any, form: Any) -> None:
    """Let form(types) choose what Numba compiles where a user's function calls that one: two functions of its
    arguments that raise nothing, the fault that they have, and what is done where they have none.

    numba.extending.overload has one function, which would raise, and its caller pass that on. Here the user's function
    itself raises: then Numba sees that it need not count the references to an x[t] at each turn of a loop, which would
    take as long as a tenth of a small step."""
    parts: dict[Any, tuple[Any, ...]] = {}

    @functools.wraps(form)
    def signature_of(*args: Any) -> Any:
        if args not in parts:
            parts[args] = tuple(njit(no_cpython_wrapper=True, **INLINED)(part) for part in form(*args))
        for part in parts[args]:
            part.compile(args)
        return signature(types.none, *args)

    def call(context: Any, builder: Any, part: Any, found: Any, args: Any) -> Any:
        code = part.overloads[found.args]
        context.add_linking_libs([code.library])
        _, result = context.call_internal_no_propagate(builder, code.fndesc, code.signature, args)
        return result

    def generate(context: Any, builder: Any, found: Any, args: Any) -> Any:
        fault, work = parts[found.args]
        refuse(context, builder, call(context, builder, fault, found, args))
        call(context, builder, work, found, args)
        return context.get_dummy_value()

    class Template(CallableTemplate):  # type: ignore[misc]
        key = function

        def generic(self) -> Any:
            return signature_of

    infer(Template)
    infer_global(function, Public(Template, form))
    lower_builtin(function, types.VarArg(types.Any))(generate)


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
    return entries, stacked


def _as_packed(name: str, kind: Any, record: type, cells: list[Cell], stacked: bool) -> list[Any]:
    """`_entries`, as many as packed has, of one type."""
    entries, also = _entries(name, kind, record)
    expected = f"{len(cells)} {record.__name__}, as many as packed"
    _expect(also == stacked and len(entries) == len(cells), name, expected, kind)
    _expect(all(entry == entries[0] for entry in entries), name, "entries of one type", kind)
    return entries


def _as_weights(name: str, kind: Any, cells: list[Cell], stacked: bool) -> list[Any]:
    """The types of the records of weights, one for each layer of packed and of its cell."""
    also = isinstance(kind, types.BaseTuple) and not isinstance(kind, types.BaseNamedTuple)
    entries = list(kind) if also else [kind]
    records = [CELLS[cell.name] for cell in cells]
    expected = ", ".join(record.__name__ for record in records)
    expected = f"{len(cells)} {expected}, as many as packed" if len(set(records)) == 1 else f"{expected}, as in packed"
    right = also == stacked and len(entries) == len(cells)
    _expect(right and all(map(_is, entries, records)), name, expected, kind)
    return entries


def _array(name: str, kind: Any, ndims: tuple[int, ...], dtype: Any, *, own: bool = False, whole: bool = False) -> None:
    """whole: it must be in C order; own: and writable, since it is changed in place."""
    right = isinstance(kind, types.Array) and kind.dtype == dtype and kind.ndim in ndims and kind.aligned
    if right and (own or whole):
        right = kind.layout == "C" and (kind.mutable or not own)
    order = "a C-ordered, writable " if own else "a C-ordered " if whole else "an "
    _expect(right, name, f"{order}array of {dtype} with {' or '.join(map(str, ndims))} dimensions", kind)


def _field(kind: Any, name: str) -> Any:
    return kind.types[kind.fields.index(name)]


def _cell(layout: Any, name: str) -> Cell:
    """The cell that packed weights or a tape are for."""
    right = isinstance(layout, types.Array) and layout.ndim == LAYOUT
    _expect(right, name, f"an array of {LAYOUT} dimensions, as pack makes it", layout)
    try:
        return cell_of(as_dtype(layout.dtype))
    except (KeyError, NotImplementedError):
        raise TypingError(f"{name}: expected what pack makes, got {layout}") from None


def _integers(name: str, entry: Any) -> None:
    for field in ("hidden_size", "output_size"):
        kind = _field(entry, field)
        _expect(isinstance(kind, types.Integer), f"{name}.{field}", "an integer", kind)


def _weights(packed: Any, *, own: bool = False) -> tuple[list[Cell], bool, Any]:
    """The layers' cells, whether it is a stack, and the float type. own: they are changed in place."""
    entries, stacked = _entries("packed", packed, Packed)
    panels = _field(entries[0], "panels")
    dtype = panels.dtype if isinstance(panels, types.Array) else None
    _expect(dtype in (types.float32, types.float64), "packed", "what fastlstm.pack makes", packed)
    cells = []
    for entry in entries:
        layout, second = _field(entry, "layout"), _field(entry, "second")
        _array("packed.panels", _field(entry, "panels"), (3,), dtype, own=own, whole=True)
        cell = _cell(layout, "packed.layout")
        _integers("packed", entry)
        if cell.later > 1:
            _array("packed.second", second, (cell.later,), dtype, own=own, whole=True)
        else:
            _expect(isinstance(second, types.NoneType), "packed.second", f"None for the {cell.name} cell", second)
        cells.append(cell)
    return cells, stacked, dtype


def _records(name: str, kind: Any, record: type, cells: list[Cell], stacked: bool, fields: dict[str, tuple[int, ...]],
             dtype: Any) -> list[Any]:  # fmt: skip
    """Check a record a layer: writable arrays of those dimensions."""
    entries = _as_packed(name, kind, record, cells, stacked)
    for field, ndims in fields.items():
        _array(f"{name}.{field}", _field(entries[0], field), ndims, dtype, own=True)
    return entries


def _weight_records(name: str, kind: Any, cells: list[Cell], stacked: bool, dtype: Any, *, own: bool) -> None:
    """Check the records of weights: arrays in C order."""
    for cell, entry in zip(cells, _as_weights(name, kind, cells, stacked), strict=True):
        axes = [len(shape) for shape in shapes(CELLS[cell.name], 1, 1, 1).values()]
        for field, array, ndim in zip(entry.fields, entry.types, axes, strict=True):
            _array(f"{name}.{field}", array, (ndim,), dtype, own=own, whole=True)


def _states(kind: Any, cells: list[Cell], stacked: bool, dtype: Any, name: str = "state") -> int:
    (entry, *_) = _records(name, kind, State, cells, stacked, {"h": (1, 2), "c": (1, 2)}, dtype)
    h, c = _field(entry, "h"), _field(entry, "c")
    _expect(h.ndim == c.ndim, f"{name}.c", f"{h.ndim} dimensions, as h has", c)
    return int(h.ndim)


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


def _of_cells(packed: Any, layer: Any, stack: Any, mixed: Any) -> Any:
    """The form for a layer, for a stack of one cell, or of several."""
    if isinstance(packed, types.BaseNamedTuple):
        return layer
    return stack if isinstance(packed, types.UniTuple) else mixed


def step_of(x: Any, packed: Any, state: Any) -> Any:
    cells, stacked, dtype = _weights(packed)
    ndim = _states(state, cells, stacked, dtype)
    _array("x", x, (ndim,), dtype)

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


def _output(y: Any, ndim: int, dtype: Any) -> None:
    _array("y", y, (ndim,), dtype)
    _expect(y.mutable, "y", "a writable array", y)


def forward_into_of(x: Any, packed: Any, state: Any, y: Any) -> Any:
    cells, stacked, dtype = _weights(packed)
    ndim = _states(state, cells, stacked, dtype)
    _array("x", x, (ndim + 1,), dtype)
    _output(y, ndim + 1, dtype)

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
    cells, stacked, dtype = _weights(packed)
    ndim = _states(state, cells, stacked, dtype)
    _array("x", x, (ndim + 1,), dtype)
    _output(y, ndim + 1, dtype)
    _tapes(tape, packed, cells, stacked, dtype)

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
    cells, stacked, dtype = _weights(packed)
    _tapes(tape, packed, cells, stacked, dtype)
    _expect(_is(grads, Grads), "grads", "what make_grads makes", grads)
    _array("grads.x", _field(grads, "x"), (2, 3), dtype, own=True)
    _weight_records("grads.params", _field(grads, "params"), cells, stacked, dtype, own=True)
    ndim = _states(_field(grads, "state"), cells, stacked, dtype, "grads.state")
    has_dy, has_dstate = not _none(dy), not _none(dstate)
    if has_dy:
        _array("dy", dy, (ndim + 1,), dtype, whole=True)
    if has_dstate:
        found = _states(dstate, cells, stacked, dtype, "dstate")
        _expect(found == ndim, "dstate", f"h of {ndim} dimensions, as grads.state has", dstate)

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
    cells, stacked, dtype = _weights(packed, own=True)
    _weight_records("params", params, cells, stacked, dtype, own=False)

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


def _none(kind: Any) -> bool:
    return kind is None or isinstance(kind, (types.NoneType, types.Omitted))


_INTEGERS = ("bases", "order", "lens", "where")
_TAPE_AXES = {
    "x": 3, "h": 2, "gates": 4, "cells": 3, "dx": 3, "bases": 1, "order": 1, "lens": 1, "reset": 1, "dh": 2, "dc": 2,
    "t": 2, "dz": 2, "a": 2, "dp": 1, "tmp": 1, "zeros": 1, "wt": 1, "ut": 1, "where": 1,
}  # fmt: skip


def _tapes(kind: Any, packed: Any, cells: list[Cell], stacked: bool, dtype: Any) -> None:
    entries, also = _entries("tape", kind, Buffers)
    expected = f"{len(cells)} {Buffers.__name__}, as many as packed"
    _expect(also == stacked and len(entries) == len(cells), "tape", expected, kind)
    for cell, entry in zip(cells, entries, strict=True):
        made_for = _cell(_field(entry, "layout"), "tape.layout")
        _integers("tape", entry)
        _expect(made_for is cell, "tape", f"one for the {cell.name} cell", f"one for the {made_for.name} cell")
        for name, ndim in _TAPE_AXES.items():
            number = types.int64 if name in _INTEGERS else types.boolean if name == "reset" else dtype
            _array(f"tape.{name}", _field(entry, name), (ndim,), number, own=True)
