"""The one table of shapes, for ASV and the comparison with other systems."""

from __future__ import annotations

from typing import NamedTuple


def sizes(text: str, what: str, count: int, example: str) -> list[int]:
    """That many positive whole numbers, or a ValueError."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count or min(found) < 1:
        raise ValueError(f"{text!r}: expected {what} of positive whole numbers, such as {example}")
    return found


class Shape(NamedTuple):
    """Batch, time steps, input size and hidden size of a problem with one layer."""

    N: int
    T: int
    D: int
    H: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """From N,T,D,H; anything but positive whole numbers is a ValueError."""
        return cls(*sizes(text, "a shape N,T,D,H", 4, "64,50,128,256"))

    def flop(self, mode: str, cell: str = "standard") -> int:
        """Operations of the matrix products; backward has twice as many as forward. The projected cell's h is half as
        wide as c."""
        D, H = self.D, self.H
        standard = 4 * (D + H)  # also of the two cells whose other weights go into no product
        of_a_unit = {
            "standard": standard,
            "interpolated": 3 * D + 5 * H,
            "projected": 4 * D + 5 * (H // 2),
            "peephole": standard,
            "normalized": standard,
            "gru": 3 * (D + H),
            "gru_before": 3 * (D + H),
        }
        step = 2 * H * of_a_unit[cell]
        return step * self.N * self.T * (3 if mode == "train" else 1)

    def __str__(self) -> str:
        return ",".join(map(str, self))


SHAPES = [
    Shape(1, 1000, 1, 20),
    Shape(1, 1000, 64, 128),
    Shape(1, 1000, 256, 256),
    Shape(32, 8, 16, 32),
    Shape(64, 50, 128, 256),
    Shape(256, 100, 32, 256),
    Shape(64, 100, 512, 512),
    Shape(128, 50, 1024, 1024),
]
MODES = ["infer", "train"]
RECORDS = {
    "standard": "Params",
    "interpolated": "InterpolatedParams",
    "projected": "ProjectedParams",
    "peephole": "PeepholeParams",
    "normalized": "NormalizedParams",
    "gru": "GRUParams",
    "gru_before": "GRUBeforeParams",
}
STEPPED = [Shape(1, 1, 1, 20), Shape(1, 1, 16, 64), Shape(1, 1, 64, 128), Shape(16, 1, 16, 64)]  # a single time step


class Fit(NamedTuple):
    """Samples to learn from, `batch` at a time: T steps of D features, two layers of H units, one output."""

    batch: int
    T: int
    D: int
    H: int
    samples: int

    @classmethod
    def parse(cls, text: str) -> Fit:
        """From batch,T,D,H,samples; anything but positive whole numbers is a ValueError."""
        return cls(*sizes(text, "a model BATCH,T,D,H,SAMPLES", 5, "32,8,16,32,20000"))

    def __str__(self) -> str:
        return ",".join(map(str, self))


FITS = [Fit(32, 8, 16, 32, 20_000), Fit(64, 50, 16, 128, 1_280)]

MIDDLE = Shape(32, 32, 32, 128)  # from here the scaling benchmarks vary one size at a time
AXES = {
    "N": [1, 4, 16, 64, 256],
    "T": [4, 16, 64, 256, 1024],
    "D": [1, 8, 32, 128, 512],
    "H": [16, 32, 64, 128, 256, 512],
}


def along(axis: str) -> list[Shape]:
    """MIDDLE with that one size varied."""
    return [MIDDLE._replace(**{axis: size}) for size in AXES[axis]]
