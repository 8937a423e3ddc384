"""Makes fastlstm/datasets/sunspots.npz from the table inside the statsmodels wheel:

pip download --no-deps statsmodels
python docs/scripts/make_sunspots.py statsmodels-*.whl
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

DATASETS = Path(__file__).parents[2] / "fastlstm" / "datasets"
TABLE = "statsmodels/datasets/sunspots/sunspots.csv"
YEARS = 309


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read(TABLE).decode())))
    years = np.array([float(row["YEAR"]) for row in rows]).astype(np.int64)
    assert len(years) == YEARS
    assert (np.diff(years) == 1).all()
    numbers = np.array([row["SUNACTIVITY"] for row in rows], np.float32)
    np.savez_compressed(DATASETS / "sunspots.npz", first_year=years[:1], number=numbers)


if __name__ == "__main__":
    main(sys.argv[1])
