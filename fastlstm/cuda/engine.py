"""The engine for GPUs: `Engine` in fastlstm/backend.py, the door to it, says what each function does.

There is an engine for each place: a device, and the library that results are given to. Its arrays are `CudaArray`, the
kernels' are Numba's. Work is enqueued on the library's current stream.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

from ..cells.phases import Cell
from ..cpu.callable.buffers import Buffers
from ..cpu.lstm.packing import Packed
from ..params import AnyParams, form
from . import dlpack, launch, machine, memory
from .arrays import CudaArray
from .libraries import NUMBA, Place, library_of
from .records import DeviceBatch, DeviceKept, DeviceWeights, Schedule

ROWS_REMEMBERED = 2**19  # of a schedule: larger ones are made anew
_KIND: ContextVar[str | None] = ContextVar("kind", default=None)


@contextlib.contextmanager
def force(kind: str | None) -> Iterator[None]:
    """Passes inside run by that kind of kernels, for tests and benchmarks; ValueError at one that it does not fit."""
    token = _KIND.set(kind)
    try:
        yield
    finally:
        _KIND.reset(token)


class DevicePacked(Packed):
    """Weights laid out for a device: `layout` holds them all, `panels` stands for their type and place."""

    __slots__ = ()

    def __repr__(self) -> str:
        _, D, H, P, *_ = self.layout
        return f"Packed({self.layout.cell.name}, {D=}, {H=}, {P=}, {self.panels.dtype} on {self.panels.where})"

    def copy(self) -> DevicePacked:
        return self.panels.engine.copy_of(self)  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"expected weights in the host's memory to pickle, got some on {self.panels.where}")


class DeviceTape:
    """What a forward pass leaves on the device, which it fills in: the tape's `Kept`. Empty before, and where a pass
    came to an error."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: tuple[DeviceBatch, DeviceKept] | None = None

    def empty(self) -> None:
        self._found = None

    def fill(self, batch: DeviceBatch, kept: DeviceKept) -> None:
        self._found = batch, kept

    def found(self) -> tuple[DeviceBatch, DeviceKept]:
        if self._found is None:
            raise ValueError("tape: expected that of a forward pass, got one that none has filled")
        return self._found

    def __repr__(self) -> str:
        return "DeviceTape()" if self._found is None else f"DeviceTape({form(self._found[1].gates)})"


class DeviceBuffers(Buffers):
    """A tape of the in-place functions: x, h and dx on the device, `gates` the DeviceTape."""

    __slots__ = ()


def place_of(name: str, value: Any) -> Place:
    """The device that an array is on, and whose it is."""
    library = library_of(value)
    try:
        return Place(library, library.device_of(value))
    except Exception as error:
        raise TypeError(f"{name}: expected an array on a CUDA device, got {type(value).__name__} ({error})") from error


def wrapped(name: str, value: Any) -> CudaArray:
    """A caller's array as this package sees it; nothing of its numbers is read."""
    if isinstance(value, CudaArray):
        return value
    machine.ready()
    place = place_of(name, value)
    engine = CudaEngine(place)
    try:
        place.library.ready(value)
        if getattr(type(value), "__cuda_ndarray__", False) is True and machine.simulated():
            return _of_simulator(value, place, engine)
        found = _interface(value)
        if found is None:
            held = dlpack.taken(value, place.stream or 1)
            return CudaArray(held.keeper, held.pointer, held.shape, held.dtype, place=place, engine=engine,
                             strides=held.strides, readonly=place.library.frozen)  # fmt: skip
    except Exception as error:  # tensors that want gradients, types that NumPy has not, ...
        raise TypeError(f"{name}: expected an array, got {type(value).__name__} that makes none ({error}); tensors "
                        "that want gradients: docs/cuda.md") from error  # fmt: skip
    if found.get("mask") is not None:
        raise TypeError(f"{name}: expected an array without a mask, got {type(value).__name__}")
    pointer, readonly = found["data"]
    strides = found.get("strides")
    _meet(found.get("stream"), place)
    return CudaArray(value, pointer or 0, tuple(found["shape"]), np.dtype(found["typestr"]), place=place, engine=engine,
                     strides=None if strides is None else tuple(strides),
                     readonly=bool(readonly) or place.library.frozen)  # fmt: skip


