"""Once round through the formats: PyTorch, ONNX, Keras and back, with the same bits."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from keras_golden import live_keras
from round_trips import TOLERANCE, Case, cases, travel

BEFORE = Case("gru_before", 3, 4, 2, both=True, bias=True, head="softmax", sequences=False, N=2, T=5, seed=0)
GRU = BEFORE._replace(cell="gru", bias=False)


@settings(max_examples=15, deadline=None)
@given(cases())
@example(BEFORE)
@example(GRU)
def test_the_same_bits_after_all_formats(case: Case) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    with tempfile.TemporaryDirectory() as folder:
        travel(case, Path(folder))


@pytest.mark.parametrize("case", [BEFORE, GRU, BEFORE._replace(cell="lstm", head=None)], ids=lambda case: case.cell)
def test_live_outputs_at_each_station(case: Case, tmp_path: Path) -> None:
    for package in ("torch", "onnxruntime", "h5py"):
        pytest.importorskip(package)
    live_keras()
    stations: list[str] = []

    def seen(station: str, one: float) -> None:
        stations.append(station)
        assert one <= TOLERANCE, station

    travel(case, tmp_path, seen)
    assert len(stations) == (3 if case.cell == "gru_before" else 5)
