"""What weights are brought back to after each update, by Keras's names and formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import integer
from . import names
from .types import Config, ConstraintLike

Array = NDArray[Any]
_EPSILON = 1e-7  # as in Keras: what norms are divided by is never 0


class Constraint:
    """A function of a weight, whose value takes the weight's place after each update.

    For one of your own, derive from it and write `__call__`. If models with it are to be saved, register the class
    (`fastlstm.nn.saving.register_keras_serializable`) and let its arguments be attributes of the same names, or write
    `get_config`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm import nn
    >>> class Whole(nn.constraints.Constraint):
    ...     def __call__(self, w):
    ...         return np.rint(w)
    >>> model = nn.Sequential([nn.Dense(1, kernel_constraint=Whole(), input_shape=(2,))])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    >>> bool((model.layers[0].params["kernel"] % 1 == 0).all())
    True
    """

    def __call__(self, w: Array) -> Array:
        """The numbers that take the place of w.

        Parameters
        ----------
        w : ndarray
            A weight. It must not be written to.

        Returns
        -------
        ndarray, shape of w
        """
        raise NotImplementedError(f"{type(self).__name__}: expected __call__ to be overridden")

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same again.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        return dict(vars(self))

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Constraint:
        """The constraint that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Constraint

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        return cls(**config)


class NonNeg(Constraint):
    """No number below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.constraints import NonNeg
    >>> NonNeg()(np.array([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: Array) -> Array:
        found: Array = np.maximum(w, 0)
        return found


class _OfNorms(Constraint):
    """Columns, or what else lies along an axis, scaled to other Euclidean norms."""

    axis: int | tuple[int, ...] = 0

    def _wanted(self, norms: Array) -> Any:
        raise NotImplementedError

    def __call__(self, w: Array) -> Array:
        norms = np.sqrt(np.square(w).sum(axis=self.axis, keepdims=True))
        scale = self._wanted(norms) / (_EPSILON + norms)
        found: Array = w * scale.astype(w.dtype)
        return found


class MaxNorm(_OfNorms):
    """Norms of at most max_value: what is longer is scaled down.

    Parameters
    ----------
    max_value : float
        At least 0.
    axis : int or list of int
        Along which Euclidean norms are taken. 0 of a kernel (D, U): a norm for each of the U units, of its D weights.

    Raises
    ------
    ValueError, TypeError
        No such numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.constraints import MaxNorm
    >>> MaxNorm(1.0)(np.array([[3.0, 0.1], [4.0, 0.0]])).round(3).tolist()
    [[0.6, 0.1], [0.8, 0.0]]
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = names.real("max_value", max_value, 0.0), _axis(axis)

    def _wanted(self, norms: Array) -> Any:
        return np.minimum(norms, self.max_value)


class UnitNorm(_OfNorms):
    """Norms of 1: whatever lies along the axis is divided by its norm.

    Parameters
    ----------
    axis : int or list of int
        As in `MaxNorm`.

    Raises
    ------
    ValueError, TypeError
        No such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.constraints import UnitNorm
    >>> UnitNorm()(np.array([[3.0], [4.0]])).round(3).tolist()
    [[0.6], [0.8]]
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = _axis(axis)

    def _wanted(self, norms: Array) -> Any:
        return np.ones_like(norms)


class MinMaxNorm(_OfNorms):
    """Norms from min_value to max_value; with a rate below 1 each update brings them a part of the way there.

    Parameters
    ----------
    min_value, max_value : float
        At least 0.
    rate : float
        From 0 to 1: a norm n becomes (1 - rate) n + rate clip(n, min_value, max_value).
    axis : int or list of int
        As in `MaxNorm`.

    Raises
    ------
    ValueError, TypeError
        No such numbers; min_value above max_value.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.constraints import MinMaxNorm
    >>> MinMaxNorm(max_value=1.0, rate=0.5)(np.array([[3.0], [4.0]])).round(3).tolist()  # norm 5 becomes 3
    [[1.8], [2.4]]
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        self.min_value = names.real("min_value", min_value, 0.0)
        self.max_value = names.real("max_value", max_value, self.min_value)
        self.rate, self.axis = names.real("rate", rate, 0.0, 1.0), _axis(axis)

    def _wanted(self, norms: Array) -> Any:
        return self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms


def _axis(given: Any) -> int | tuple[int, ...]:
    """An axis, or several, as NumPy and JSON take them."""
    if isinstance(given, (list, tuple)):
        return tuple(integer(f"axis[{i}]", one, -(2**31)) for i, one in enumerate(given))
    return integer("axis", given, -(2**31))


KNOWN: dict[str, type[Constraint]] = {
    "max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm,
}  # fmt: skip
"""Names that `get` knows."""


def get(identifier: ConstraintLike, argument: str = "constraint") -> Constraint | None:
    """A constraint by its name.

    Parameters
    ----------
    identifier : str, dict, Constraint or None
        A name in any spelling, for its defaults; what `serialize` made; a constraint or None, which is returned.
    argument : str
        What messages call it.

    Returns
    -------
    Constraint or None

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one.
    TypeError
        Something else.

    Examples
    --------
    >>> from fastlstm.nn import constraints
    >>> constraints.deserialize("max_norm").max_value
    2.0
    """
    if identifier is None or isinstance(identifier, Constraint):
        return identifier
    found: Constraint = names.made(argument, identifier, KNOWN, "a name, a Constraint or None")
    return found
