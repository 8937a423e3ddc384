"""Makes fastlstm/datasets/seattle_weather.npz from the table inside the vega_datasets wheel:

pip download --no-deps vega_datasets
python docs/scripts/make_seattle_weather.py vega_datasets-*.whl
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

DATASETS = Path(__file__).parents[2] / "fastlstm" / "datasets"
TABLE = "vega_datasets/_data/seattle-weather.csv"
DAYS = 1461


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read(TABLE).decode())))
    dates = np.array([row["date"].replace("/", "-") for row in rows], "datetime64[D]")
    assert len(dates) == DAYS
    assert (np.diff(dates) == np.timedelta64(1, "D")).all()
    columns: dict[str, Any] = {name: np.array([row[name] for row in rows], np.float32)
               for name in ("precipitation", "temp_max", "temp_min", "wind")}  # fmt: skip
    np.savez_compressed(DATASETS / "seattle_weather.npz", first_date=dates[:1].astype(np.int64), **columns)


if __name__ == "__main__":
    main(sys.argv[1])
