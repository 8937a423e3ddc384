"""Small real data that travels with the package; NOTICE.md says where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "JapaneseVowels", "SeattleWeather", "Sunspots", "Utterances", "load_japanese_vowels", "load_seattle_weather",
    "load_sunspots",
]  # fmt: skip


class Utterances(NamedTuple):
    """Recordings of one part of a data set.

    Attributes
    ----------
    x : ndarray of float32, shape (N, 29, 12)
        Frames of 12 LPC cepstrum coefficients, which have no unit; 0 behind the end of each recording.
    lengths : ndarray of int64, shape (N,)
        Frames of each recording, 7 to 29.
    labels : ndarray of int64, shape (N,)
        Speakers, 0 to 8.
    """

    x: NDArray[np.float32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]


class JapaneseVowels(NamedTuple):
    """The published division of the recordings: what `load_japanese_vowels` returns.

    Attributes
    ----------
    train : Utterances
        270 recordings.
    test : Utterances
        370 others, of the same speakers.
    """

    train: Utterances
    test: Utterances


def load_japanese_vowels() -> JapaneseVowels:
    """Recordings of nine men who say the Japanese vowels /ae/ [1]_. The task is to tell who speaks.

    Of each speaker there are 30 recordings to train with, and 24 to 88 to test with.

    Returns
    -------
    JapaneseVowels

    References
    ----------
    .. [1] M. Kudo, J. Toyama, M. Shimbo, "Multidimensional curve classification using passing-through
       regions", Pattern Recognition Letters 20 (1999). UCI Machine Learning Repository, CC BY 4.0.

    Examples
    --------
    >>> from fastlstm.datasets import load_japanese_vowels
    >>> train, test = load_japanese_vowels()
    >>> train.x.shape, test.x.shape
    ((270, 29, 12), (370, 29, 12))
    """
    with np.load(Path(__file__).parent / "japanese_vowels.npz", allow_pickle=False) as file:
        parts = [
            _padded(file[f"{part}_frames"], file[f"{part}_lengths"], file[f"{part}_labels"])
            for part in ("train", "test")
        ]
    return JapaneseVowels(*parts)


def _padded(packed: NDArray[np.uint8], lengths: NDArray[np.int64], labels: NDArray[np.int64]) -> Utterances:
    """packed: the four bytes of millionths, (4, 12, frames), as docs/scripts/make_japanese_vowels.py says."""
    frames = np.ascontiguousarray(packed.transpose(2, 1, 0)).view("<i4")[:, :, 0] / 1e6
    x = np.zeros((len(lengths), 29, frames.shape[1]), np.float32)
    x[np.arange(29) < lengths[:, None]] = frames
    return Utterances(x, lengths, labels)


class SeattleWeather(NamedTuple):
    """Days in Seattle, one after the other.

    Attributes
    ----------
    date : ndarray of datetime64[D], shape (1461,)
        2012-01-01 to 2015-12-31.
    precipitation : ndarray of float32, shape (1461,)
        Millimetres per day.
    temp_max, temp_min : ndarray of float32, shape (1461,)
        Degrees Celsius.
    wind : ndarray of float32, shape (1461,)
        Mean speed in metres per second.
    """

    date: NDArray[np.datetime64]
    precipitation: NDArray[np.float32]
    temp_max: NDArray[np.float32]
    temp_min: NDArray[np.float32]
    wind: NDArray[np.float32]


def load_seattle_weather() -> SeattleWeather:
    """The weather of four years, day by day; it rains on 43 % of the days.

    Returns
    -------
    SeattleWeather

    Notes
    -----
    From records of NOAA, the United States' weather service, which are in the public domain.

    Examples
    --------
    >>> from fastlstm.datasets import load_seattle_weather
    >>> weather = load_seattle_weather()
    >>> str(weather.date[-1]), round(float((weather.precipitation > 0).mean()), 3)
    ('2015-12-31', 0.426)
    """
    with np.load(Path(__file__).parent / "seattle_weather.npz", allow_pickle=False) as file:
        columns = [file[name] for name in SeattleWeather._fields[1:]]
        dates = file["first_date"] + np.arange(len(columns[0]))
    return SeattleWeather(dates.astype("datetime64[D]"), *columns)


class Sunspots(NamedTuple):
    """Sunspots of years, one after the other.

    Attributes
    ----------
    year : ndarray of int64, shape (309,)
        1700 to 2008.
    number : ndarray of float32, shape (309,)
        Mean sunspot number of the year.
    """

    year: NDArray[np.int64]
    number: NDArray[np.float32]


def load_sunspots() -> Sunspots:
    """How many spots the sun had each year: cycles of about 11 years of unlike height.

    Returns
    -------
    Sunspots

    Notes
    -----
    From the National Geophysical Data Center of the United States, in the public domain.

    Examples
    --------
    >>> from fastlstm.datasets import load_sunspots
    >>> sunspots = load_sunspots()
    >>> int(sunspots.year[0]), float(sunspots.number[0])
    (1700, 5.0)
    """
    with np.load(Path(__file__).parent / "sunspots.npz", allow_pickle=False) as file:
        number = file["number"]
        return Sunspots(file["first_year"] + np.arange(len(number)), number)
