"""NumPy arrays as Numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


class Numbers(np.ndarray):
    """An array as a Number; ndarray has the operators. A comparison is one too, which is a Condition."""

    def fma(self, factor: Any, term: Any) -> Any:
        return self * factor + term

    def where(self, a: Any, b: Any) -> Any:
        return np.where(self, a, b).view(Numbers)

    def minimum(self, other: Any) -> Any:
        return np.minimum(self, other)

    def maximum(self, other: Any) -> Any:
        return np.maximum(self, other)

    def sqrt(self) -> Any:
        return np.sqrt(self)

    def exp(self) -> Any:
        return np.exp(self)

    def log(self) -> Any:
        return np.log(self)

    def log1p(self) -> Any:
        return np.log1p(self)

    def tanh(self) -> Any:
        return np.tanh(self)

    def sigmoids(self, *others: Any) -> list[Any]:
        return [1 / (1 + np.exp(-one)) for one in (self, *others)]
