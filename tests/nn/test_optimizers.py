"""Optimizers and schedules: Keras's numbers step by step, golden and live, and the same bits with any threads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import ways
from keras_golden import TABLES, live_keras, of

from fastlstm.cpu.training import updates
from fastlstm.nn import optimizers
from fastlstm.nn._src import names, schedules

CASES, SCHEDULES = TABLES["OPTIMIZERS"], TABLES["SCHEDULES"]


def made(case: str) -> optimizers.Optimizer:
    name, arguments = CASES[case]
    return getattr(optimizers, name)(**arguments)


def slices() -> list[tuple[str, slice]]:
    ends = np.cumsum([int(np.prod(shape)) for shape in TABLES["VARIABLES"].values()])
    return [(name, slice(int(b), int(e))) for name, b, e in zip(TABLES["VARIABLES"], [0, *ends], ends, strict=False)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, dtype: Any) -> None:
    data, optimizer = of("optimizer/"), made(case)
    p = data["begin"].astype(dtype)
    optimizer.build(p, slices())
    for step, (gradient, expected) in enumerate(zip(data["gradients"], data[case], strict=True)):
        assert optimizer.iterations == step
        optimizer.update(p, gradient.astype(dtype))
        # Keras rounds rates and decay rates to float32: 1 - 0.999 is off by 1e-5 then
        close = 2e-5 * optimizer.learning_rate * (step + 1) + (5e-7 if dtype == np.float32 else 0)
        np.testing.assert_allclose(p, expected, rtol=0, atol=close)


def rule(optimizer: Any, p: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """The updates as the docstrings have them, in plain NumPy."""
    o, v, m, a, top = optimizer, *np.zeros((4, *p.shape))
    for t, gradient in enumerate(gradients, 1):
        g = gradient.copy()
        for _, where in slices() if o.clipnorm else [("all", slice(None))]:
            limit = o.clipnorm or o.global_clipnorm or np.inf
            g[where] *= min(1, limit / np.linalg.norm(g[where]))
        if o.clipvalue:
            g = g.clip(-o.clipvalue, o.clipvalue)
        p = p - p * (o.weight_decay or 0) * o.learning_rate
        if isinstance(o, optimizers.SGD):
            m = o.momentum * m - o.learning_rate * g
            p = p + (o.momentum * m - o.learning_rate * g if o.nesterov else m)
        elif isinstance(o, optimizers.RMSprop):
            v, a = o.rho * v + (1 - o.rho) * g**2, o.rho * a + (1 - o.rho) * g
            m = o.momentum * m + o.learning_rate * g / np.sqrt(v - (a**2 if o.centered else 0) + o.epsilon)
            p = p - m
        else:
            m, v = o.beta_1 * m + (1 - o.beta_1) * g, o.beta_2 * v + (1 - o.beta_2) * g**2
            top = np.maximum(top, v) if o.amsgrad else v
            alpha = o.learning_rate * np.sqrt(1 - o.beta_2**t) / (1 - o.beta_1**t)
            p = p - alpha * m / (np.sqrt(top) + o.epsilon)
    return p


@pytest.mark.parametrize("case", CASES)
def test_rule(case: str) -> None:
    data, optimizer = of("optimizer/"), made(case)
    p = data["begin"].copy()
    optimizer.build(p, slices())
    for gradient in data["gradients"]:
        optimizer.update(p, gradient)
    np.testing.assert_allclose(p, rule(optimizer, data["begin"], data["gradients"]), rtol=0, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_goes_on_from_a_state(case: str) -> None:
    data = of("optimizer/")
    whole, first, second = made(case), made(case), made(case)
    whole.learning_rate = first.learning_rate = 0.03
    p, q = data["begin"].astype(np.float32), data["begin"].astype(np.float32)
    for optimizer in (whole, first, second):
        optimizer.build(p, slices())
    gradients = data["gradients"].astype(np.float32)
    for gradient in gradients:
        whole.update(p, gradient)
    for gradient in gradients[:3]:
        first.update(q, gradient)
    kept = first.state()
    first.update(q.copy(), gradients[0])  # what was taken away is a copy
    second.load_state(kept)
    assert second.iterations == 3
    for gradient in gradients[3:]:
        second.update(q, gradient)
    assert p.tobytes() == q.tobytes()
    assert {k: v.tobytes() for k, v in second.state().items()} == {k: v.tobytes() for k, v in whole.state().items()}
    second.build(p, slices())  # once is enough
    assert second.iterations == len(gradients)
    second.build(p[:5], None)
    assert second.iterations == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES)
def test_many_chunks_and_threads(case: str, dtype: Any) -> None:
    """Variables of more than a chunk and of odd sizes: against the rule on each variable by itself, and the same bits
    with more threads."""
    rng = np.random.default_rng(1)
    sizes = [1, updates.CHUNK * 2 + 3, 17, updates.CHUNK]
    ends = np.cumsum(sizes)
    parts = [(f"v{i}", slice(int(e - n), int(e))) for i, (n, e) in enumerate(zip(sizes, ends, strict=True))]
    begin, gradients = rng.standard_normal(ends[-1]).astype(dtype), rng.standard_normal((3, ends[-1])).astype(dtype)
    results = []
    for way, count in (("one", 1), ("rows", 2), ("rows", 3)):
        optimizer, p = made(case), begin.copy()
        optimizer.build(p, parts)
        with ways.forced(way, count):
            for gradient in gradients:
                optimizer.update(p, gradient)
        results.append(p)
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    if optimizer.global_clipnorm:  # which does not know variables
        parts = [("all", slice(0, int(ends[-1])))]
    for _, where in parts:
        alone, q = made(case), begin[where].copy()
        alone.build(q)
        for gradient in gradients:
            alone.update(q, gradient[where].copy())
        np.testing.assert_allclose(results[0][where], q, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-6)


def test_norms(rng: np.random.Generator) -> None:
    g = (rng.standard_normal(10_007) * 3).astype(np.float32)
    assert updates.sum_of_squares(g) == pytest.approx((g.astype(np.float64) ** 2).sum(), rel=1e-14)
    for limits, size in (({"clipnorm": 2.0}, None), ({"global_clipnorm": 2.0}, 2.0)):
        p, sgd = np.zeros(10_007), optimizers.SGD(1.0, **limits)
        sgd.build(p, [("a", slice(0, 7000)), ("b", slice(7000, 10_007))])
        sgd.update(p, g.astype(np.float64))
        parts = [np.linalg.norm(p[:7000]), np.linalg.norm(p[7000:])]
        assert np.linalg.norm(p) == pytest.approx(size) if size else parts == pytest.approx([2.0, 2.0])
    p, sgd = np.zeros(3), optimizers.SGD(1.0, clipnorm=10.0)  # short enough: left as it is
    sgd.build(p)
    sgd.update(p, np.array([1.0, -2.0, 1 / 3]))
    assert p.tolist() == [-1.0, 2.0, -1 / 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("limit", ["clipnorm", "global_clipnorm", "clipvalue"])
@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam"])
def test_what_is_no_number_is_not_hidden(name: str, limit: str, bad: float) -> None:
    p, optimizer = np.ones(4), getattr(optimizers, name)(**{limit: 0.5})
    optimizer.build(p)
    optimizer.update(p, np.array([1.0, bad, 2.0, -3.0]))
    if limit != "clipvalue":
        assert np.isnan(p).all()
    else:  # infinity has a bound
        assert np.isnan(p).tolist() == [False, bool(np.isnan(bad)), False, False]


def test_gaps_and_exclusions() -> None:
    p = np.ones(6)
    adamw = optimizers.AdamW(0.1, weight_decay=0.5)
    for wrong in ("bias", [1]):
        with pytest.raises(TypeError, match="var_names: expected a sequence of str"):
            adamw.exclude_from_weight_decay(wrong)
    assert adamw.excluded_from_weight_decay == ()
    adamw.exclude_from_weight_decay(["bias"])
    assert adamw.excluded_from_weight_decay == ("bias",)
    adamw.build(p, [("kernel", slice(0, 2)), ("the_bias", slice(3, 5))])
    adamw.update(p, np.zeros(6))
    assert p.tolist() == [0.95, 0.95, 1, 1, 1, 1]
    with pytest.raises(RuntimeError, match="before build"):
        adamw.exclude_from_weight_decay(["kernel"])
    empty = optimizers.SGD()
    empty.build(np.zeros(0))
    empty.update(np.zeros(0), np.zeros(0))
    assert empty.iterations == 1


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedules(case: str) -> None:
    name, arguments = SCHEDULES[case]
    schedule = getattr(schedules, name)(**arguments)
    found = [schedule(step) for step in TABLES["SCHEDULE_STEPS"]]
    np.testing.assert_allclose(found, of("schedule/")[case], rtol=1e-5, atol=1e-9)
    again = schedules.get(json.loads(json.dumps(names.serialize(schedule))))
    assert [again(step) for step in TABLES["SCHEDULE_STEPS"]] == found


def test_rate_by_schedule() -> None:
    sgd = optimizers.SGD(schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25]))
    p = np.zeros(1)
    sgd.build(p)
    for expected in (-1.0, -1.5, -1.75):
        sgd.update(p, np.ones(1))
        assert p[0] == expected
    assert "learning_rate" not in sgd.state()
    sgd.learning_rate = schedules.PiecewiseConstantDecay([9], [2.0, 1.0])
    assert sgd.learning_rate == 2.0
    sgd.update(p, np.ones(1))
    assert p[0] == -3.75


def test_names_and_configurations() -> None:
    for case, (name, arguments) in CASES.items():
        optimizer = made(case)
        again = optimizers.get(json.loads(json.dumps(names.serialize(optimizer))))
        assert type(again) is type(optimizer)
        assert again.get_config() == optimizer.get_config()
        assert arguments.items() <= again.get_config().items()
        assert type(optimizers.get(name)) is type(optimizers.get(name.lower())) is type(optimizer)
    scheduled = optimizers.Adam(schedules.CosineDecay(0.1, 7))
    again = optimizers.get(json.loads(json.dumps(names.serialize(scheduled))))
    assert again.get_config() == scheduled.get_config()
    assert again.learning_rate == 0.1


BUILT = optimizers.RMSprop()
BUILT.build(np.zeros(3))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: optimizers.get("rmspop"), ValueError, "optimizer: expected a known name, got 'rmspop'; did you mean 'rmsprop'"),
        (lambda: optimizers.get(3), TypeError, "optimizer: expected a name or an Optimizer, got int"),
        (lambda: optimizers.SGD("fast"), TypeError, "learning_rate: expected a float or LearningRateSchedule, got str"),
        (lambda: optimizers.SGD(-1), ValueError, "learning_rate: expected at least 0, got -1"),
        (lambda: optimizers.SGD(momentum=2), ValueError, "momentum: expected 0 to 1, got 2"),
        (lambda: optimizers.Adam(beta_2=1), ValueError, "beta_2: expected 0 to 1, got 1"),
        (lambda: optimizers.Adam(clipnorm=0), ValueError, "clipnorm: expected at least .*got 0"),
        (lambda: optimizers.Adam(clipnorm=1, clipvalue=1), ValueError, "expected at most one of them"),
        (lambda: optimizers.Adam(use_ema=True), TypeError, "use_ema"),
        (lambda: optimizers.AdamW(weight_decay=None), TypeError, "weight_decay: expected a number, got None"),
        (lambda: optimizers.Adam().update(np.zeros(2), np.zeros(2)), RuntimeError, "adam: expected build before update"),
        (lambda: optimizers.Adam().build([0.0]), TypeError, "flat_params: expected an array of float32 or float64"),
        (lambda: optimizers.Adam().build(np.zeros((2, 2))), ValueError, r"flat_params: expected shape \(P,\)"),
        (lambda: optimizers.Adam().build(np.zeros(2), [("a", slice(0, 2)), ("b", slice(1, 2))]), ValueError, "slices: .*overlap"),
        (lambda: BUILT.update(np.zeros(2), np.zeros(2)), ValueError, r"flat_params: expected shape \(3,\), got \(2,\)"),
        (lambda: BUILT.update(np.zeros(3), np.zeros(3, "f4")), TypeError, "flat_grads: expected an array of float64"),
        (lambda: BUILT.update(np.zeros(6)[::2], np.zeros(3)), ValueError, "flat_params: expected an array in C order"),
        (lambda: BUILT.load_state({}), ValueError, r"state: expected \['iterations', 'learning_rate', 'velocity'\]"),
        (lambda: BUILT.load_state(BUILT.state() | {"velocity": np.zeros(2)}), ValueError, r"state\['velocity'\]: expected shape \(3,\)"),
        (lambda: BUILT.load_state(BUILT.state() | {"velocity": np.zeros(3, "f4")}), TypeError, r"state\['velocity'\]: expected float64"),
        (lambda: BUILT.load_state(BUILT.state() | {"iterations": -1}), ValueError, r"state\['iterations'\]: .*got -1"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps: expected at least 1, got 0"),
        (lambda: schedules.PiecewiseConstantDecay([1, 2], [1, 2]), ValueError, "values: expected 3, one more"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "boundaries: expected rising"),
        (lambda: schedules.get({"class_name": "CosDecay", "config": {}}), ValueError, "did you mean 'cosine_decay'"),
    ],
)  # fmt: skip
def test_bad_input(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within Keras
@pytest.mark.parametrize("case", CASES)
def test_live(case: str) -> None:
    keras = live_keras()
    rng = np.random.default_rng(2)
    name, arguments = CASES[case]
    theirs, ours = getattr(keras.optimizers, name)(**arguments), made(case)
    begin = [rng.standard_normal(shape).astype(np.float32) for shape in TABLES["VARIABLES"].values()]
    variables = [keras.Variable(a) for a in begin]
    theirs.build(variables)
    p = np.concatenate([a.reshape(-1) for a in begin])
    ours.build(p, slices())
    for step in range(20):
        gradients = [rng.standard_normal(a.shape).astype(np.float32) for a in begin]
        theirs.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        ours.update(p, np.concatenate([g.reshape(-1) for g in gradients]))
        expected = np.concatenate([keras.ops.convert_to_numpy(v).reshape(-1) for v in variables])
        np.testing.assert_allclose(p, expected, rtol=0, atol=2e-5 * ours.learning_rate * (1 + step) + 1e-6)
