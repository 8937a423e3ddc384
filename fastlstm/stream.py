"""A stream of steps that keeps its state: for programs that get their input as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike

from . import checks
from .checks import assemble
from .in_place import step
from .initial import zero_state
from .params import AnyState, Array, Hidden, OwnParams, State, StateLike, is_plain
from .places import HOST, where
from .sequences import forward, pack
from .types import Layer, Packed, Stack, States, WithCells, WithoutCells

_Held: TypeAlias = AnyState | tuple[AnyState, ...]


class Stream(Generic[StateLike]):
    """An LSTM that is fed step by step and keeps its state.

    Parameters
    ----------
    params : Params or another cell's record, what `pack` makes of them, or a stack of these
        A Bidirectional cannot step.
    batch_size : int
        N, how many sequences run side by side.

    Attributes
    ----------
    state : State or Hidden, or a tuple of these, one entry a layer
        h (N, P) and c (N, H). Reading it gives a copy; assign another one to go on from there.

    Raises
    ------
    ValueError, TypeError
        Weights or a batch size that make no sense.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> stream = fastlstm.Stream(fastlstm.init_params(16, 32, rng=0), batch_size=4)
    >>> stream(np.ones((4, 16), np.float32)).shape
    (4, 32)
    >>> stream.run(np.ones((4, 10, 16), np.float32)).shape
    (4, 10, 32)
    >>> stream.reset(np.array([True, False, False, False]))
    """

    __slots__ = ("_packed", "_state", "_top")

    @overload
    def __init__(self: Stream[State], params: WithCells, batch_size: int = 1) -> None: ...
    @overload
    def __init__(self: Stream[Hidden], params: WithoutCells, batch_size: int = 1) -> None: ...
    @overload
    def __init__(self: Stream[AnyState], params: OwnParams | Packed, batch_size: int = 1) -> None: ...
    @overload
    def __init__(self: Stream[tuple[State, ...]], params: Sequence[WithCells], batch_size: int = 1) -> None: ...
    @overload
    def __init__(self: Stream[tuple[Hidden, ...]], params: Sequence[WithoutCells], batch_size: int = 1) -> None: ...
    @overload
    def __init__(self: Stream[tuple[Any, ...]], params: Sequence[Layer], batch_size: int = 1) -> None: ...
    def __init__(self, params: Stack, batch_size: int = 1) -> None:
        packed = pack(params)
        layers, _ = checks.steppable(packed, "params")
        if (place := where(layers[0].panels)) != HOST:
            raise TypeError(f"params: expected weights in {HOST}, got some on {place}: a Stream keeps its state here, "
                            "step takes one that is there")  # fmt: skip
        self.__setstate__((packed, zero_state(packed, batch_size)))

    def __getstate__(self) -> tuple[Packed | tuple[Packed, ...], _Held]:
        return self._packed, self._state

    def __setstate__(self, fields: tuple[Packed | tuple[Packed, ...], _Held]) -> None:
        self._packed, self._state = fields
        self._top = self._levels()[-1].h

    def __repr__(self) -> str:
        return f"Stream({self._packed!r}, batch_size={len(self._top)})"

    def __call__(self, x: ArrayLike) -> Array:
        """One time step.

        Parameters
        ----------
        x : array_like, shape (N, D), or (D,) if N is 1

        Returns
        -------
        ndarray, shape (N, P), or (P,)
            h of the top layer; a new array.

        Raises
        ------
        ValueError, TypeError
            A shape or type that does not fit.
        """
        if len(self._top) == 1 and np.ndim(x) == 1:
            return self(checks.array("x", x)[None]).reshape(-1)
        try:
            step(x, self._packed, self._state)
        except ValueError:  # of step, which knows no batch size, and speaks of a state that the caller has not given
            D = checks.sizes(checks.weights(self._packed).levels[0][0])[0]
            expected, got = (len(self._top), D), checks.array("x", x).shape
            if got != expected:
                raise ValueError(f"x: expected shape {expected}, got {got}") from None
            raise
        return self._top.copy()

    def run(self, x: ArrayLike) -> Array:
        """A chunk of time steps, with the numbers that as many single steps give.

        Parameters
        ----------
        x : array_like, shape (N, T, D)

        Returns
        -------
        ndarray, shape (N, T, P)
            h of the top layer after every step.

        Raises
        ------
        ValueError, TypeError
            A shape or type that does not fit.
        """
        found = checks.array("x", x)
        if found.ndim != 3 or len(found) != len(self._top):
            raise ValueError(f"x: expected shape ({len(self._top)}, T, D), got {found.shape}")
        y, last = forward(found, self._packed, self._state)
        self._keep(last)
        return y

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Set states to zero.

        Parameters
        ----------
        mask : array_like of bool, shape (N,), optional
            True for the sequences that begin anew. All do, if it is None.

        Raises
        ------
        ValueError, TypeError
            A mask of another shape or type.
        """
        N = len(self._top)
        which: Any = slice(None)
        if mask is not None:
            which = checks.array("mask", mask)
            if which.dtype != bool:
                raise TypeError(f"mask: expected booleans, got dtype {which.dtype}")
            if which.shape != (N,):
                raise ValueError(f"mask: expected shape ({N},), got {which.shape}")
        for state in self._levels():
            for array in state:
                array[which] = 0

    @property
    def state(self) -> StateLike:
        """The state: a copy. Assign another one to go on from there."""
        copies = [[type(state)(*(array.copy() for array in state))] for state in self._levels()]
        found: StateLike = assemble(copies, is_plain(self._state))
        return found

    @state.setter
    def state(self, value: States) -> None:
        found = checks.weights(self._packed)
        levels = checks.states("state", value, found, len(self._top), single=False)
        self._keep(assemble(levels, found.stacked))

    def _levels(self) -> tuple[AnyState, ...]:
        return _each(self._state)

    def _keep(self, state: _Held) -> None:
        for mine, new in zip(self._levels(), _each(state), strict=True):
            for array, value in zip(mine, new, strict=True):
                array[...] = value


def _each(state: _Held) -> tuple[AnyState, ...]:
    """The states of the levels."""
    return (state,) if isinstance(state, (State, Hidden)) else state
