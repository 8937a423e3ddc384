"""Pictures: what is in them, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_engine

from fastlstm import backend, nn
from fastlstm.nn.utils import plot_history, plot_model

HISTORY = {"loss": [3.0, 2.0, 1.0, 0.5], "mae": [2.0, 1.5, 1.0, 0.9], "val_loss": [2.5, 1.5], "val_mae": [1.0, 0.5]}


@pytest.fixture(autouse=True)
def plain_engine() -> Iterator[None]:
    with backend.use(reference_engine):
        yield


def model() -> nn.Sequential:
    return nn.Sequential(
        [nn.Embedding(9, 3, name="words"), nn.Bidirectional(nn.LSTM(2), trainable=False), nn.Dropout(0.1), nn.Dense(1)]
    )


def test_a_history() -> None:
    pytest.importorskip("matplotlib")
    figure = plot_history(HISTORY)
    loss, mae = figure.axes
    assert (loss.get_ylabel(), mae.get_ylabel(), mae.get_xlabel()) == ("loss", "mae", "epoch")
    training, validation = loss.get_lines()
    assert training.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1], [4, 0.5]]
    assert validation.get_xydata().tolist() == [[2, 2.5], [4, 1.5]]  # every second epoch
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]


def test_what_fit_returns() -> None:
    pytest.importorskip("matplotlib")
    one = nn.Sequential([nn.Dense(1, input_shape=(2,))])
    one.compile("sgd", "mse")
    history = one.fit(np.ones((4, 2)), np.ones(4), epochs=3, verbose=0)
    (panel,) = plot_history(history).axes
    assert panel.get_lines()[0].get_ydata().tolist() == history.history["loss"]
    assert panel.get_legend() is None


def test_a_model() -> None:
    pytest.importorskip("matplotlib")
    one = model()
    texts = [text.get_text() for text in plot_model(one, None).axes[0].texts if text.get_text()]
    assert texts == ["Embedding", "Bidirectional(LSTM)", "Dropout", "Dense"]
    one.build((None, 5))
    figure = plot_model(one, None, show_shapes=True, show_dtype=True, show_layer_names=True, show_trainable=True)
    texts = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    assert texts[:2] == [
        "words (Embedding)\n(N, 5) → (N, 5, 3)\nfloat32\ntrainable",
        "bidirectional (Bidirectional(LSTM))\n(N, 5, 3) → (N, 4)\nfloat32\nnot trainable",
    ]
    assert texts[2] == "dropout (Dropout)\n(N, 4) → (N, 4)\nfloat32"


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_files(suffix: str, begin: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    plot_history(HISTORY, tmp_path / f"one.{suffix}", dpi=30)
    plot_model(model(), str(tmp_path / f"two.{suffix}"), dpi=30)
    assert all(path.read_bytes().startswith(begin) for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    plot_model(model(), dpi=30)
    assert (tmp_path / "model.png").exists()


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: plot_history({}), ValueError, "history: expected at least one epoch, got none"),
    (lambda: plot_history(nn.callbacks.History()), ValueError, "history: expected at least one epoch, got none"),
    (lambda: plot_history([1.0]), TypeError, "history: expected a History or a dict of lists, got list"),
    (lambda: plot_history(HISTORY, "a.xyz"), ValueError, "to_file: expected a name that ends in one of .*png.*, got 'a.xyz'"),
    (lambda: plot_history(HISTORY, 3), TypeError, "path: expected str or path-like, got int"),
    (lambda: plot_history(HISTORY, dpi=0), ValueError, "dpi: expected at least 1, got 0"),
    (lambda: plot_model(3), TypeError, "model: expected a Sequential, got int"),
    (lambda: plot_model(nn.Sequential()), ValueError, "model: expected at least one layer, got none"),
    (lambda: plot_model(model(), show_shapes=True), ValueError, "model: expected one that has been built"),
    (lambda: plot_model(model(), None, show_dtype=1), TypeError, "show_dtype: expected True or False, got 1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=lambda one: one if isinstance(one, str) else "")
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(kind, match=message):
        call()


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for call in (lambda: plot_history(HISTORY), lambda: plot_model(model(), None)):
        with pytest.raises(ImportError, match="plots: expected the package matplotlib, which is not installed"):
            call()
