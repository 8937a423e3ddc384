"""Penalties on weights, by Keras's names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import names
from .types import Config, RegularizerLike

Array = NDArray[Any]


class Regularizer:
    """l1 Σ|w| + l2 Σw² of an array of weights, added to the loss. For one of your own, derive from it and write
    `__call__` and `add_gradient`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import regularizers
    >>> regularizers.L1L2(l1=1.0, l2=10.0)(np.array([2.0, -1.0]))
    53.0
    """

    l1 = 0.0
    l2 = 0.0

    def __call__(self, w: Array) -> float:
        """The penalty."""
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.abs(w).sum(dtype=np.float64))
        if self.l2:
            penalty += self.l2 * float(np.square(w).sum(dtype=np.float64))
        return penalty

    def add_gradient(self, w: Array, dw: Array) -> None:
        """Add the penalty's gradient to dw, in place; that of |w| is 0 where w is."""
        if self.l1:
            dw += w.dtype.type(self.l1) * np.sign(w)
        if self.l2:
            dw += w.dtype.type(2 * self.l2) * w

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same again."""
        return {name: getattr(self, name) for name in vars(self)}

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)


class L1(Regularizer):
    """l1 Σ|w|.

    Parameters
    ----------
    l1 : float
        At least 0.

    Raises
    ------
    ValueError, TypeError
        Another factor.
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = names.real("l1", l1, 0.0)


class L2(Regularizer):
    """l2 Σw²; parameters and errors as in `L1`."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = names.real("l2", l2, 0.0)


class L1L2(Regularizer):
    """l1 Σ|w| + l2 Σw²; parameters and errors as in `L1`."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = names.real("l1", l1, 0.0), names.real("l2", l2, 0.0)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """`L1L2` with the defaults of Keras's function of this name."""
    return L1L2(l1, l2)


l1, l2 = L1, L2
KNOWN: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2}
_BY_NAME = KNOWN | {"l1_l2": l1_l2, "l1l2": l1_l2}  # L1L2's own defaults are 0, which would be no penalty


def get(identifier: RegularizerLike, argument: str = "regularizer") -> Regularizer | None:
    """A Regularizer from itself, a name or a configuration; None stays None.

    Raises
    ------
    ValueError, TypeError
        An unknown name; another type.
    """
    if isinstance(identifier, Regularizer):
        kind = type(identifier)
        if kind.__call__ is not Regularizer.__call__ and kind.add_gradient is Regularizer.add_gradient:
            raise TypeError(f"{argument}: expected add_gradient beside the __call__ of {kind.__name__}'s own, got none")
        return identifier
    if identifier is None:
        return None
    known = _BY_NAME if isinstance(identifier, str) else KNOWN
    found: Regularizer = names.made(argument, identifier, known, "a name, a Regularizer or None")
    return found
