"""Bands around forecasts: split conformal prediction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import array

Array = NDArray[Any]


def share(name: str, value: Any) -> float:
    """A share strictly between 0 and 1, checked."""
    found = array(name, value)
    if found.ndim:
        raise ValueError(f"{name}: expected a number, got an array of shape {found.shape}")
    if not 0 < found < 1:
        raise ValueError(f"{name}: expected more than 0 and less than 1, got {value}")
    return float(found)


def rank(n: int, coverage: float) -> int:
    """Which of n errors, from the smallest, is the half width of a band: ``ceil((n + 1) * coverage)``.

    More than n means that n errors cannot tell.
    """
    return math.ceil(round((n + 1) * coverage, 9))  # 100 * 0.55 is a little more than 55


def half_widths(errors: Array, coverage: float) -> Array:
    """Half the width of the band at each step of the horizon [1]_.

    If the error to come is exchangeable with these ones, it is at most that large with a probability of at least
    coverage, and, where no two are alike, of at most ``coverage + 1 / (n + 1)``.

    Parameters
    ----------
    errors : ndarray, shape (n, H)
        How far forecasts were off, without their signs, on data that the network has not learnt from.
    coverage : float

    Returns
    -------
    ndarray, shape (H,)

    Raises
    ------
    ValueError
        Too few errors for that coverage.

    References
    ----------
    .. [1] J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani, L. Wasserman, "Distribution-free predictive inference for
       regression", Journal of the American Statistical Association 113 (2018), section 2.2.
    """
    n = len(errors)
    check_enough(n, coverage)
    place = rank(n, coverage) - 1
    found: Array = np.partition(errors, place, axis=0)[place]
    return found


def check_enough(n: int, coverage: float) -> None:
    """Whether n errors make a band of that coverage.

    Raises
    ------
    ValueError
        They are too few.
    """
    if rank(n, coverage) > n:
        needed = math.ceil(round(coverage / (1 - coverage), 9))  # the least n of which (n + 1) * coverage <= n
        raise ValueError(f"coverage: expected at most {n / (n + 1):.3g} with {n} forecasts in the calibration part, "
                         f"got {coverage:g}, which takes {needed}: give fit a larger calibration")  # fmt: skip
