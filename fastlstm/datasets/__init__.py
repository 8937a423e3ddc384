"""Small real data that travels with the package; NOTICE.md says where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["JapaneseVowels", "Utterances", "load_japanese_vowels"]


class Utterances(NamedTuple):
    """Recordings of one part of a data set.

    Attributes
    ----------
    x : ndarray of float32, shape (N, 29, 12)
        Frames, 0 behind the end of each recording.
    lengths : ndarray of int64, shape (N,)
        Frames of each recording, 7 to 29.
    labels : ndarray of int64, shape (N,)
        Speakers, 0 to 8.
    """

    x: NDArray[np.float32]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]


class JapaneseVowels(NamedTuple):
    """The published division of the recordings: 270 to train with, 370 to test with."""

    train: Utterances
    test: Utterances


def load_japanese_vowels() -> JapaneseVowels:
    """Nine men say the Japanese vowels /ae/; who speaks? [1]_

    Each frame holds 12 LPC cepstrum coefficients (no unit). There are 30 training utterances of each speaker
    and 24 to 88 test utterances.

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


def _padded(frames: NDArray[np.float32], lengths: NDArray[np.int64], labels: NDArray[np.int64]) -> Utterances:
    x = np.zeros((len(lengths), 29, frames.shape[1]), np.float32)
    x[np.arange(29) < lengths[:, None]] = frames
    return Utterances(x, lengths, labels)
