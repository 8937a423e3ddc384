"""The data set's known facts, and the demo's parts."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm import demo
from fastlstm.datasets import load_japanese_vowels


def test_data() -> None:
    train, test = load_japanese_vowels()
    assert np.bincount(train.labels).tolist() == [30] * 9
    assert np.bincount(test.labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    for x, lengths, labels in (train, test):
        assert (x.dtype, x.shape[1:], len(lengths)) == (np.float32, (29, 12), len(labels))
        assert (lengths.min(), lengths.max()) == (7, 26 if len(x) == 270 else 29)
        padding = np.arange(29) >= lengths[:, None]
        assert not x[padding].any()
        assert (x[~padding] != 0).mean() > 0.999
        assert np.abs(x).max() < 3
    assert train.x[0, 0, 0] == np.float32(1.860936)


def test_loss_gradient(rng: Any) -> None:
    logits, labels = rng.standard_normal((5, 9)), rng.integers(0, 9, 5)
    loss, gradient = demo.softmax_loss(logits, labels)
    assert loss == pytest.approx(
        np.mean([-np.log(np.exp(z[k]) / np.exp(z).sum()) for z, k in zip(logits, labels, strict=True)])
    )
    for at in np.ndindex(logits.shape):
        moved = logits.copy()
        moved[at] += 1e-6
        assert (demo.softmax_loss(moved, labels)[0] - loss) / 1e-6 == pytest.approx(gradient[at], abs=1e-5)


def test_clipping() -> None:
    grads = [np.array([3.0, 0.0]), np.array([[4.0]])]
    assert np.allclose(np.concatenate([g.ravel() for g in demo.clip(grads, 1.0)]), [0.6, 0, 0.8], atol=1e-6)
    assert np.array_equal(demo.clip(grads, 9.0)[0], grads[0])


def test_training_learns(tmp_path: Path) -> None:
    train, test = load_japanese_vowels()
    result = demo.train(train, test, seed=0, epochs=15)
    assert result.accuracy > 0.9
    assert result.losses[-1] < 0.2 < result.losses[0]
    pytest.importorskip("matplotlib")
    demo.plot(result, test.labels, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"


def test_plain_lines_without_tqdm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tqdm":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    demo.main(["--epochs", "1"])
    out = capsys.readouterr().out
    assert "epoch 1 of 1: loss " in out
    assert "test accuracy: " in out
