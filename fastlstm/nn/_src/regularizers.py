"""Penalties on weights, by Keras's names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import names
from .types import Config, RegularizerLike

Array = NDArray[Any]


class Regularizer:
    """A penalty on an array of weights, which is added to the loss: l1 Σ|w| + l2 Σw².

    For one of your own, derive from it and write `__call__` and `add_gradient`. If models with it are to be saved,
    register the class (`fastlstm.nn.saving.register_keras_serializable`) and let its arguments be attributes of the
    same names, or write `get_config`.

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
        """The penalty.

        Parameters
        ----------
        w : ndarray

        Returns
        -------
        float
        """
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.abs(w).sum(dtype=np.float64))
        if self.l2:
            penalty += self.l2 * float(np.square(w).sum(dtype=np.float64))
        return penalty

    def add_gradient(self, w: Array, dw: Array) -> None:
        """Add the penalty's gradient to dw, in place. The gradient of |w| counts as 0 where w is 0.

        Parameters
        ----------
        w, dw : ndarray
            A weight, and the gradient of the loss there; of one shape and type.
        """
        if self.l1:
            dw += w.dtype.type(self.l1) * np.sign(w)
        if self.l2:
            dw += w.dtype.type(2 * self.l2) * w

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same again.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        return {name: getattr(self, name) for name in vars(self)}

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Regularizer:
        """The regularizer that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Regularizer

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
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

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import regularizers
    >>> regularizers.L1(0.5)(np.array([2.0, -1.0]))
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = names.real("l1", l1, 0.0)


class L2(Regularizer):
    """l2 Σw².

    Parameters
    ----------
    l2 : float
        At least 0.

    Raises
    ------
    ValueError, TypeError
        Another factor.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import regularizers
    >>> regularizers.L2(0.5)(np.array([2.0, -1.0]))
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = names.real("l2", l2, 0.0)


class L1L2(Regularizer):
    """l1 Σ|w| + l2 Σw².

    Parameters
    ----------
    l1, l2 : float
        At least 0.

    Raises
    ------
    ValueError, TypeError
        Other factors.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import regularizers
    >>> regularizers.L1L2(l1=0.5, l2=0.5)(np.array([2.0, -1.0]))
    4.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = names.real("l1", l1, 0.0), names.real("l2", l2, 0.0)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """`L1L2` with the defaults of Keras's function of this name, which are not 0.

    Parameters
    ----------
    l1, l2 : float
        At least 0.

    Returns
    -------
    L1L2

    Raises
    ------
    ValueError, TypeError
        Other factors.

    Examples
    --------
    >>> from fastlstm.nn import regularizers
    >>> regularizers.l1_l2().l2
    0.01
    """
    return L1L2(l1, l2)


l1, l2 = L1, L2
KNOWN: dict[str, type[Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2}
_BY_NAME = KNOWN | {"l1_l2": l1_l2, "l1l2": l1_l2}  # L1L2's own defaults are 0, which would be no penalty


def get(identifier: RegularizerLike, argument: str = "regularizer") -> Regularizer | None:
    """A regularizer by its name.

    Parameters
    ----------
    identifier : str, dict, Regularizer or None
        A name in any spelling, for its defaults; what `serialize` made; a regularizer or None, which is returned.
    argument : str
        What messages call it.

    Returns
    -------
    Regularizer or None

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one.
    TypeError
        Something else; a class of your own with a `__call__` but no `add_gradient`.

    Examples
    --------
    >>> from fastlstm.nn import regularizers
    >>> regularizers.deserialize("l2").l2
    0.01
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
