"""Things that can be asked for by name: found, or an error that says which known name is nearest."""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from ...cells import OwnCell
from .types import Configured

_T = TypeVar("_T")


def snake_case(name: str) -> str:
    """MeanSquaredError -> mean_squared_error, L1L2 -> l1_l2, SpatialDropout1D -> spatial_dropout1d."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])(?!$)", r"\1_\2", name).lower()


def find(argument: str, name: str, known: Mapping[str, _T]) -> _T:
    """known[name], however it is spelt: MeanSquaredError, mean_squared_error and mse are one.

    Raises
    ------
    ValueError
        No such name.
    """
    spellings = {spelling: key for key in known for spelling in (key, key.lower(), key.replace("_", ""))}
    for spelling in (name, name.lower(), snake_case(name)):
        if spelling in spellings:
            return known[spellings[spelling]]
    near = difflib.get_close_matches(snake_case(name), spellings, n=1, cutoff=0.5)
    hint = f"did you mean {spellings[near[0]]!r}?" if near else "known are " + ", ".join(sorted(known))
    raise ValueError(f"{argument}: expected a known name, got {name!r}; {hint}")


def call(thing: Any, *always: str, **given: Any) -> str:
    """How something was made: its class, and arguments that differ from their defaults, or are always to be shown; no
    numbers of arrays. given: arguments that are no attributes of their own names."""
    shown = []
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        there = given if name in given else vars(thing)
        if name in there and (name in always or not _is_default(there[name], parameter.default)):
            shown.append(f"{name}={_brief(there[name])}")
    return f"{type(thing).__name__}({', '.join(shown)})"


def _is_default(value: Any, default: Any) -> bool:
    if isinstance(default, str) and hasattr(value, "get_config"):  # found by its name
        return snake_case(repr(value).removesuffix("()")) == default
    return value is default or (isinstance(value, (bool, int, float, str, tuple)) and value == default)


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {value.shape}>"
    if isinstance(value, (list, tuple)) and len(value) > 6:
        return f"<{len(value)} entries>"
    if inspect.isroutine(value) or isinstance(value, OwnCell):
        return value.__name__
    shown = repr(value)
    return shown if len(shown) < 300 and "\n" not in shown else f"<{type(value).__name__}>"


def serialize(thing: Configured) -> dict[str, Any]:
    """What something is, in a form that JSON can hold: `deserialize` makes it again.

    Parameters
    ----------
    thing : object with `get_config`
        Such as a loss, a metric, an optimizer or an initializer.

    Returns
    -------
    dict
        ``class_name``, the name of its class, and ``config``, what its `get_config` returns.

    Examples
    --------
    >>> from fastlstm.nn import losses
    >>> losses.serialize(losses.Huber(delta=2.0))
    {'class_name': 'Huber', 'config': {'delta': 2.0, 'name': 'huber_loss'}}
    """
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def deserialize(argument: str, record: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """The thing again that `serialize` was given; only of a known class.

    Raises
    ------
    ValueError
        An unknown class, a record of another form, a configuration that the class does not take.
    """
    if not {"class_name", "config"} <= set(record) or not isinstance(record["class_name"], str):
        raise ValueError(f"{argument}: expected a dict of class_name and config, got {dict(record)!r}")
    found = find(argument, record["class_name"], known)
    config = record["config"]
    if not isinstance(config, Mapping):
        raise ValueError(f"{argument}: expected a dict as config, got {config!r}")
    try:
        return found.from_config(config)
    except TypeError as error:
        raise ValueError(f"{argument}: {record['class_name']} does not take {dict(config)!r} ({error})") from None


def made(argument: str, identifier: Any, known: Mapping[str, Any], wanted: str) -> Any:
    """The thing of that name with its defaults, or the one again that `serialize` was given.

    Raises
    ------
    ValueError
        As `find` and `deserialize`.
    TypeError
        Neither a name nor a dict, but something `wanted` says should have come.
    """
    if isinstance(identifier, str):
        return find(argument, identifier, known)()
    if isinstance(identifier, Mapping):
        return deserialize(argument, identifier, known)
    raise TypeError(f"{argument}: expected {wanted}, got {type(identifier).__name__}")


def real(argument: str, value: Any, low: float = -float("inf"), high: float = float("inf")) -> float:
    """value as a finite float in [low, high].

    Raises
    ------
    ValueError, TypeError
        Another value, another type.
    """
    try:
        if isinstance(value, (bool, np.bool_, str)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{argument}: expected a number, got {type(value).__name__}") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{argument}: expected a finite number, got {number:g}")
    if not low <= number <= high:
        at_least = f"at least {low:g}" if low > -float("inf") else "a number"
        wanted = at_least if high == float("inf") else f"{low:g} to {high:g}"
        raise ValueError(f"{argument}: expected {wanted}, got {number:g}")
    return number


def reals(argument: str, values: Any, low: float = -math.inf, high: float = math.inf) -> list[float]:
    """Each of values as by `real`, in a list.

    Raises
    ------
    ValueError, TypeError
        As `real`; nothing that can be gone through.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{argument}: expected a sequence of numbers, got {type(values).__name__}")
    return [real(f"{argument}[{i}]", value, low, high) for i, value in enumerate(values)]


def flag(argument: str, value: Any) -> bool:
    """A bool, checked."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument}: expected True or False, got {value!r}")
    return bool(value)


def text(argument: str, value: Any) -> str:
    """A str that is not empty, checked."""
    if not isinstance(value, str):
        raise TypeError(f"{argument}: expected a str, got {type(value).__name__}")
    if not value:
        raise ValueError(f"{argument}: expected a str that is not empty, got {value!r}")
    return value
