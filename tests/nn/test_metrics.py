"""Metrics: Keras's numbers, golden and live, over several batches."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_golden import TABLES, live_keras, of

from fastlstm.nn import losses, metrics
from fastlstm.nn._src import names

CASES = TABLES["METRICS"]


def made(case: str) -> metrics.Metric:
    name, arguments, _ = CASES[case]
    return getattr(metrics, name)(**arguments)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, dtype: Any) -> None:
    data = of(f"metric/{case}/")
    for kind in ("plain", "weighted"):
        metric = made(case)
        for _ in range(2):  # a reset forgets all
            metric.reset_state()
            for t, p, w, expected in zip(data["y_true"], data["y_pred"], data["weight"], data[kind], strict=True):
                metric.update_state(t, p.astype(dtype), None if kind == "plain" else w)
                result = metric.result()
                assert type(result) is float
                assert result == pytest.approx(expected, rel=1e-12 if dtype == np.float64 else 1e-6)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(sorted(CASES)),
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4),
)
def test_batches_are_as_one(case: str, seed: int, sizes: list[int]) -> None:
    """Cut into batches in any way, empty ones too, the result is the same; what has weight 0 counts for nothing."""
    rng = np.random.default_rng(seed)
    name, arguments, shape = CASES[case]
    N = sum(sizes) or 1
    t = TABLES["targets"](name, (N, *shape[1:]), rng)
    p = TABLES["predictions"](name, arguments, (max(N, 2), *shape[1:]), rng)[:N]
    w = rng.uniform(0.5, 2, N)
    whole, parts, without = made(case), made(case), made(case)
    whole.update_state(t, p, w)
    for begin, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        rows = slice(begin, begin + size)
        parts.update_state(t[rows], p[rows], w[rows])
    if sum(sizes):
        np.testing.assert_allclose(parts.result(), whole.result(), rtol=1e-9, atol=1e-12)
    spoilt = np.concatenate([p, np.full_like(p[:1], np.nan)]) if name != "R2Score" else np.concatenate([p, p[:1] + 7])
    without.update_state(np.concatenate([t, t[:1]]), spoilt, np.append(w, 0.0))
    np.testing.assert_allclose(without.result(), whole.result(), rtol=1e-9, atol=1e-12)


def test_steps_weigh(rng: np.random.Generator) -> None:
    t, p, w = rng.integers(0, 3, (5, 4)), rng.uniform(size=(5, 4, 3)), rng.uniform(size=(5, 4))
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(t, p, w)
    right = p.argmax(axis=2) == t
    assert metric.result() == pytest.approx((right * w).sum() / w.sum())
    metric.reset_state()
    metric.update_state(t, p, w[:, 0])
    assert metric.result() == pytest.approx((right.mean(axis=1) * w[:, 0]).sum() / w[:, 0].sum())


def test_loss_as_metric(rng: np.random.Generator) -> None:
    t, p, w = rng.integers(0, 2, (6, 1)), rng.uniform(0.1, 0.9, (6, 1)), rng.uniform(size=6)
    metric = metrics.get("binary_crossentropy")
    metric.update_state(t, p, w)
    values = losses.BinaryCrossentropy().values(t, p)
    assert metric.result() == pytest.approx((values * w).sum() / w.sum())
    assert (metric.name, metric.direction) == ("binary_crossentropy", "down")


def test_auc_is_a_probability(rng: np.random.Generator) -> None:
    """That a positive is above a negative, as the area under ROC is (Fawcett), to the width of the thresholds."""
    t = rng.integers(0, 2, 400)
    p = np.clip(0.3 * t + 0.7 * rng.uniform(size=400), 0, 1)
    metric = metrics.AUC(num_thresholds=2000)
    metric.update_state(t, p)
    assert metric.result() == pytest.approx((p[t == 1][:, None] > p[t == 0]).mean(), abs=2e-3)


def test_auc_at_a_threshold() -> None:
    """What lies at a threshold is not above it."""
    metric = metrics.AUC(num_thresholds=3)
    metric.update_state([0, 0, 1, 1], [0.25, 0.5, 0.3, 0.9])
    assert metric.result() == pytest.approx(0.75)
    metric.update_state([0], [0.6])
    assert metric.result() == pytest.approx(1 / 3 * 0.25 + 2 / 3 * 0.75)


def test_r2_far_from_zero() -> None:
    """A spread of 1 about a million: the squares' difference would be noise."""
    rng = np.random.default_rng(0)
    t = 1e9 + rng.standard_normal((300, 1))
    p = t + 0.5 * rng.standard_normal((300, 1))
    metric = metrics.R2Score(class_aggregation=None)
    metric.update_state(t[:100], p[:100])
    metric.update_state(t[100:], p[100:])
    assert metric.result() == pytest.approx(1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum(), rel=1e-6)


