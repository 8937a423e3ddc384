"""The index of a series of pandas, or of what is like one, carried on.

pandas is not imported: an index makes another of its own type.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


class Steps(NamedTuple):
    """An index of even steps, as the rule that gives the label of each place.

    Attributes
    ----------
    kind : type
        Makes an index of labels; of its ends, where it is a range.
    first : object
        The label of place 0.
    step : object
        From a label to the next: a number, a difference of times, or a frequency.
    options : dict
        What `kind` takes besides.
    """

    kind: type
    first: Any
    step: Any
    options: dict[str, Any]

    def label(self, place: int) -> Any:
        """The label of a place."""
        return self.first + place * self.step

    def labels(self, start: int, stop: int) -> Any:
        """The index of the places from start to stop."""
        if _is_range(self.kind):
            return self.kind(self.label(start), self.label(stop), self.step, **self.options)
        return self.kind([self.label(place) for place in range(start, stop)], **self.options)


def index_of(value: Any) -> Any:
    """Its index, where it is a series or a frame; else None."""
    index = getattr(value, "index", None)
    return None if callable(index) else index  # a list's is a method


def steps_of(name: str, index: Any) -> Steps:
    """The rule that an index follows.

    Raises
    ------
    ValueError
        It follows none; the message says where it does not.
    """
    kind, options = type(index), {"name": getattr(index, "name", None)}
    frequency = _frequency(index)
    if _is_range(kind):
        return Steps(kind, index.start, index.step, options)
    if frequency is not None:
        steps = Steps(kind, index[0], frequency, options | {"dtype": index.dtype, "freq": frequency})
    else:
        dtype = np.asarray(index).dtype
        if len(index) < 2 or dtype.kind not in "iufmM":
            raise ValueError(f"{name}: expected numbers, or times with a frequency, got {kind.__name__} of {dtype}; "
                             "give an array to do without")  # fmt: skip
        if index[1] == index[0]:
            raise ValueError(f"{name}: expected labels that differ, got {index[0]} twice")
        steps = Steps(kind, index[0], index[1] - index[0], options)
    check_labels(name, index, steps, 0)
    return steps


def check_labels(name: str, index: Any, steps: Steps, start: int) -> None:
    """Whether an index is that of the places from start on."""
    if not len(index) or _agrees(index, steps, start):
        return
    for place, label in enumerate(index):
        wanted = steps.label(start + place)
        if label != wanted and not _close(label, wanted):
            raise ValueError(f"{name}: expected even steps without gaps, {wanted} at place {place}, got {label}")


def _agrees(index: Any, steps: Steps, start: int) -> bool:
    """Whether its ends and steps say so, without a look at each label."""
    n = len(index)
    if index[0] != steps.label(start) or index[n - 1] != steps.label(start + n - 1):
        return False
    numbers = index.asi8 if hasattr(index, "asi8") else np.asarray(index)  # pandas's times hold integers
    if numbers.dtype.kind in "iumM" and len(set(np.diff(numbers).tolist())) < 2:
        return True
    return hasattr(type(index), "inferred_freq") and bool(_frequency(index) == steps.step)  # pandas has looked


def _close(label: Any, wanted: Any) -> bool:
    """Whether numbers differ by rounding alone."""
    return isinstance(label, float) and math.isclose(label, wanted, rel_tol=1e-9, abs_tol=1e-12)


def _is_range(kind: type) -> bool:
    return hasattr(kind, "from_range")


def _frequency(index: Any) -> Any:
    """That of times: as it is stated, or as they follow each other; None where there is none."""
    if (frequency := getattr(index, "freq", None)) is not None or not hasattr(type(index), "inferred_freq"):
        return frequency
    try:
        return type(index)(index, freq="infer").freq
    except ValueError:  # less than three
        return None
