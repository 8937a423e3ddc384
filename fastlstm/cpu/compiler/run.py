"""How kernels are run, on one thread or all.

A kernel's body is compiled once for each kind of arguments, which it gets a pointer to: so all bodies look alike from
outside, and one parallel region, compiled once for all, runs any of them on Numba's threads by its address."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit, prange, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .cache import cached
from .compiling import compiling
from .flat import flat_kind, flat_of
from .options import OPTIONS, compiled, compiled_from_python, inlined, kernel

logger = logging.getLogger("fastlstm")


def prepare(entrance: Any, kinds: tuple[Any, ...]) -> None:
    """Compile what `compiled_from_python` made for those types of its arguments, or load it, once."""
    with compiling():
        if kinds not in entrance.overloads:
            entrance.compiler.compile(kinds)
            found = entrance.compiler.overloads[kinds]
            codes = [kind._code for kind in kinds]
            try:
                entrance._insert(codes, found.entry_point, False)
            finally:  # whatever interrupts: twice the same would be one too many
                entrance.overloads = {**entrance.overloads, kinds: found}  # new: a call elsewhere may be reading it


_N = types.intp
_KINDS = (_N, _N, _N, _N)


def _inside(arguments: Any) -> Any:
    """The type of a kernel's arguments where they stand in memory: a plain tuple, with Flats for arrays."""
    return types.BaseTuple.from_types([flat_kind(types.unliteral(kind)) for kind in arguments.types])


@intrinsic  # type: ignore[misc]
def stored(typing: Any, place: Any, arguments: Any) -> Any:
    """A pointer to a kernel's arguments, a record or a tuple: at that place of the caller's, or, where it is 0, on the
    stack of the function that calls this."""
    inside = _inside(arguments)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stack = cgutils.alloca_once(builder, context.get_data_type(inside))
        given = builder.inttoptr(args[0], stack.type)
        pointer = builder.select(cgutils.is_null(builder, given), stack, given)
        for number, kind in enumerate(arguments.types):
            value = builder.extract_value(args[1], number)
            if inside[number] != types.unliteral(kind):
                value = flat_of(context, builder, kind, value)
            data = context.data_model_manager[inside[number]].as_data(builder, value)
            builder.store(data, cgutils.gep_inbounds(builder, pointer, 0, number))
        return pointer

    return types.CPointer(inside)(_N, arguments), generate


@intrinsic  # type: ignore[misc]
def loaded(typing: Any, pointer: Any) -> Any:
    """The arguments that stand there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.data_model_manager[pointer.dtype].load_from_data_pointer(builder, args[0])

    return pointer.dtype(pointer), generate


@intrinsic  # type: ignore[misc]
def loaded_as(typing: Any, record: Any, pointer: Any) -> Any:
    """The same by name: record is a NamedTuple of as many fields."""
    kind = types.NamedTuple(pointer.dtype.types, record.instance_class)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.data_model_manager[kind].load_from_data_pointer(builder, args[1])

    return kind(record, pointer), generate


@compiled
def alone(body: Any, turns: Any, pointer: Any) -> None:
    """All turns of a kernel, called from compiled code."""
    _called(body, 0, turns, 0, 1, pointer)


@compiled
def _called(body: Any, first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """A kernel, of numbers that are parameters here: constants would each be a type of its own to it, and it would be
    compiled once more for them."""
    body(first, last, w, workers, pointer)


@intrinsic  # type: ignore[misc]
def _call(typing: Any, address: Any, numbers: Any) -> Any:
    """Call the compiled function that begins at an address; it returns and raises nothing. numbers: its arguments, of
    which the fifth, where a kernel's body is called, is the place of its own."""
    kinds = [*_KINDS, types.voidptr][: len(numbers)]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[1])
        values[4:] = [builder.inttoptr(value, cgutils.voidptr_t) for value in values[4:]]
        function = context.call_conv.get_function_type(types.none, kinds).as_pointer()
        context.call_conv.call_function(builder, builder.inttoptr(args[0], function), types.none, kinds, values)
        return context.get_dummy_value()

    return types.void(_N, types.UniTuple(_N, len(numbers))), generate


@intrinsic  # type: ignore[misc]
def _place(typing: Any, pointer: Any) -> Any:
    """A pointer as a number, which all kernels have in common."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], context.get_value_type(_N))

    return _N(pointer), generate


def _region(body: Any, turns: Any, workers: Any, place: Any) -> None:
    """All turns of a kernel on Numba's threads."""
    for turn in range(turns):
        for worker in prange(workers):
            _call(body, (turn, turn + 1, np.int64(worker), workers, place))


_region = cached(njit(parallel=True, **OPTIONS)(_region))


@inlined
def _turns(region: Any, body: Any, turns: Any, workers: Any, place: Any) -> None:
    """All turns of a kernel: in the calling thread for one worker, else in the region."""
    if workers == 1:
        _call(body, (0, turns, 0, 1, place))
    else:
        _call(region, (body, turns, workers, place))


@compiled_from_python
def _enter(region: Any, body: Any, turns: Any, workers: Any, place: Any, arguments: Any) -> None:
    """A kernel with arguments that come from Python; place: where to keep them, or 0."""
    _turns(region, body, turns, workers, _place(stored(place, arguments)))


@compiled_from_python
def _repeat(region: Any, runs: Any) -> None:
    """Kernels one after the other: a row (body, turns, workers, place of the arguments) each."""
    for i in range(len(runs)):
        _turns(region, runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3])


