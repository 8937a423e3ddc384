"""What a file of another format is to compute: weights, or a model with its heads, as stages in their order.

A writer reads a `Plan` and nothing else: it knows neither stacks and packed weights nor `fastlstm.nn`. `run` says what
the numbers have to be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .. import reference
from ..params import ROWS, AnyParams, AnyState, Array, sizes, state_widths
from . import layers_of

Mask: TypeAlias = NDArray[np.bool_]
Merge: TypeAlias = Literal["concat", "sum", "ave", "mul"]
MERGES: dict[Merge, Callable[[Array, Array], Array]] = {
    "concat": lambda one, two: np.concatenate([one, two], axis=-1),
    "sum": lambda one, two: one + two,
    "ave": lambda one, two: (one + two) / 2,
    "mul": lambda one, two: one * two,
}
"""What becomes of the outputs of two directions."""


class Recurrent(NamedTuple):
    """A layer with memory.

    Attributes
    ----------
    records : tuple of one or two records of weights
        The second is that of the other direction.
    returns_sequences : bool
        Whether y is h at every step, (N, T, P), and not the last one, (N, P).
    backwards : bool
        Of one record: it runs from the last step to the first, and y is in that order. Of two, the second always runs
        so, and y is in the order of x.
    merge : str
        One of `MERGES`, for two records.
    zeros : bool
        Whether y at steps that are left out is 0, and not the h before, in the order of computation. Only where y is a
        sequence.
    states : tuple of State or Hidden, or None
        One a record, h (P,) and c (H,): where sequences begin. None for zeros.
    """

    records: tuple[AnyParams, ...]
    returns_sequences: bool = True
    backwards: bool = False
    merge: Merge = "concat"
    zeros: bool = True
    states: tuple[AnyState, ...] | None = None

    @property
    def output_size(self) -> int:
        widths = [sizes(record)[2] for record in self.records]
        return sum(widths) if self.merge == "concat" else widths[0]

    @property
    def steps(self) -> bool:
        """Whether it can run one step at a time, as these come in."""
        return len(self.records) == 1 and not self.backwards


class Dense(NamedTuple):
    """f(x @ W + b) on the last axis; W (D, M), b (M,), the activation a name of `ACTIVATIONS`."""

    W: Array
    b: Array
    activation: str = "linear"


class Activation(NamedTuple):
    """An activation by itself."""

    name: str


class Masking(NamedTuple):
    """Steps whose features all equal the value are left out by the recurrent layers above: states stay as they are.
    Their features become 0."""

    value: float = 0.0


Stage: TypeAlias = Recurrent | Dense | Activation | Masking


class Plan(NamedTuple):
    """Stages from x (N, T, D) to y, (N, T, M) or (N, M).

    Attributes
    ----------
    stages : tuple of Stage
        With one `Recurrent` at least. Their arrays are all of one float type, finite and in C order.
    input_size : int
        D.
    output_size : int
        M.
    dtype : float32 or float64
    """

    stages: tuple[Stage, ...]
    input_size: int
    output_size: int
    dtype: np.dtype[Any]

    @property
    def recurrent(self) -> tuple[Recurrent, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Recurrent))

    @property
    def returns_sequences(self) -> bool:
        """Whether y is (N, T, M)."""
        return all(stage.returns_sequences for stage in self.recurrent)

    @property
    def steps(self) -> bool:
        """Whether it can run one step at a time, as these come in."""
        return all(stage.steps for stage in self.recurrent)


States: TypeAlias = tuple[tuple[AnyState, ...], ...]
"""One entry for each `Recurrent`, of one state for each of its records; h (N, P), c (N, H)."""


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def _softmax(x: Array) -> Array:
    z = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Array = z / z.sum(axis=-1, keepdims=True)
    return shares


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "softmax": _softmax,
    "softplus": lambda x: np.logaddexp(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "exponential": np.exp,
}
"""The activations of `fastlstm.nn`, by name. Softmax is over the last axis."""


def plan_of(given: Any) -> Plan:
    """What weights or a model compute.

    Parameters
    ----------
    given : a record of weights, Bidirectional, what `pack` makes of them, a stack of these, or a `Sequential`
        Of a model what it predicts: layers that only act in training are left out.

    Raises
    ------
    ValueError
        Weights that make no sense, or are not finite. A model that is not built yet, has no recurrent layer, or has one
        that cannot be described; the message names it.
    TypeError
        Neither weights nor a model.
    """
    describe = getattr(type(given), "_described", None)
    if describe is not None:
        stages = tuple(describe(given))
    else:
        levels, _ = layers_of(given)
        stages = tuple(Recurrent(tuple(level)) for level in levels)
    return planned(stages)


def planned(stages: tuple[Stage, ...]) -> Plan:
    """Stages as a plan, their arrays checked and in C order.

    Raises
    ------
    ValueError
        No recurrent layer; numbers that are not finite.
    """
    width, first, kind = None, None, None
    found: list[Stage] = []
    for number, stage in enumerate(stages):
        if isinstance(stage, Recurrent):
            records = tuple(type(one)(*map(np.ascontiguousarray, one)) for one in stage.records)
            stage = stage._replace(records=records)
            own, width, kind = sizes(records[0])[0], stage.output_size, records[0].W.dtype
            arrays = [array for record in records for array in record]
        elif isinstance(stage, Dense):
            stage = Dense(np.ascontiguousarray(stage.W), np.ascontiguousarray(stage.b), stage.activation)
            (own, width), arrays = stage.W.shape, [stage.W, stage.b]
        else:
            own, arrays = None, []
        if any(not np.isfinite(array).all() for array in arrays):
            raise ValueError(f"params: expected finite weights, got NaN or infinity in stage {number} of {len(stages)}")
        first = first or own
        found.append(stage)
    if kind is None:
        raise ValueError("params: expected at least one recurrent layer, got none")
    assert first is not None
    assert width is not None
    return Plan(tuple(found), first, width, kind)


def cast(plan: Plan, dtype: DTypeLike) -> Plan:
    """The plan with weights of another float type.

    Raises
    ------
    ValueError
        Weights that are too large for it.
    TypeError
        Neither float32 nor float64.
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}")
    stages: list[Stage] = []
    for stage in plan.stages:
        if isinstance(stage, Recurrent):
            states = None if stage.states is None else tuple(_cast(one, kind) for one in stage.states)
            stage = stage._replace(records=tuple(_cast(one, kind) for one in stage.records), states=states)
        elif isinstance(stage, Dense):
            stage = Dense(stage.W.astype(kind), stage.b.astype(kind), stage.activation)
        stages.append(stage)
    return planned(tuple(stages))


