"""Estimators for scikit-learn: sequences are classified, numbers told from them, series forecast.

They come when they are used, and need scikit-learn (``pip install fastlstm[sklearn]``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_LATER = {  # names of modules here that are imported where they are first used
    "LSTMClassifier": "estimators",
    "LSTMForecaster": "forecaster",
    "LSTMRegressor": "estimators",
    "windows": "windowing",
}
__all__ = [*_LATER]

if TYPE_CHECKING:
    from .estimators import LSTMClassifier as LSTMClassifier
    from .estimators import LSTMRegressor as LSTMRegressor
    from .forecaster import LSTMForecaster as LSTMForecaster
    from .windowing import windows as windows
else:

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != "sklearn":
                raise
            raise ImportError(f"{name}: expected scikit-learn to be installed, it is not (pip install "
                              "fastlstm[sklearn])") from error  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