_TABLE = (types.int64, types.Array(types.int64, 2, "C"))


def _address(dispatcher: Any, kinds: tuple[Any, ...]) -> int:
    """Where the function begins in memory; compiles it, or loads it from the cache."""
    dispatcher.compile(kinds)
    found = dispatcher.overloads[kinds]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))


class _Body(NamedTuple):
    """address: where the compiled kernel begins; size: bytes of its arguments; enter: `_enter` for arguments of these
    types. That is called as it is: to look at the types of all arguments again would take longer than a small pass."""

    address: int
    size: int
    enter: Callable[..., None]


_bodies: dict[tuple[Any, Any], _Body] = {}  # by body and the kind of its arguments
_regions: list[int] = []  # the address of the region, once there is one
NOTICED = 1.0  # seconds of compiling that the logger is told of


def run(body: Any, kind: Any, turns: int, workers: int, arguments: tuple[Any, ...]) -> None:
    """Run a kernel: in the calling thread for one worker, else on Numba's threads.

    kind: the float type and the cell; all else in the arguments is of the same types at every call. arguments: arrays
    and numbers. Says once on the logger when something had to be compiled for longer than `NOTICED`.
    """
    address, size, enter = _bodies.get((body, kind)) or _prepare(body, kind, arguments)
    if workers > 1 and not _regions:
        compile_region()
    record = _own.recording
    place = 0 if record is None else record.add(address, size, turns, workers, arguments)
    enter(_regions[0] if workers > 1 else 0, address, turns, workers, place, arguments)


class _Own(threading.local):
    recording: Recording | None = None


_own = _Own()


def recording() -> Recording | None:
    """What the runs of this thread go into, if anything."""
    return _own.recording


class Recording:
    """Runs of kernels, to be run again: on the same arrays and with the same numbers, but without Python in between.

    A context: what runs inside it runs, and is recorded. It keeps the arrays alive. What else changes their content in
    between has to be a run too (training/moves.py), or be said to `before`.
    """

    def __init__(self) -> None:
        prepare(_repeat, _TABLE)
        self._runs: list[tuple[int, int, int, int]] = []
        self._kept: list[Any] = []
        self._before: list[Callable[[], Any]] = []
        self._table = np.zeros((0, 4), np.int64)

    def __enter__(self) -> Recording:
        _own.recording = self
        return self

    def __exit__(self, *error: object) -> None:
        _own.recording = None
        self._table = np.array(self._runs, np.int64).reshape(-1, 4)

    def add(self, address: int, size: int, turns: int, workers: int, arguments: tuple[Any, ...]) -> int:
        """A run that is about to begin; where its arguments are to be kept."""
        place = np.zeros(-(-size // 8), np.int64)
        self._kept += [arguments, place]
        self._runs.append((address, turns, workers, place.ctypes.data))
        return place.ctypes.data

    def before(self, action: Callable[[], Any]) -> None:
        """To be called each time before the kernels run again."""
        self._before.append(action)

    def run(self) -> None:
        """All of it again."""
        for action in self._before:
            action()
        _repeat(_regions[0] if _regions else 0, self._table)


@kernel
def _strand(first: Any, last: Any, w: Any, workers: Any, pointer: Any) -> None:
    """Every `workers`-th recording, kernel after kernel. One turn."""
    runs, ends = loaded(pointer)
    for one in range(w, len(ends) - 1, workers):
        for i in range(ends[one], ends[one + 1]):
            _call(runs[i, 0], (0, runs[i, 1], 0, 1, runs[i, 3]))


class Strands:
    """Recordings that have no array in common that they write to: each runs on one thread, all at once."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self._runs = np.concatenate([one._table for one in recordings])
        self._ends = np.cumsum([0, *(len(one._table) for one in recordings)], dtype=np.int64)

    def run(self, workers: int) -> None:
        """All of them again, on so many threads at most."""
        for one in self._recordings:
            for action in one._before:
                action()
        run(_strand, None, 1, min(workers, len(self._recordings)), (self._runs, self._ends))


def compile_region() -> None:
    """What runs kernels on threads."""
    with compiling():
        if not _regions:
            _regions.append(_address(_region, _KINDS))


def _prepare(body: Any, kind: Any, arguments: tuple[Any, ...]) -> _Body:
    """The body for these arguments, once all that runs it for them is there."""
    found = numba.typeof(arguments)
    with compiling():
        began, misses = time.perf_counter(), _misses(body)
        address = _address(body, (*_KINDS, types.CPointer(_inside(found))))
        context = cpu_target.target_context
        size = context.get_abi_sizeof(context.get_data_type(_inside(found)))
        _bodies[body, kind] = _Body(address, size, _entry((*_KINDS, _N, found)))
    seconds = time.perf_counter() - began
    if seconds > NOTICED and _misses(body) > misses:
        logger.info("compiled %s in %.1f s; later calls and processes reuse it", body.__name__, seconds)
    return _bodies[body, kind]


def _entry(kinds: tuple[Any, ...]) -> Callable[..., None]:
    """`_enter` for arguments of those types."""
    prepare(_enter, kinds)
    found: Callable[..., None] = _enter.overloads[kinds].entry_point
    return found


def _misses(dispatcher: Any) -> int:
    return sum(dispatcher.stats.cache_misses.values())