def test_accuracy_chooses() -> None:
    binary, sparse = losses.get("bce"), losses.get("sparse_categorical_crossentropy")
    for identifier in ("accuracy", "acc"):
        assert type(metrics.get(identifier, binary, (None, 1))) is metrics.BinaryAccuracy
        assert type(metrics.get(identifier, sparse, (None, 4))) is metrics.SparseCategoricalAccuracy
        assert (
            type(metrics.get(identifier, losses.get("categorical_crossentropy"), (None, 8, 4)))
            is metrics.CategoricalAccuracy
        )
        assert metrics.get(identifier, binary, (None, 1)).name == identifier


def test_names_and_configurations() -> None:
    for case, (name, arguments, _) in CASES.items():
        metric = made(case)
        again = metrics.get(json.loads(json.dumps(names.serialize(metric))))
        assert type(again) is type(metric)
        assert again.get_config() == metric.get_config()
        assert arguments.items() <= again.get_config().items() or "thresholds" in arguments
        assert type(metrics.get(name)) is type(metric)
        assert metrics.get(name).name == name
    again = metrics.get(names.serialize(metrics.get("huber")))
    assert isinstance(again, metrics.LossMetric)
    assert isinstance(again.loss, losses.Huber)
    assert {name: metrics.get(name).direction for name in ("mae", "MSE", "auc", "r2_score")} == {
        "mae": "down", "MSE": "down", "auc": "up", "r2_score": "up",
    }  # fmt: skip


def test_functions_and_others() -> None:
    def off(y_true: Any, y_pred: Any) -> Any:
        return np.abs(y_true - y_pred).max(axis=1)

    metric = metrics.get(off)
    metric.update_state(np.zeros((2, 2)), np.array([[1.0, 2.0], [0.0, 4.0]]))
    assert (metric.name, metric.result()) == ("off", 3.0)
    with pytest.raises(TypeError, match="off: expected a metric that can be described by its name"):
        metric.get_config()
    assert metrics.get(metric) is metric
    mean = metrics.Mean()
    assert mean.result() == 0.0


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: metrics.get("acuracy"), ValueError, "metric: expected a known name, got 'acuracy'; did you mean 'accuracy'"),
        (lambda: metrics.get("accuracy"), ValueError, "metric: expected loss and output_shape"),
        (lambda: metrics.get(7), TypeError, "metric: expected a name, a Metric or a function, got int"),
        (lambda: metrics.get(metrics.AUC), TypeError, "got the class AUC: call it"),
        (lambda: metrics.AUC(num_thresholds=1), ValueError, "num_thresholds: expected 2 to 100000, got 1"),
        (lambda: metrics.AUC(curve="roc"), ValueError, "curve: expected one of .*got 'roc'"),
        (lambda: metrics.AUC(summation_method="mean"), ValueError, "summation_method: expected one of"),
        (lambda: metrics.AUC(thresholds=[2]), ValueError, r"thresholds\[0\]: expected 0 to 1, got 2"),
        (lambda: metrics.AUC().update_state([1], [1.5]), ValueError, "y_pred: expected 0 to 1 for auc, got 1.5"),
        (lambda: metrics.R2Score(class_aggregation="mean"), ValueError, "class_aggregation: expected one of"),
        (lambda: metrics.R2Score().update_state([1], [1]), ValueError, r"y_pred: expected shape \(N, K\)"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), ValueError, "k: expected at least 1, got 0"),
        (lambda: metrics.TopKCategoricalAccuracy(k=1.5), TypeError, "k: expected an integer"),
        (lambda: metrics.BinaryAccuracy(threshold=3), ValueError, "threshold: expected 0 to 1, got 3"),
        (lambda: metrics.BinaryAccuracy().update_state([1, 0], [[1], [0], [1]]), ValueError, r"y_true: expected shape \(3, 1\).*\(2,\)"),
        (lambda: metrics.SparseCategoricalAccuracy().update_state([[1, 0]], [[1, 0]]), ValueError, "y_true: expected class numbers"),
        (lambda: metrics.BinaryAccuracy().update_state([1], [1], [1, 2]), ValueError, "sample_weight: expected shape"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within Keras
@pytest.mark.parametrize("case", CASES)
def test_live(case: str) -> None:
    keras = live_keras()
    rng = np.random.default_rng(3)
    name, arguments, shape = CASES[case]
    for weighted in (False, True):
        theirs, ours = getattr(keras.metrics, name)(**arguments), made(case)
        for N in (1, 17, 32):
            t = TABLES["targets"](name, (N, *shape[1:]), rng)
            p = TABLES["predictions"](name, arguments, (max(N, 2), *shape[1:]), rng)[:N].astype(np.float32)
            w = rng.uniform(size=N).astype(np.float32) if weighted else None
            theirs.update_state(t, p, w)
            ours.update_state(t, p, w)
        assert ours.result() == pytest.approx(float(theirs.result()), rel=1e-4, abs=1e-6)