def _interface(value: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = getattr(value, "__cuda_array_interface__", None)
    return found


def _of_simulator(value: Any, place: Place, engine: CudaEngine) -> CudaArray:
    array = value._ary
    return CudaArray(value, array.ctypes.data, array.shape, array.dtype, place=place, engine=engine,
                     strides=array.strides, readonly=not array.flags.writeable)  # fmt: skip


def _meet(stream: int | None, place: Place) -> None:
    """Wait for the stream that an array is being made on, where that is not the one that reads it."""
    if stream is not None and stream > 2 and stream != place.stream:
        memory.wait(stream)


class CudaEngine:
    """What computes at one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @contextlib.contextmanager
    def _here(self) -> Iterator[Any]:
        """The device is the current one inside; yields the stream to work on, as Numba has it."""
        machine.ready()
        from numba import cuda

        with machine.failures(self.place.device_name), machine.QUIET, cuda.gpus[self.place.number]:
            yield memory.stream_at(self.place.stream)

    # memory

    def empty(self, shape: tuple[int, ...], dtype: Any) -> CudaArray:
        with self._here():
            owner = self.place.library.empty(tuple(shape), np.dtype(dtype), self.place.number)
            return self._of(owner)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> CudaArray:
        found = self.empty(shape, dtype)
        found.fill(0)
        return found

    def _of(self, owner: Any) -> CudaArray:
        """An array of this package's own making."""
        found = wrapped("result", owner)
        return CudaArray(owner, found.pointer, found.shape, found.dtype, place=self.place, engine=self,
                         strides=found.strides)  # fmt: skip

    def fill(self, array: CudaArray, value: float) -> None:
        with self._here():
            memory.fill(array, value, self.place.stream)

    def move(self, to: CudaArray, given: Any) -> None:
        """to[...] = given, which is on this device, or a NumPy array."""
        with self._here():
            if isinstance(given, CudaArray):
                memory.move(to, given, self.place.stream)
            else:
                memory.from_host(to, given, self.place.stream)

    def on_host(self, array: CudaArray) -> Any:
        with self._here():
            return memory.on_host(array, self.place.stream)

    def finish(self) -> None:
        """Before results are given to a library that knows of no stream of ours."""
        if self.place.library.frozen:
            with self._here():
                memory.wait(self.place.stream)

    # weights

    def pack(self, params: AnyParams) -> DevicePacked:
        with self._here() as stream:
            weights = launch.pack(_for_kernels(params), stream)
        return self._packed(weights)

    def _packed(self, weights: DeviceWeights) -> DevicePacked:
        return DevicePacked(self._of(weights.b), weights.H, weights.P, weights)

    def packing(self, params: AnyParams, packed: Packed) -> Callable[[], None]:
        def again() -> None:
            with self._here() as stream:
                new = launch.pack(_for_kernels(params), stream)
            self._copy(packed.layout, new)

        return again

    def _copy(self, to: DeviceWeights, given: DeviceWeights) -> None:
        for one, other in zip(to[4:], given[4:], strict=True):
            self.move(self._of(one), self._of(other))

    def copy_of(self, packed: DevicePacked) -> DevicePacked:
        weights: DeviceWeights = packed.layout
        arrays = []
        for one in weights[4:]:
            found = self.empty(tuple(one.shape), one.dtype)
            self.move(found, self._of(one))
            arrays.append(memory.for_kernels(found))
        return self._packed(DeviceWeights(*weights[:4], *arrays))

    def unpack(self, packed: Packed) -> AnyParams:
        """In the host's memory, for files."""
        with self._here() as stream:
            found = launch.unpack(packed.layout, stream)
        return type(found)(*(self._of(array).on_host() for array in found))

    def fits(self, packed: Packed) -> bool:
        weights = packed.layout
        return isinstance(weights, DeviceWeights) and packed[1:3] == (weights.H, weights.P)

    def sizes(self, packed: Packed) -> tuple[int, int, int]:
        weights: DeviceWeights = packed.layout
        return weights.D, weights.H, weights.P

    def cell_in(self, packed: Packed) -> Cell:
        cell: Cell = packed.layout.cell
        return cell

    def cell_with_mark(self, layout: Any) -> Cell | None:
        return layout.cell if isinstance(layout, DeviceWeights) else None

    # passes

    def forward(self, *, packed: Packed, batch: Any, state: Any, y: CudaArray, column: int = 0,
                cells: CudaArray | None = None, kept: Any = None, standing: Any = None) -> None:  # fmt: skip
        with self._here() as stream:
            if kept is not None:
                _tape(kept).empty()
            taped = kept is not None or cells is not None
            given = self._batch(packed, batch, taped=taped)
            room = launch.keep(packed.layout, given, stream) if taped else None
            launch.run_forward(packed.layout, given, _for_kernels(state), memory.for_kernels(y), column, room, stream)
            if kept is not None:
                _tape(kept).fill(given, room)
            if cells is not None and room is not None:
                launch.cells_of(packed.layout, given, room, memory.for_kernels(cells), stream)

    def _batch(self, packed: Packed, batch: Any, *, taped: bool) -> DeviceBatch:
        x, lengths, reset, mask, reverse = batch
        N, T, _ = x.shape
        most = None if taped else launch.rows_at_once(packed.layout)
        if lengths is None and reset is None and N * T <= ROWS_REMEMBERED:
            schedule = _regular(self.place.number, N, T, bool(reverse), most)
        else:
            schedule = _scheduled(N, T, lengths, reset, bool(reverse), most)
        given = DeviceBatch(memory.for_kernels(x), schedule, None if mask is None else memory.for_kernels(mask))
        return given._replace(kind=_forced(packed.layout, given))

    def backward(self, *, done: Any, dy: CudaArray | None, dstate: Any, dx: CudaArray, column: int = 0,
                 standing: Any = None) -> AnyParams:  # fmt: skip
        batch, kept = _tape(done.kept).found()
        with self._here() as stream:
            found = launch.run_backward(
                done.packed.layout, batch, kept, None if dy is None else memory.for_kernels(dy),
                _for_kernels(dstate), memory.for_kernels(dx), column, stream,
            )  # fmt: skip
        mine: AnyParams = type(found)(*(self._of(array) for array in found))
        if standing is None:
            return mine
        for to, new in zip(standing, mine, strict=True):
            self.move(to, new)
        gradients: AnyParams = standing
        return gradients

    def cells(self, done: Any) -> CudaArray:
        batch, kept = _tape(done.kept).found()
        _, H, _ = self.sizes(done.packed)
        found = self.empty((*done.batch.x.shape[:2], H), done.batch.x.dtype)
        with self._here() as stream:
            launch.cells_of(done.packed.layout, batch, kept, memory.for_kernels(found), stream)
        return found

    def keep(self, packed: Packed, N: int, T: int) -> DeviceTape:
        return DeviceTape()

    # steps, and callers' own memory

    def quick_step(self, x: Any, packed: Packed, state: Any) -> bool:
        return False

    def step(self, x: Any, packed: Packed, state: Any) -> bool:
        """`forward` does it."""
        return False

    def make_tape(self, packed: Packed, N: int, T: int, *, first: bool) -> DeviceBuffers:
        D, H, P = self.sizes(packed)
        dtype, nothing = packed.panels.dtype, dict.fromkeys(Buffers._fields)
        arrays = {
            "x": self.zeros((N, T, D), dtype),
            "h": self.zeros((N, P), dtype),
            "dx": self.zeros((0, 0, 0) if first else (N, T, D), dtype),
        }
        return DeviceBuffers(**nothing | arrays | {"layout": packed.layout, "hidden_size": H, "output_size": P,
                                                   "gates": DeviceTape()})  # fmt: skip

    def tape_arrays(
        self, packed: Packed, tape: Buffers, N: int, T: int, *, first: bool
    ) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
        D, _, P = self.sizes(packed)
        forms = {"x": (N, T, D), "h": (N, P), "dx": (0, 0, 0) if first else (N, T, D)}
        return [(name, shape, packed.panels.dtype) for name, shape in forms.items()]

    def standing_in(self, tape: Buffers, gradients: AnyParams) -> AnyParams:
        return gradients


def kinds_of(packed: Packed, N: int, T: int) -> tuple[str, ...]:
    """The kinds of kernels that can run passes over N sequences of T steps, the one that does first."""
    engine: CudaEngine = packed.panels.engine  # type: ignore[attr-defined]
    with engine._here():
        schedule = _regular(engine.place.number, N, T, False, None)
        return tuple(launch.kinds(packed.layout, DeviceBatch(packed.layout.W, schedule)))


def _forced(weights: DeviceWeights, batch: DeviceBatch) -> str | None:
    kind = _KIND.get()
    if kind is not None and kind not in (possible := tuple(launch.kinds(weights, batch))):
        raise ValueError(f"kind: expected one of {', '.join(possible)} for these sizes, got {kind}")
    return kind


def _tape(kept: Any) -> DeviceTape:
    """What a pass has kept; the in-place functions wrap it in `Kept`."""
    found: DeviceTape = kept if isinstance(kept, DeviceTape) else kept.gates
    return found


def _for_kernels(record: Any) -> Any:
    """A record of arrays as the kernels take them."""
    return type(record)(*(memory.for_kernels(array.as_type(array.dtype)) for array in record))


@lru_cache(32)
def _regular(number: int, N: int, T: int, reverse: bool, most: int | None) -> Schedule:
    """The schedule of sequences of one length, which many calls share; on the device of that number."""
    return _scheduled(N, T, None, None, reverse, most)


def _scheduled(N: int, T: int, lengths: Any, reset: Any, reverse: bool, most: int | None) -> Schedule:
    """It comes by the default stream, which others need not wait for."""
    found = launch.schedule(N, T, lengths, reset, reverse=reverse, most=most)
    memory.wait(0)
    return found


def to_device(record: Any, name: str = "cuda") -> Any:
    """A record of NumPy arrays -> the same on a device: "cuda" or "cuda:1"."""
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number.isdecimal() or not number):
        raise ValueError(f'device: expected "cuda", "cuda:1" or the like, or None, got {name!r}')
    machine.ready()
    from numba import cuda

    if int(number or 0) >= len(cuda.gpus):
        raise ValueError(f"device: expected one of the {len(cuda.gpus)} CUDA devices here, got {name!r}")
    engine = CudaEngine(Place(NUMBA, int(number or 0)))
    arrays = []
    for array in record:
        found = engine.empty(array.shape, array.dtype)
        engine.move(found, array)
        arrays.append(found)
    return type(record)(*arrays)


__all__ = ["CudaEngine", "force", "kinds_of", "to_device", "wrapped"]
