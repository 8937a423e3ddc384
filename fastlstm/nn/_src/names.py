"""Things that can be asked for by name: found, or an error that says which known name is nearest."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

_T = TypeVar("_T")


def snake_case(name: str) -> str:
    """RMSprop -> rmsprop, MeanSquaredError -> mean_squared_error."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


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


def serialize(thing: Any) -> dict[str, Any]:
    """Class and configuration of something with `get_config`, as JSON can hold it."""
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def deserialize(argument: str, record: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    """The thing again that `serialize` was given; only of a known class.

    Raises
    ------
    ValueError
        An unknown class, a record of another form, a configuration that the class does not take.
    """
    if set(record) < {"class_name", "config"} or not isinstance(record.get("class_name"), str):
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
        if isinstance(value, (bool, str)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{argument}: expected a number, got {type(value).__name__}") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{argument}: expected a finite number, got {number:g}")
    if not low <= number <= high:
        wanted = f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        raise ValueError(f"{argument}: expected {wanted}, got {number:g}")
    return number


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
