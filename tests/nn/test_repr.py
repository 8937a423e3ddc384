"""What things of fastlstm.nn say of themselves: class, settings and shapes in a line or two, no numbers of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastlstm import nn

callbacks, losses, metrics, optimizers = nn.callbacks, nn.losses, nn.metrics, nn.optimizers
schedules = optimizers.schedules


def within(y_true: Any, y_pred: Any) -> Any:
    return abs(y_true - y_pred) < 0.1


def trained() -> nn.Sequential:
    layers = [
        nn.Masking(input_shape=(8, 16)),
        nn.Bidirectional(nn.LSTM(4, return_sequences=True, kernel_regularizer="l2")),
        nn.LSTM(3, dropout=0.1, bias_initializer=nn.initializers.Constant(2.0)),
        nn.Dense(1, "sigmoid"),
    ]
    model = nn.Sequential(layers, name="m")
    model.compile(optimizers.Adam(schedules.CosineDecay(0.1, 100), clipnorm=1.0), "bce", ["accuracy"])
    model.fit(np.ones((8, 8, 16)), np.ones(8), verbose=0)
    return model


def test_models_and_layers() -> None:
    model = trained()
    assert [repr(one) for one in (model, *model.layers, model.history, model.optimizer, model.gradient_norms())] == [
        "<Sequential 'm': Masking, Bidirectional, LSTM, Dense, (N, 8, 16) -> (N, 1), 820 weights>",
        "<Masking() 'masking': (N, 8, 16) -> (N, 8, 16)>",
        "<Bidirectional(layer=<LSTM(units=4, kernel_regularizer=L2(), return_sequences=True, zero_output_for_mask=True) "
        "'forward_lstm': (N, 8, 16) -> (N, 8, 4)>) 'bidirectional': "
        "(N, 8, 16) -> (N, 8, 8)>",
        "<LSTM(units=3, bias_initializer=Constant(value=2.0), dropout=0.1) 'lstm': (N, 8, 8) -> (N, 3)>",
        "<Dense(units=1, activation='sigmoid') 'dense': (N, 3) -> (N, 1)>",
        "<History: 1 epoch(s) of loss, accuracy>",
        "<Adam(learning_rate=CosineDecay(initial_learning_rate=0.1, decay_steps=100.0), clipnorm=1.0): 1 update(s) of "
        "820 weights>",
        "<GradientNorms of bidirectional, lstm, dense; of steps: bidirectional of 8, lstm of 8>",
    ]


MADE = [
    (nn.Sequential(), "<Sequential 'sequential': no layers>"),
    (nn.Sequential([nn.Dense(1) for _ in range(9)]), "<Sequential 'sequential': 9 layers>"),
    (nn.Input((None, 3)), "<Input 'input': (N, T, 3)>"),
    (nn.TimeDistributed(nn.Dropout(0.5)), "<TimeDistributed(layer=<Dropout(rate=0.5) 'dropout'>) 'time_distributed'>"),
    (optimizers.SGD(), "SGD(learning_rate=0.01)"),
    (optimizers.AdamW(1e-3, beta_1=0.5), "AdamW(learning_rate=0.001, beta_1=0.5)"),
    (optimizers.RMSprop(centered=True, global_clipnorm=2), "RMSprop(learning_rate=0.001, centered=True, global_clipnorm=2.0)"),
    (schedules.PiecewiseConstantDecay(range(7), range(8)), "PiecewiseConstantDecay(boundaries=<7 entries>, values=<8 entries>)"),
    (losses.Huber(0.5), "Huber(delta=0.5)"),
    (losses.SparseCategoricalCrossentropy(ignore_class=-1), "SparseCategoricalCrossentropy(ignore_class=-1)"),
    (metrics.get("mae"), "LossMetric(loss=MeanAbsoluteError(), name='mae')"),
    (metrics.AUC(curve="PR"), "AUC(curve='PR')"),
    (metrics.AUC(thresholds=[i / 99 for i in range(100)]), "AUC(num_thresholds=102, thresholds=<100 entries>)"),
    (metrics.MeanMetricWrapper(within), "MeanMetricWrapper(fn=within, name='within')"),
    (nn.regularizers.l1_l2(), "L1L2(l1=0.01, l2=0.01)"),
    (nn.initializers.VarianceScaling(2.0), "VarianceScaling(scale=2.0)"),
    (nn.initializers.HeNormal(seed=3), "HeNormal(seed=3)"),
    (callbacks.History(), "<History: 0 epoch(s) of nothing yet>"),
    (callbacks.EarlyStopping(patience=5), "EarlyStopping(patience=5)"),
    (callbacks.ModelCheckpoint("m", save_best_only=True), "ModelCheckpoint(filepath='m', save_best_only=True)"),
    (callbacks.ReduceLROnPlateau("loss", factor=0.5), "ReduceLROnPlateau(monitor='loss', factor=0.5)"),
    (callbacks.LearningRateScheduler(within), "LearningRateScheduler(schedule=within)"),
    (callbacks.CSVLogger("x.csv"), "CSVLogger(filename='x.csv')"),
    (callbacks.CallbackList(callbacks.TerminateOnNaN()), "CallbackList([TerminateOnNaN(), <History: 0 epoch(s) of nothing yet>])"),
]  # fmt: skip


@pytest.mark.parametrize(("thing", "shown"), MADE, ids=[shown for _, shown in MADE])
def test_settings(thing: Any, shown: str) -> None:
    assert repr(thing) == shown


def test_subclasses_of_the_callers_own() -> None:
    class Own(nn.callbacks.Callback):
        def __init__(self, weights: Any, often: int = 3, *others: Any, **more: Any) -> None:
            self.weights, self.often = weights, often

    class Table:
        def __repr__(self) -> str:
            return "many\nlines"

        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    assert repr(Own(Table())) == "Own(weights=<Table>)"
    assert repr(Own(np.zeros((2, 3)), 4)) == "Own(weights=<float64 (2, 3)>, often=4)"
