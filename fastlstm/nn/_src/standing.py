"""What stays where it is. Kernels and optimizers know the arrays of a model: to set one is to write into it, and never
to put another in its place, which nobody would look at."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ... import checks

Array = NDArray[Any]


def write(name: str, array: Array, value: Any) -> None:
    """Numbers of the same shape into an array.

    Raises
    ------
    ValueError, TypeError
        Another shape; no numbers.
    """
    if value is array:  # as after `x.array *= 2`
        return
    found = checks.array(name, value)
    if found.shape != array.shape:
        raise ValueError(f"{name}: expected shape {array.shape}, got {found.shape}")
    array[...] = found


class Vector:
    """An attribute that is an array and stays it. Its owner places it by `vars`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, owner: Any, value: Any) -> None:
        write(self._name, vars(owner)[self._name], value)


class Settled:
    """An attribute that changes in one way only. Its owner places it by `vars`."""

    def __init__(self, how: str) -> None:
        self._how = how

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, owner: Any, value: Any) -> None:
        if value is not vars(owner)[self._name]:
            raise AttributeError(f"{self._name}: expected to be changed by {self._how}, got {value!r:.80}")


class Arrays(dict[str, Array]):
    """Arrays by name that stay what they are.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import Dense
    >>> layer = Dense(2)
    >>> layer.build((None, 3))
    >>> layer.params["bias"] = [1.0, 2.0]
    >>> layer(np.zeros((1, 3))).tolist()
    [[1.0, 2.0]]
    """

    def place(self, name: str, array: Array) -> None:
        """Have this array by that name."""
        super().__setitem__(name, array)

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self:
            raise KeyError(f"expected one of {', '.join(self) or 'the arrays that build makes'}, got {name!r}")
        write(name, self[name], value)

    def update(self, *others: Any, **more: Any) -> None:
        for name, value in dict(*others, **more).items():
            self[name] = value

    def __ior__(self, other: Any) -> Arrays:  # type: ignore[override,misc]
        self.update(other)
        return self

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("expected arrays that stay, got a call that takes one away or adds one")

    __delitem__ = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> Any:
        return _arrays, (dict(self),)


def _arrays(found: dict[str, Array]) -> Arrays:
    made = Arrays()
    for name, array in found.items():
        made.place(name, array)
    return made