def _cast(record: Any, kind: np.dtype[Any]) -> Any:
    with np.errstate(over="ignore"):  # infinity is refused afterwards
        return type(record)(*(array.astype(kind) for array in record))


def run(
    plan: Plan,
    x: ArrayLike,
    lengths: ArrayLike | None = None,
    states: States | None = None,
    *,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, States]:
    """What a plan computes, by `fastlstm.reference`: what every file is held against.

    Parameters
    ----------
    plan : Plan
    x : array_like, shape (N, T, D)
    lengths : array_like of int, shape (N,), optional
        Real steps of each sequence. Past them the states stay as they are.
    states : States, optional
        Where to begin; else where the plan says, which mostly is at 0.
    dtype : float type
        In which it is computed.

    Returns
    -------
    y : ndarray of that type, shape (N, T, M) or (N, M)
        Past a sequence's length it means nothing.
    states : States
        Those after the last real step. Handed to the next call, sequences go on.
    """
    y: Array = np.array(x, dtype=dtype)
    N, T, _ = y.shape
    real: Mask = np.arange(T) < (np.full(N, T) if lengths is None else np.asarray(lengths))[:, None]
    y[~real] = 0  # padding may hold anything
    begin = iter(initial(plan, N) if states is None else states)
    last = []
    for stage in plan.stages:
        if isinstance(stage, Recurrent):
            y, end = _recurrent(stage, y, real, next(begin))
            last.append(end)
        elif isinstance(stage, Dense):
            y = ACTIVATIONS[stage.activation](y @ stage.W.astype(y.dtype) + stage.b.astype(y.dtype))
        elif isinstance(stage, Activation):
            y = ACTIVATIONS[stage.name](y)
        else:
            real = real & (y != stage.value).any(axis=-1)
            y = np.where(real[..., None], y, 0)
    return y, tuple(last)


def initial(plan: Plan, N: int) -> States:
    """The states that N sequences begin with, float64."""
    found = []
    for stage in plan.recurrent:
        given = stage.states or (None,) * len(stage.records)
        found.append(tuple(_first(record, one, N) for record, one in zip(stage.records, given, strict=True)))
    return tuple(found)


def _first(record: AnyParams, given: AnyState | None, N: int) -> AnyState:
    widths = state_widths(record)
    arrays = [np.zeros(width) for width in widths.values()] if given is None else given
    return ROWS[type(record)].state(*(np.tile(np.asarray(array, np.float64), (N, 1)) for array in arrays))


def _recurrent(stage: Recurrent, x: Array, real: Mask, begin: tuple[AnyState, ...]) -> tuple[Array, Any]:
    ways = zip(stage.records, begin, (stage.backwards, True), strict=False)
    outputs, ends = zip(*(_scan(stage, *way, x, real) for way in ways), strict=True)
    if not stage.returns_sequences:
        outputs = tuple(end.h for end in ends)
    y = MERGES[stage.merge](*outputs) if len(outputs) == 2 else outputs[0]
    return (y[:, ::-1] if stage.backwards and stage.returns_sequences else y), ends


def _scan(
    stage: Recurrent, record: AnyParams, state: AnyState, backwards: bool, x: Array, real: Mask
) -> tuple[Array, AnyState]:
    """One direction, in the order of x."""
    weights = type(record)(*(array.astype(x.dtype) for array in record))
    y = np.zeros((*x.shape[:2], sizes(record)[2]), x.dtype)
    for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
        _, new = reference.forward(x[:, t : t + 1], weights, state)
        now = real[:, t, None]
        state = type(state)(*(np.where(now, after, before) for after, before in zip(new, state, strict=True)))
        y[:, t] = np.where(now, state.h, 0) if stage.zeros else state.h
    return y, state
