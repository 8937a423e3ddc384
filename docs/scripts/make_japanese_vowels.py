"""Makes fastlstm/datasets/japanese_vowels.npz from the .ts files of the archive, as they stand inside the sktime wheel:

pip download --no-deps sktime
python docs/scripts/make_japanese_vowels.py sktime-*.whl
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

DATASETS = Path(__file__).parents[2] / "fastlstm" / "datasets"
FOLDER = "sktime/datasets/data/JapaneseVowels/JapaneseVowels_"
COUNTS = {"train": 270, "test": 370}


def read(text: str) -> tuple[list[np.ndarray], list[int]]:
    """Utterances (frames, 12) and speakers 0 to 8 of one .ts file."""
    utterances, labels = [], []
    for line in text.split("@data", 1)[1].split():
        *channels, label = line.split(":")
        utterances.append(np.array([channel.split(",") for channel in channels], np.float32).T)
        labels.append(int(label) - 1)
    return utterances, labels


def packed(frames: np.ndarray) -> np.ndarray:
    """Millionths, which all of these numbers are whole numbers of: first all lowest bytes, then all second ones and so
    on (4, 12, frames). So they take a third less room than as numbers of float32."""
    whole = np.rint(frames.astype(np.float64) * 1e6).astype("<i4")
    assert ((whole / 1e6).astype(np.float32) == frames).all()
    return np.ascontiguousarray(whole.view(np.uint8).reshape(*frames.shape, 4).transpose(2, 1, 0))


def main(wheel: str) -> None:
    arrays: dict[str, Any] = {}
    with zipfile.ZipFile(wheel) as archive:
        for part, count in COUNTS.items():
            utterances, labels = read(archive.read(f"{FOLDER}{part.upper()}.ts").decode())
            assert len(utterances) == count
            assert all(u.shape[1] == 12 for u in utterances)
            arrays[f"{part}_frames"] = packed(np.concatenate(utterances))
            arrays[f"{part}_lengths"] = np.array([len(u) for u in utterances], np.int64)
            arrays[f"{part}_labels"] = np.array(labels, np.int64)
    np.savez_compressed(DATASETS / "japanese_vowels.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
