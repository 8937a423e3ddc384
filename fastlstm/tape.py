"""What `forward_train` keeps for `backward`."""

from __future__ import annotations

from typing import Generic, TypeAlias

from . import backend
from .backend import Pass
from .checks import assemble, has_cells
from .params import Array, ParamsLike, StateLike, form
from .places import there
from .types import Structured

Levels: TypeAlias = list[list[Pass]]
"""A layer each, bottom first: one direction, or the two of a Bidirectional."""


class Tape(Generic[ParamsLike, StateLike]):
    """What `forward_train` keeps for `backward`.

    It has copies of x and of the weights: no later change of the arrays reaches it. Only `forward_train` makes one. It
    can be pickled; a processor of another vector width refuses it in `backward`.

    Attributes
    ----------
    x : ndarray, shape (N, T, D)
        The input in the weights' float type. Read-only; of arrays on a GPU a copy.
    c : ndarray, shape (N, T, H)
        The cell state after every step. For a Bidirectional it is a Bidirectional of two, for a stack a tuple, one
        entry a layer. Read-only; of arrays on a GPU a copy. If a layer's cell has no c, it is a TypeError.

    For a single sequence both are without the axis N.

    Examples
    --------
    >>> import numpy as np, fastlstm
    >>> params = fastlstm.init_params(input_size=3, hidden_size=5, rng=0)
    >>> y, state, tape = fastlstm.forward_train(np.ones((2, 7, 3)), params)
    >>> tape.c.shape
    (2, 7, 5)
    """

    __slots__ = ("_levels", "_single", "_stacked")

    _levels: Levels
    _single: bool
    _stacked: bool

    def __init__(self) -> None:
        raise TypeError("Tape: made by forward_train only")

    @classmethod
    def _of(cls, levels: Levels, single: bool, stacked: bool) -> Tape[ParamsLike, StateLike]:
        tape = cls.__new__(cls)
        tape.__setstate__((levels, single, stacked))
        return tape

    @property
    def x(self) -> Array:
        """The input in the weights' float type."""
        return self._shown(self._levels[0][0].batch.x)

    @property
    def c(self) -> Structured:
        """The cell state after every step."""
        has_cells("c", (level[0].packed for level in self._levels))
        cells = [[self._shown(backend.engine_of(done.batch.x).cells(done)) for done in level] for level in self._levels]
        return assemble(cells, self._stacked)

    def _shown(self, array: Array) -> Array:
        view = array[0] if self._single else array[...]
        if there(view):
            shown: Array = backend.given_back(view.copy(), view)
            return shown
        view.flags.writeable = False
        return view

    def __repr__(self) -> str:
        x = self._levels[0][0].batch.x
        return f"Tape(x={form(x[0] if self._single else x)}, layers={len(self._levels)})"

    def __getstate__(self) -> tuple[Levels, bool, bool]:
        return self._levels, self._single, self._stacked

    def __setstate__(self, fields: tuple[Levels, bool, bool]) -> None:
        self._levels, self._single, self._stacked = fields
