"""Bands: their width is the definition's, and they cover noise that is exchangeable as often as it says."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fastlstm.sklearn.conformal import half_widths, rank, share


@pytest.mark.parametrize("percent", [1, 10, 50, 55, 57, 70, 80, 90, 95, 99])
def test_the_rank_is_that_of_exact_numbers(percent: int) -> None:
    for n in range(1, 400):
        assert rank(n, percent / 100) == math.ceil(Fraction(percent, 100) * (n + 1))


def test_a_half_width_is_the_error_of_that_rank(rng: np.random.Generator) -> None:
    errors = rng.random((30, 3))
    for coverage in (0.1, 0.5, 0.8, 0.9, 30 / 31):
        place = math.ceil(round(31 * coverage, 9))
        by_hand = [sorted(errors[:, step])[place - 1] for step in range(3)]
        np.testing.assert_array_equal(half_widths(errors, coverage), by_hand)


@pytest.mark.parametrize(("n", "coverage"), [(9, 0.9), (10, 0.9), (25, 0.8), (60, 0.5)])
def test_exchangeable_noise_is_covered_as_often_as_it_says(n: int, coverage: float, rng: np.random.Generator) -> None:
    trials = 20_000
    noise = np.abs(rng.standard_t(3, (n + 1, trials)))
    covered = np.mean(noise[n] <= half_widths(noise[:n], coverage))
    exact = math.ceil(round((n + 1) * coverage, 9)) / (n + 1)  # of continuous noise
    assert coverage <= exact <= coverage + 1 / (n + 1)
    assert abs(covered - exact) < 4 * math.sqrt(exact * (1 - exact) / trials)


@pytest.mark.parametrize(
    ("n", "coverage", "most", "needed"),
    [(8, 0.9, "0.889", 9), (1, 0.9, "0.5", 9), (18, 0.95, "0.947", 19), (98, 0.99, "0.99", 99), (2, 0.7, "0.667", 3)],
)
def test_too_few_errors_for_a_coverage(n: int, coverage: float, most: str, needed: int) -> None:
    message = (f"coverage: expected at most {most} with {n} forecasts in the calibration part, got {coverage:g}, which "
               f"takes {needed}: give fit a larger calibration")  # fmt: skip
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        half_widths(np.ones((n, 2)), coverage)
    half_widths(np.ones((needed, 2)), coverage)
    with pytest.raises(ValueError, match="coverage: expected at most"):
        half_widths(np.ones((needed - 1, 2)), coverage)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "coverage: expected more than 0 and less than 1, got 0"),
        (1.0, ValueError, "coverage: expected more than 0 and less than 1, got 1.0"),
        (90, ValueError, "coverage: expected more than 0 and less than 1, got 90"),
        (math.nan, ValueError, "coverage: expected more than 0 and less than 1, got nan"),
        ([0.8, 0.9], ValueError, "coverage: expected a number, got an array of shape (2,)"),
        ("0.9", TypeError, "coverage: expected real numbers, got dtype <U3"),
    ],
)
def test_bad_coverage(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        share("coverage", value)
