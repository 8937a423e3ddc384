"""The door to what computes: an engine. Nothing above this module knows what lies behind it.

An engine lays weights out as it likes, runs a pass of one direction of a layer, forward or backward, and has the
kernels that training needs besides. `Packed`, `Kept` and `Buffers` are the same records for all of them; what stands in
their arrays is an engine's own. Callers ask `backend.engine`, which `use` changes, at each call. Where arrays may be on
a device they ask `engine_of` an array: it is that engine, or the one of the device.

Letters: N batch, T time steps, D input size, H hidden size, P the width of h.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .cells.phases import Cell
from .cpu import engine as cpu
from .cpu.callable.buffers import Buffers
from .cpu.lstm.packing import Packed
from .cpu.lstm.records import Kept
from .cpu.training.moves import HELD, NONE
from .params import AnyParams, Array, Batch, is_plain
from .places import Elsewhere, is_elsewhere

__all__ = [
    "HELD", "NONE", "Buffers", "Engine", "Kept", "LossRule", "Packed", "Pass", "Payoff", "Recording", "Standing",
    "Training", "UpdateRule", "device_facts", "devices_used", "engine", "engine_of", "given_back",
    "placed", "to_device", "use",
]  # fmt: skip


class Pass(NamedTuple):
    """What a forward pass in training leaves for its way back.

    Attributes
    ----------
    packed : Packed
    batch : Batch
    h : ndarray, shape (N, P)
        The initial one.
    kept : Kept
    """

    packed: Packed
    batch: Batch
    h: Array
    kept: Kept


class Standing(Protocol):
    """What passes over batches of one shape need again and again."""

    @property
    def kept(self) -> Kept | None:
        """Room for what one forward pass keeps; None where its making does not matter."""


class Recording(Protocol):
    """A context: what an engine runs inside it is noted, and `run` runs it again on the same arrays.

    What else changes their content in between has to be said to `before`, which calls it each time.
    """

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: object) -> None: ...
    def before(self, action: Callable[[], Any]) -> None: ...
    def run(self) -> None: ...


class Strands(Protocol):
    """Recordings that write to no array in common, to be run again at once: each on one thread."""

    def run(self, workers: int) -> None: ...


class Payoff(Protocol):
    """Whether threads pay, by what the last calls took."""

    def choose(self) -> bool: ...
    def took(self, together: bool, seconds: float, steps: int) -> None: ...


class LossRule(NamedTuple):
    """A loss: its kernel's name, the numbers [lowest and highest probability, label smoothing, Huber's delta], and what
    gradients of the sum are multiplied by."""

    name: str
    numbers: Array
    share: float


class UpdateRule(NamedTuple):
    """An optimizer's update.

    Attributes
    ----------
    name : {"sgd", "rmsprop", "adam"}
    clip : {"none", "each", "global"}
        Whose norm is bounded: nothing's, each variable's, that of the whole gradient.
    chunks : ndarray of int64, shape (chunks, 3)
        From `Training.cut`.
    factors : ndarray, shape (variables, 2)
        What a variable's gradient is multiplied by, written to; and its weight decay.
    squares : ndarray, shape (chunks,)
        Room for sums of squares.
    numbers : ndarray
        Learning rate, bound of the norm, bound of each number in the gradient, the rule's own.
    """

    name: str
    clip: str
    chunks: Array
    factors: Array
    squares: Array
    numbers: Array


class Training(Protocol):
    """What `fastlstm.nn` needs besides passes. Arrays are in C order, and of one float type but for those named."""

    @property
    def ACTIVATIONS(self) -> Mapping[str, Any]:
        """Names of a dense layer's activations, and what `dense_forward` takes for them."""

    def dense_forward(self, x: Array, W: Array, b: Array | None, kind: Any, y: Array) -> None:
        """y (M, U) = f(x (M, D) @ W (D, U) + b)."""

    def dense_backward(
        self, x: Array, W: Array, y: Array, dy: Array, kind: Any, dW: Array, db: Array | None, dx: Array | None
    ) -> None:
        """dW, db and dx, where wanted, are written to."""

    def pointwise(self, rule: LossRule, t: Array, p: Array, weights: Array, values: Array, dy: Array) -> None:
        """Losses of rows of K numbers, a mean over what each gives.

        t: targets, flat; p (.., K): predictions; weights: one a row, or none; values (rows + 1,): weighted losses and
        their sum, float64; dy: the gradient, flat."""

    def categorical(
        self, rule: LossRule, t: Array, labels: Array, ignored: int, p: Array, weights: Array, values: Array, dy: Array
    ) -> None:
        """The same for K classes. labels: a class a row, of int64; where that is empty, t holds a weight a class. A row
        whose label is `ignored` counts as one of weight 0."""

    def cut(self, begins: list[int], ends: list[int]) -> Array:
        """Variables that lie there in a vector, in chunks: rows (begin, end, variable)."""

    def update(self, rule: UpdateRule, params: Array, grads: Array, own: Sequence[Array]) -> None:
        """A step of an optimizer; own: its slots, empty where it does not use them."""

    def drop(self, x: Array, draws: Array, rate: float, y: Array) -> None:
        """y (N, T, D) = x / (1 - rate) where draws (N, D) are at least rate, else 0; y may be x."""

    def expand(self, z: Array, h: Array, where: NDArray[np.int64], y: Array) -> None:
        """y (N, T, P): the step `where` (N, T) of z; h (N, P) where that is HELD; 0 where it is NONE."""

    def collect(self, dy: Array, where: NDArray[np.int64], dz: Array, dh: Array) -> None:
        """The way back; dz and dh are added to."""

    def take(self, table: Array, numbers: NDArray[np.int64], y: Array) -> None:
        """y (M, D): the rows of the table (V, D) that numbers (M,), from 0 to V - 1, name."""

    def scatter(self, numbers: NDArray[np.int64], dy: Array, sums: Array) -> None:
        """The way back: sums (V, D) of the rows of dy (M, D) that have each number; written to."""

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Zeros, anew each time that a recording runs."""

    def copied(self, array: Array) -> Array:
        """A copy, anew each time that a recording runs."""


class Engine(Protocol):
    """What computes; a module will do. Arrays are in C order and of the weights' float type, and have been checked."""

    # weights

    def pack(self, params: AnyParams) -> Packed:
        """Weights as the engine wants them, a copy."""

    def packing(self, params: AnyParams, packed: Packed) -> Callable[[], None]:
        """A call that does the same into what `pack` made, as often as it is made: of arrays in C order it reads what
        stands in them then."""

    def unpack(self, packed: Packed) -> AnyParams:
        """The weights again, new arrays."""

    def fits(self, packed: Packed) -> bool:
        """Whether the engine has laid that out, or could have, whatever its numbers are."""

    def sizes(self, packed: Packed) -> tuple[int, int, int]:
        """D, H and P."""

    def cell_in(self, packed: Packed) -> Cell:
        """The cell that it holds the weights of."""

    def cell_with_mark(self, layout: Any) -> Cell | None:
        """The cell that the field `layout` of a Packed or of Buffers stands for; None if it is none of this engine."""

    # passes of one direction of a layer

    def forward(
        self,
        *,
        packed: Packed,
        batch: Batch,
        state: Any,
        y: Array,
        column: int = 0,
        cells: Array | None = None,
        kept: Kept | None = None,
        standing: Any = None,
    ) -> None:
        """h of every step into y[:, :, column : column + P], the last state in place of the first.

        state: State, or Hidden where the cell has no c, here and below;
        cells: c of every step (N, T, H); kept: what the way back needs; written to where they are given."""

    def backward(
        self, *, done: Pass, dy: Array | None, dstate: Any, dx: Array, column: int = 0, standing: Any = None
    ) -> AnyParams:
        """Gradients of the weights, from dy[:, :, column : column + P].

        dx is added to; dstate turns from the gradient of the last state into that of the first."""

    def cells(self, done: Pass) -> Array:
        """c of every step (N, T, H) in the order of x, 0 in padding."""

    def keep(self, packed: Packed, N: int, T: int) -> Kept:
        """Room for what a forward pass keeps."""

    def kept_shapes(self, name: str, itemsize: int, H: int, N: int, T: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of it. name: the cell's; itemsize: bytes of a number."""

    def standing(self, packed: Packed, N: int, T: int, gradients: AnyParams) -> Standing:
        """For passes over N sequences of T steps, as long as the weights stay where they are; gradients: where those of
        the weights go, in C order."""

    # one step, and callers' own memory

    def quick_step(self, x: Array, packed: Packed, state: Any) -> bool:
        """One step of arrays that nobody has checked; nothing is done, and False, where something does not fit."""

    def step(self, x: Array, packed: Packed, state: Any) -> bool:
        """One step, x (N, D) or (D,), the state in place; nothing is done, and False, where `forward` has to do it."""

    def make_tape(self, packed: Packed, N: int, T: int, *, first: bool) -> Buffers:
        """Room for passes of `forward_train_into` and `backward_into`. first: whether no layer is below it."""

    def tape_arrays(
        self, packed: Packed, tape: Buffers, N: int, T: int, *, first: bool
    ) -> Iterable[tuple[str, tuple[int, ...], np.dtype[Any]]]:
        """Name, shape and type that each array of such a tape has to have."""

    def standing_in(self, tape: Buffers, gradients: AnyParams) -> Any:
        """What of the tape is room for the backward pass; gradients: where those of the weights go."""

    def callable_in_compiled_code(self, function: Callable[..., Any]) -> None:
        """Let users' compiled functions call that one of `fastlstm.in_place` too."""

    # memory

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Memory for arrays that are large and do not live long."""

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """The same, of zeros."""

    # training

    @property
    def training(self) -> Training:
        """Kernels of layers, losses and optimizers."""

    # runs that are repeated, and threads

    @property
    def recorder(self) -> Callable[[], Recording] | None:
        """Makes a `Recording`; None where the engine cannot."""

    @property
    def strands(self) -> Callable[[Sequence[Any]], Strands]:
        """Makes one of what `recorder` has made."""

    def recording(self) -> Recording | None:
        """What this thread's runs are noted in, if anything."""

    def available(self) -> int:
        """Threads that a call would have now."""

    def on_threads(self, count: int) -> AbstractContextManager[None]:
        """Calls inside have that many threads; an interrupt comes at its end."""

    def payoff(self, sure: bool = False) -> Payoff:
        """A new one. sure: whether threads pay on a quiet machine; then one is tried only when these grow slow."""

    # what is said and made ahead

    def facts(self) -> dict[str, object]:
        """Rows of `show_config`."""

    def prepare(self) -> Iterable[tuple[str, Callable[[], object]]]:
        """What is made ready once: names, and calls that do it."""


engine: Engine = cpu
_DEVICES = f"{__package__}.cuda.engine"  # what `placed` imports where it is needed


@contextmanager
def use(other: Engine) -> Iterator[None]:
    """Calls inside are computed by that engine."""
    global engine
    before, engine = engine, other
    try:
        yield
    finally:
        engine = before


def placed(name: str, value: Any) -> Elsewhere | None:
    """An array on a device as its engine sees it, or None where it is none; name: the argument's."""
    if not is_elsewhere(value):
        return None
    from .cuda import machine  # not before such an array comes

    machine.ready()
    from .cuda.engine import wrapped

    return wrapped(name, value)


def devices_used() -> bool:
    """Whether an array on a device has come in this process. Until then all are here, and nobody needs to ask."""
    return _DEVICES in sys.modules


def engine_of(array: Any) -> Engine:
    """What computes where that array lies."""
    found: Engine = array.engine if isinstance(array, Elsewhere) else engine
    return found


def given_back(found: Any, like: Any) -> Any:
    """Results, arrays in records and tuples, as the caller has them: those on a device in his library; like: one of
    them."""
    if not isinstance(like, Elsewhere):
        return found
    like.engine.finish()
    return _in_library(found, like)


def _in_library(found: Any, like: Elsewhere) -> Any:
    if isinstance(found, Elsewhere):
        return found.in_library(like)
    if is_plain(found):
        return tuple(_in_library(one, like) for one in found)
    if isinstance(found, tuple) and not isinstance(found, Packed):
        return type(found)(*(_in_library(one, like) for one in found))
    return found


def to_device(record: AnyParams, device: Any) -> AnyParams:
    """A record of NumPy arrays on a device, which has a name."""
    if not isinstance(device, str):
        raise TypeError(f'device: expected "cuda", "cuda:1" or the like, or None, got {type(device).__name__}')
    from .cuda import machine

    machine.ready()
    from .cuda.engine import to_device

    moved: AnyParams = to_device(record, device)
    return moved


def device_facts() -> dict[str, object]:
    """Rows of `show_config` about GPUs: what is there, or what is missing."""
    from .cuda.machine import facts

    return facts()
