"""Plans: what stages compute is what the package's own passes and models compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model_cases import BOTH_WAYS, MODELS, built, masked
from oracles import KINDS, random_stack

import fastlstm
from fastlstm import nn, reference
from fastlstm.formats import plan


def largest(a: Any, b: Any) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


@pytest.mark.parametrize("cell", KINDS)
def test_weights_are_stages_which_compute_what_forward_does(rng: Any, cell: str) -> None:
    params = random_stack(rng, 3, [(4, True), (5, False)], np.float64, cell)
    x, lengths = rng.standard_normal((3, 6, 3)), np.array([6, 0, 4])
    found = plan.plan_of(params)
    assert (found.input_size, found.output_size, found.dtype) == (3, len(params[1].U), np.float64)
    y, states = plan.run(found, x, lengths)
    expected, last = reference.forward(x, params, lengths=lengths)
    assert largest(y, expected) < 1e-14
    assert largest(states[0][1].h, last[0].backward.h) < 1e-14
    assert largest(states[1][0].h, last[1].h) < 1e-14


def test_packed_weights_and_a_layer_by_itself() -> None:
    params = fastlstm.init_params(3, 4, rng=0)
    for given in (params, fastlstm.pack(params), [params]):
        (stage,) = plan.plan_of(given).stages
        assert isinstance(stage, plan.Recurrent)
        assert all((one == two).all() for one, two in zip(stage.records[0], params, strict=True))


def test_states_are_handed_on(rng: Any) -> None:
    found = plan.plan_of([fastlstm.init_params(3, 4, rng=0), fastlstm.init_params(4, 2, cell="gru", rng=1)])
    x = rng.standard_normal((2, 7, 3))
    whole, last = plan.run(found, x)
    first, states = plan.run(found, x[:, :3])
    second, end = plan.run(found, x[:, 3:], states=states)
    assert largest(np.concatenate([first, second], axis=1), whole) < 1e-15
    assert largest(end[1][0].h, last[1][0].h) < 1e-15


@pytest.mark.parametrize("name", [*MODELS, *BOTH_WAYS])
def test_models_are_stages_which_compute_what_they_predict(rng: Any, name: str) -> None:
    model = built((MODELS | BOTH_WAYS)[name](), rng)
    found = plan.plan_of(model)
    x = masked(rng)
    y, _ = plan.run(found, x)
    expected = model.predict(x, verbose=0)
    assert found.returns_sequences == (expected.ndim == 3)
    assert found.output_size == expected.shape[-1]
    assert found.steps == (name in MODELS)
    assert largest(y, expected) < 2e-6
    short, lengths = rng.standard_normal((3, 4, 5)).astype(np.float32), [4, 1, 3]
    assert largest(plan.run(found, short, lengths)[0], model.predict(short, lengths=lengths, verbose=0)) < 2e-6


def test_a_stateful_model_begins_where_it_stands(rng: Any) -> None:
    model = nn.Sequential([nn.Input((None, 5)), nn.LSTM(4, stateful=True), nn.Dense(2)], seed=1)
    x = rng.standard_normal((1, 6, 5)).astype(np.float32)
    model.predict(x, verbose=0)
    found = plan.plan_of(model)
    assert largest(plan.run(found, x)[0], model.predict(x, verbose=0)) < 1e-6
    model.reset_state()
    assert plan.plan_of(model).recurrent[0].states is None
    model.predict(np.concatenate([x, x]), verbose=0)
    with pytest.raises(ValueError, match=r"lstm: expected a state of one sample, .* got one of 2; reset_state"):
        plan.plan_of(model)


class Own(nn.Dense):
    """Computes whatever it likes."""


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda: nn.Sequential([nn.Input((None, 5)), nn.Dense(2)]), ValueError, "at least one recurrent layer, got none"),
    (lambda: nn.Sequential([nn.LSTM(2)]), ValueError, "expected a model that has been built"),
    (lambda: nn.Sequential([nn.Input((None, 5)), nn.LSTM(2), Own(2)]), ValueError, "got 'own', Own"),
    (lambda: nn.Sequential([nn.Input((None, 3, 5)), nn.TimeDistributed(nn.LSTM(2)), nn.LSTM(2)]), ValueError,
     "expected TimeDistributed of Dense or Dropout, got LSTM"),
    (lambda: fastlstm.Params(*(np.full_like(a, np.nan) for a in fastlstm.init_params(2, 3))), ValueError,
     "expected finite weights, got NaN or infinity in stage 0 of 1"),
    (lambda: nn.LSTM(3), TypeError, "expected Params"),
    (dict, TypeError, "expected Params"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kind", "message"), BAD)
def test_what_cannot_be_described_is_refused(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        plan.plan_of(given())
