"""A case: a call in one line of text, with all that it takes to make it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from random_cells import number_of, record_of

from fastlstm.params import CELLS, ProjectedParams

OPTIONS = ("bidirectional", "dstate", "dy", "h_mask", "lengths", "packed", "reset", "reverse", "single", "special",
           "stack", "state")  # fmt: skip


class Among(NamedTuple):
    """What layers' cells and types are drawn from."""

    cells: Sequence[str]
    dtypes: Sequence[str] = ("float32", "float64")


TABLE = Among(list(CELLS))


class Layer(NamedTuple):
    """One of a stack: P is the width of h, H where the cell does not project; both: directions. A cell's name is one of
    the table, or that of a random one of one's own, such as own7."""

    cell: str
    H: int
    P: int
    both: bool = False

    def __str__(self) -> str:
        width = [self.P] if record_of(self.cell) is ProjectedParams else []
        return "-".join(map(str, [self.cell, self.H, *width] + ["both"] * self.both))

    @classmethod
    def parse(cls, text: str) -> Layer:
        cell, _, sizes = text.partition("-")
        if cell not in CELLS and number_of(cell) is None:
            raise ValueError(f"layers: expected names of cells ({', '.join(CELLS)}) and sizes, got {text!r}")
        H, *rest = sizes.split("-")
        return cls(cell, int(H), int(rest[0]) if rest and rest[0] != "both" else int(H), "both" in rest)


class Case(NamedTuple):
    """The numbers themselves follow from the seed.

    Attributes
    ----------
    function : str
        A name in the table of functions.
    seed : int
    layers : tuple of Layer
    dtype : str
        The weights' float type.
    N, T, D : int
    form : str
        How arrays are handed in: a name in arena.FORMS, or "any" for one drawn for each array.
    sharing : str
        How threads share the work, one of ways.SHARES.
    options : tuple of str
        Those of OPTIONS that are in use, in that order.
    wrong : str
        "argument:damage", what is wrong on purpose; or nothing.
    alias : str
        "argument:another", which lies in the other's memory; or nothing.
    """

    function: str
    seed: int
    layers: tuple[Layer, ...]
    dtype: str = "float32"
    N: int = 1
    T: int = 1
    D: int = 1
    form: str = "plain"
    sharing: str = "one"
    options: tuple[str, ...] = ()
    wrong: str = ""
    alias: str = ""

    def __str__(self) -> str:
        fields = self._asdict() | {"layers": ",".join(map(str, self.layers)), "options": ",".join(self.options)}
        function = fields.pop("function")
        return " ".join([function, *(f"{name}={value}" for name, value in fields.items() if value != "")])

    @classmethod
    def parse(cls, text: str) -> Case:
        """Of what str gives; ValueError for anything else."""
        function, *words = text.split() or [""]
        fields = dict(word.split("=", 1) for word in words if "=" in word)
        if len(fields) < len(words) or not {"seed", "layers"} <= set(fields) <= set(cls._fields[1:]):
            raise ValueError(f"expected a name and seed=, layers= and such, got {text!r}")
        numbers = {name: int(fields[name]) for name in ("seed", "N", "T", "D") if name in fields}
        if min(numbers.values()) < 0:
            raise ValueError(f"expected numbers of at least 0, got {numbers}")
        if (dtype := fields.get("dtype", "float32")) not in ("float32", "float64"):
            raise ValueError(f"dtype: expected float32 or float64, got {dtype}")
        layers = tuple(map(Layer.parse, fields["layers"].split(",")))
        options = tuple(fields.get("options", "").split(",")) if fields.get("options") else ()
        if unknown := set(options) - set(OPTIONS):
            raise ValueError(f"options: expected some of {', '.join(OPTIONS)}, got {', '.join(unknown)}")
        return cls(function, **(fields | numbers | {"layers": layers, "options": options}))

    def uses(self, option: str) -> bool:
        return option in self.options

    def smaller(self) -> Iterator[Case]:
        """Simpler ones, the greatest step first."""
        for name, simple in (("form", "plain"), ("sharing", "one")):
            if getattr(self, name) != simple:
                yield self._replace(**{name: simple})
        for option in self.options:
            if option != "stack" or len(self.layers) == 1:
                yield self._replace(options=tuple(o for o in self.options if o != option))
        for i in range(len(self.layers)):
            if len(self.layers) > 1:
                yield self._replace(layers=self.layers[:i] + self.layers[i + 1 :])
        for name, least in (("N", 0), ("T", 0), ("D", 1)):
            size = getattr(self, name)
            for less in (least, least + 1, size // 2, size - 1):
                if least <= less < size:
                    yield self._replace(**{name: less})
        for i, layer in enumerate(self.layers):
            for H in (1, layer.H // 2, layer.H - 1):
                if 1 <= H < layer.H:
                    P = min(layer.P, H) if record_of(layer.cell) is ProjectedParams else H
                    yield self._replace(layers=self.layers[:i] + (layer._replace(H=H, P=P),) + self.layers[i + 1 :])
            if layer.both:
                yield self._replace(layers=self.layers[:i] + (layer._replace(both=False),) + self.layers[i + 1 :])


def units(rng: np.random.Generator) -> int:
    """H: small, around a multiple of a vector's lanes, or of two threads' share of a sequence; seldom many."""
    kind = rng.random()
    if kind < 0.55:
        return int(rng.integers(1, 41))
    if kind < 0.92:
        return max(1, int(rng.choice([4, 8, 16, 32, 48])) + int(rng.integers(-1, 2)))
    return int(rng.integers(64, 101)) if kind < 0.99 else int(rng.integers(257, 290))


def layer(rng: np.random.Generator, cell: str, both: bool) -> Layer:
    H = units(rng)
    return Layer(cell, H, int(rng.integers(1, H + 1)) if record_of(cell) is ProjectedParams else H, both)


def layers(rng: np.random.Generator, both: bool, cells: Sequence[str]) -> tuple[Layer, ...]:
    """A layer or a stack of several cells; both: some may have two directions."""
    count = int(rng.choice([1, 2, 3], p=[0.7, 0.22, 0.08]))
    return tuple(layer(rng, str(rng.choice(cells)), both and bool(rng.random() < 0.5)) for _ in range(count))


def sizes(rng: np.random.Generator, layers: tuple[Layer, ...]) -> dict[str, int]:
    """N, T and D; long sequences for many units now and then, which is where two threads take one."""
    found = {"N": int(rng.integers(0, 10)), "T": int(rng.integers(0, 10)), "D": int(rng.integers(1, 21))}
    if max(one.H for one in layers) >= 64 and rng.random() < 0.7:
        found |= {"N": int(rng.integers(1, 4)), "T": int(rng.integers(30, 45))}
    return found
