"""A user's program with every public function: checkers of types read it, nobody runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastlstm
from fastlstm import cells, dask, datasets, formats, nn, sklearn

Array = NDArray[Any]
AnyWeights = (
    fastlstm.Params
    | fastlstm.InterpolatedParams
    | fastlstm.ProjectedParams
    | fastlstm.PeepholeParams
    | fastlstm.NormalizedParams
    | fastlstm.GRUParams
    | fastlstm.GRUBeforeParams
    | fastlstm.OwnParams
)
AnyLayer = AnyWeights | fastlstm.Bidirectional[AnyWeights]

x = np.zeros((4, 10, 16), np.float32)


@cells.cell(gates="f g o")
def coupled(z: Any, c: Any) -> Any:
    f, o = cells.sigmoid(z.f), cells.hard_sigmoid(z.o)
    c = cells.where(f > 0, f * c + (1 - f) * cells.tanh(z.g), cells.fma(f, c, cells.softsign(z.g)))
    c = cells.maximum(cells.minimum(c, cells.exp(c)), cells.relu(c) - cells.log(cells.sqrt(cells.softplus(c))))
    return c, o * cells.tanh(c)


def weights_and_states() -> None:
    lstm = fastlstm.init_params(16, 32, rng=0)
    gru = fastlstm.init_params(16, 32, cell="gru", dtype=np.float64)
    assert_type(lstm, fastlstm.Params)
    assert_type(gru, fastlstm.GRUParams)
    assert_type(fastlstm.init_params(16, 32, cell="gru_before"), fastlstm.GRUBeforeParams)
    assert_type(fastlstm.init_params(16, 32, cell="interpolated"), fastlstm.InterpolatedParams)
    assert_type(fastlstm.init_params(16, 32, cell="peephole", forget_bias=1.0), fastlstm.PeepholeParams)
    assert_type(fastlstm.init_params(16, 32, cell="normalized"), fastlstm.NormalizedParams)
    assert_type(fastlstm.init_params(16, 32, cell="projected", projection_size=8), fastlstm.ProjectedParams)
    assert_type(fastlstm.init_params(16, 32, cell=coupled), fastlstm.OwnParams)
    assert_type(coupled, cells.OwnCell)
    assert_type(lstm.W, Array)
    assert_type(fastlstm.zero_state(lstm, 4), fastlstm.State)
    assert_type(fastlstm.zero_state(gru), fastlstm.Hidden)
    assert_type(fastlstm.Bidirectional(lstm, lstm).forward.W, Array)
    both: fastlstm.Bidirectional = fastlstm.zero_state(fastlstm.Bidirectional(lstm, lstm))  # of anything
    two: fastlstm.Bidirectional[fastlstm.Params] = fastlstm.Bidirectional(lstm, lstm)
    assert_type(fastlstm.zero_state(two), fastlstm.Bidirectional[fastlstm.State])
    assert_type(both.backward.h, Any)
    assert_type(fastlstm.zero_state([lstm, lstm]), tuple[fastlstm.State, ...])
    assert_type(fastlstm.zero_state([lstm, gru]), tuple[Any, ...])
    fastlstm.show_config()


def passes() -> None:
    lstm, gru = fastlstm.init_params(16, 32), fastlstm.init_params(16, 32, cell="gru")
    both: fastlstm.Bidirectional[fastlstm.Params] = fastlstm.Bidirectional(lstm, lstm)
    other: fastlstm.Bidirectional[fastlstm.GRUParams] = fastlstm.Bidirectional(gru, gru)
    y, state = fastlstm.forward(x, lstm)
    assert_type(y, Array)
    assert_type(state, fastlstm.State)
    assert_type(fastlstm.forward(x, lstm, state, lengths=[10, 7, 0, 3], reverse=True)[1].c, Array)
    assert_type(fastlstm.forward(x, gru, reset=np.zeros((4, 10), bool)), tuple[Array, fastlstm.Hidden])
    states = fastlstm.forward(x, both)[1]
    assert_type(states, fastlstm.Bidirectional[fastlstm.State])
    assert_type(states.backward.c, Array)
    fastlstm.forward(x, both, states)
    assert_type(fastlstm.forward(x, other)[1].forward, fastlstm.Hidden)
    assert_type(fastlstm.forward(x, [lstm, lstm])[1], tuple[fastlstm.State, ...])
    assert_type(fastlstm.forward(x, [both, gru]), tuple[Array, tuple[Any, ...]])
    assert_type(fastlstm.forward(x, fastlstm.pack(lstm))[1], fastlstm.State | fastlstm.Hidden)
    assert_type(fastlstm.forward_cells(x, lstm), tuple[Array, fastlstm.State, Array])
    y, last, tape = fastlstm.forward_train(x, lstm, h_mask=np.ones((4, 32)))
    assert_type(last, fastlstm.State)
    assert_type(tape, fastlstm.Tape[fastlstm.Params, fastlstm.State])
    assert_type(tape.x, Array)
    grads = fastlstm.backward(tape, dy=y, dstate=last)
    assert_type(grads, fastlstm.Grads[fastlstm.Params, fastlstm.State])
    assert_type(grads.x, Array)
    assert_type(grads.params, fastlstm.Params)
    assert_type(grads.state.c, Array)
    anything: fastlstm.Grads = grads
    assert_type(anything.params, Any)
    assert_type(fastlstm.backward(fastlstm.forward_train(x, gru)[2]).params.b_n, Array)
    of_both = fastlstm.backward(fastlstm.forward_train(x, both)[2])
    assert_type(of_both.params.forward, fastlstm.Params)
    assert_type(of_both.state.backward.h, Array)
    assert_type(fastlstm.backward(fastlstm.forward_train(x, [gru, gru])[2]).params[0].W, Array)
    assert_type(fastlstm.backward(fastlstm.forward_train(x, fastlstm.pack(lstm))[2]).params, AnyWeights)
    slow, _, kept = fastlstm.reference.forward_train(x, lstm)
    fastlstm.reference.backward(kept, slow)
    fastlstm.reference.forward(x, lstm)
    fastlstm.reference.forward_cells(x, lstm)


def in_place() -> None:
    lstm = fastlstm.init_params(16, 32)
    packed, state, y = fastlstm.pack(lstm), fastlstm.zero_state(lstm, 4), np.zeros((4, 10, 32), np.float32)
    fastlstm.step(x[:, 0], packed, state)
    fastlstm.forward_into(x, packed, state, y)
    tape, grads = fastlstm.make_tape(packed, 4, 10), fastlstm.make_grads(packed, 4, 10)
    fastlstm.forward_train_into(x, packed, state, y, tape)
    fastlstm.backward_into(tape, packed, y, None, grads)
    fastlstm.pack_into(lstm, packed)
    assert_type(grads.params.W, Array)
    stack = fastlstm.pack([lstm, fastlstm.init_params(32, 32)])
    assert_type(len(fastlstm.make_tape(stack, 4, 10)), int)
    stream = fastlstm.Stream(lstm, batch_size=4)
    assert_type(stream(x[:, 0]), Array)
    assert_type(stream.run(x), Array)
    stream.reset([True, False, False, True])
    stream.state = state
    assert_type(stream.state, fastlstm.State)
    assert_type(fastlstm.Stream([lstm, lstm]).state, tuple[fastlstm.State, ...])


def files(folder: Path) -> None:
    lstm = fastlstm.init_params(16, 32)
    fastlstm.save(folder / "weights.npz", lstm)
    saved = fastlstm.load(folder / "weights.npz")
    assert_type(saved, AnyLayer | tuple[AnyLayer, ...])
    fastlstm.forward(x, saved)
    if isinstance(saved, fastlstm.Params):
        assert_type(fastlstm.forward(x, saved)[1].c, Array)
    assert_type(fastlstm.to_torch(lstm), dict[str, Array])
    assert_type(fastlstm.from_torch({}), tuple[AnyLayer, ...])
    fastlstm.forward(x, fastlstm.from_torch(folder / "m.safetensors", "encoder."))
    assert_type(fastlstm.from_keras("m.keras", "memory"), AnyLayer)
    fastlstm.forward(x, fastlstm.from_keras("m.keras")["memory"])
    assert_type(fastlstm.to_c(lstm, "m.h"), formats.Proof | None)
    assert_type(fastlstm.to_numpy(lstm, folder / "m.py").error, float)
    assert_type(fastlstm.to_onnx(lstm, folder / "m.onnx", stateful=True), formats.Proof)
    fastlstm.from_onnx(folder / "m.onnx", "lstm")
    assert_type(formats.onnx_nodes("m.onnx"), tuple[formats.OnnxNode, ...])
    assert_type(formats.onnx_nodes("m.onnx")[0].params, AnyLayer)
    assert_type(formats.prove(folder / "m.py"), formats.Proof)
    model = fastlstm.from_rtneural("m.json")
    assert_type(model, nn.Sequential)
    assert_type(fastlstm.from_nam("m.nam"), nn.Sequential)
    assert_type(fastlstm.to_rtneural(model, "m.json"), formats.Proof)


def models(folder: Path) -> None:
    nn.set_random_seed(0)
    model = nn.Sequential(
        [
            nn.Input((10, 16)),
            nn.Masking(),
            nn.Bidirectional(nn.LSTM(32, return_sequences=True)),
            nn.TimeDistributed(nn.Dense(8)),
            nn.GRU(32, recurrent_activation=nn.activations.sigmoid, kernel_regularizer=nn.regularizers.L2(1e-4)),
            nn.Dropout(0.2),
            nn.Dense(1, kernel_initializer=nn.initializers.GlorotUniform(seed=0)),
        ]
    )
    loss, metrics = nn.losses.MeanSquaredError(), [nn.metrics.RootMeanSquaredError()]
    model.compile(optimizer=nn.optimizers.Adam(1e-3), loss=loss, metrics=metrics)
    history = model.fit(x, x[:, -1, 0], epochs=2, callbacks=[nn.callbacks.EarlyStopping("loss")])
    assert_type(history, nn.callbacks.History)
    assert_type(model.predict(x), Array)
    assert_type(model.flat_params, Array)
    model.evaluate(x, x[:, -1, 0])
    model.save(folder / "m.keras")
    nn.saving.save_model(model, folder / "model")
    assert_type(nn.load_keras(folder / "m.keras"), nn.Sequential)
    assert_type(nn.models.load_model(folder / "model"), nn.Sequential)
    assert_type(nn.models.clone_model(model), nn.Sequential)
    assert_type(nn.models.model_from_json(model.to_json()), nn.Sequential)
    layer: nn.Layer = nn.layers.LSTM(32, cell=coupled)
    y = layer(x, training=True)
    assert_type(layer.backward(y), Array)


def more_layers() -> None:
    model = nn.Sequential([nn.Embedding(100, 8), nn.Flatten(), nn.RepeatVector(3), nn.Activation("tanh"), nn.GRU(4)])
    assert_type(dask.predict(model, x), Any)
    assert_type(model.add(nn.SpatialDropout1D(0.1)), None)
    poolings: list[nn.Layer] = [nn.GlobalAveragePooling1D(), nn.GlobalMaxPooling1D()]
    model.add(poolings[0])
    limit: object = nn.constraints.MaxNorm(2.0)
    begin: nn.Initializer = nn.initializers.Zeros()
    penalty: nn.Regularizer = nn.regularizers.L1(0.1)
    nn.Dense(1, kernel_initializer=begin, kernel_regularizer=penalty, kernel_constraint=limit)
    loss: nn.Loss = nn.losses.Huber()
    metric: nn.Metric = nn.metrics.AUC()
    optimizer: nn.Optimizer = nn.optimizers.SGD(0.1)
    model.compile(optimizer, loss, [metric])
    nn.preprocessing.__name__.upper()


def estimators() -> None:
    sklearn.LSTMClassifier().fit(x, np.zeros(4, int)).predict(x)
    sklearn.LSTMRegressor().fit(x, np.zeros(4)).predict(x)
    sklearn.LSTMForecaster(1, 5).fit(x[0, :, 0])


def norms(found: nn.GradientNorms) -> None:
    assert_type(found.layers, dict[str, float])


def data() -> None:
    assert_type(datasets.load_japanese_vowels().train, datasets.Utterances)
    assert_type(datasets.load_seattle_weather(), datasets.SeattleWeather)
    assert_type(datasets.load_sunspots(), datasets.Sunspots)
    assert_type(nn.load_model("model"), nn.Sequential)
    assert_type(nn.utils.set_random_seed(1), None)
    assert_type(fastlstm.__version__, str)
    vowels: datasets.JapaneseVowels = datasets.load_japanese_vowels()
    fastlstm.forward(vowels.test.x, fastlstm.init_params(12, 8), lengths=vowels.test.lengths)
