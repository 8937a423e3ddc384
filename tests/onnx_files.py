"""ONNX files for tests, written with onnx.helper and by nothing of this package."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data"


def golden() -> dict[str, Any]:
    """Files of every option by name, each with what onnxruntime made of it."""
    with np.load(DATA / "onnx_golden.npz", allow_pickle=False) as file:
        return dict(file)


CASES = sorted({key.rpartition("/")[0] for key in golden() if "/" in key})


def made(number: int = 0, kind: str = "LSTM", **options: Any) -> Any:
    """A ModelProto of one node "the_node", with D = 2 and H = 4."""
    import onnx

    make = runpy.run_path(str(DATA / "make_onnx_golden.py"))["file_of"]
    return onnx.load_model_from_string(make(number, kind, **options))
