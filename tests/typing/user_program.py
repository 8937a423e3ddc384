"""A user's program with every public function: checkers of types read it, nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    assert_type(fastlstm.from_onnx(folder / "m.onnx", "lstm"), AnyLayer)
    fastlstm.forward(x, fastlstm.from_onnx(folder / "m.onnx"))
    assert_type(formats.onnx_nodes("m.onnx"), tuple[formats.OnnxNode, ...])
    assert_type(formats.onnx_nodes("m.onnx")[0].params, AnyLayer)
    assert_type(formats.prove(folder / "m.py"), formats.Proof)
    model = fastlstm.from_rtneural("m.json")
    assert_type(model, nn.Sequential)
    assert_type(fastlstm.from_nam("m.nam"), nn.Sequential)
    assert_type(fastlstm.to_rtneural(model, "m.json"), formats.Proof)
    fastlstm.to_onnx(model, "m.onnx")


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
    assert_type(model.optimizer, nn.Optimizer)
    assert_type(model.optimizer.learning_rate, float)
    assert_type(model.loss, nn.Loss | None)
    assert_type(history.history, dict[str, list[float]])
    assert_type(model.evaluate(x, x[:, -1, 0], return_dict=True), dict[str, float])
    for value in model.evaluate(x, x[:, -1, 0], verbose=0):  # a list, or one number where there are no metrics
        print(value)
    assert_type(model.train_on_batch(x, x[:, -1, 0], return_dict=True), dict[str, float])
    assert_type(model.test_on_batch(x, x[:, -1, 0], return_dict=True), dict[str, float])
    assert_type(model.predict_on_batch(x[:1]), Array)
    assert_type(model(x, training=True), Array)
    assert_type(model.get_layer("dense"), nn.Layer)
    assert_type(model.layers, list[nn.Layer])
    assert_type(model.layers[-1].params["kernel"], Array)
    assert_type(model.gradient_norms(), nn.GradientNorms)
    model.save(folder / "m.keras")
    nn.saving.save_model(model, folder / "model")
    assert_type(nn.load_keras(folder / "m.keras"), nn.Sequential)
    assert_type(nn.models.load_model(folder / "model"), nn.Sequential)
    assert_type(nn.models.clone_model(model), nn.Sequential)
    assert_type(nn.models.model_from_json(model.to_json()), nn.Sequential)
    layer: nn.Layer = nn.layers.LSTM(32, cell=coupled)
    y = layer(x, training=True)
    assert_type(layer.backward(y), Array)
    assert_type(nn.Dense(3)(x, training=True), Array)
    y, *state = nn.LSTM(32, return_state=True)(x, initial_state=[x[:, 0], x[:, 0]])  # or y alone
    print(y, state)


def data_to_learn_from(batches: list[tuple[Array, Array]]) -> None:
    model = nn.Sequential([nn.LSTM(8, input_shape=(None, 16), dtype=np.float64, trainable=True), nn.Dense(1)])
    model.compile("sgd", "mse", ["mae", nn.metrics.mean_absolute_error, lambda y_true, y_pred: abs(y_true - y_pred)])

    def endless() -> Iterator[tuple[Array, Array, Array]]:
        while True:
            yield x, x[:, -1, 0], np.ones(4)

    model.fit(batches, validation_data=batches[:1])
    model.fit(endless(), steps_per_epoch=10, validation_data=(x, x[:, -1, 0]), verbose=2)
    model.fit([{"x": x, "y": x[:, -1, 0], "lengths": [10, 7, 3, 1]}], class_weight={0: 1.0, 1: 2.0})
    model.fit([[[0.0] * 16]], [1.0], sample_weight=[1.0], lengths=[1], verbose=False, callbacks=nn.callbacks.History())
    assert_type(model.predict(part for part, _ in batches), Array)
    assert_type(nn.losses.mean_squared_error([[0.0]], [[1.0]]), Array)
    assert_type(nn.losses.Huber()([[0.0]], [[1.0]]), float)
    assert_type(nn.losses.Huber().value_and_gradient([[0.0]], [[1.0]]), tuple[float, Array])
    assert_type(nn.losses.get("mse"), nn.Loss)
    assert_type(nn.metrics.get("mae").result(), float)
    assert_type(nn.optimizers.get({"class_name": "SGD", "config": {}}), nn.Optimizer)
    assert_type(nn.activations.softmax([0.0, 1.0]), Array)
    assert_type(nn.preprocessing.sequence.pad_sequences([[1, 2], [3]], padding="post"), NDArray[Any])
    assert_type(nn.utils.to_categorical([0, 2]), Array)
    params = fastlstm.init_params(16, 8)
    nn.optimizers.Adam().step(params, params)
    nn.optimizers.Adam(nn.optimizers.schedules.CosineDecay(0.1, 100)).step({"all": [params, x]}, {"all": [params, x]})


@nn.saving.register_keras_serializable()
class Scale(nn.Layer):
    def __init__(self, factor: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.factor = factor

    def call(self, x: Array) -> Array:
        return x * self.params["weight"]

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.add_weight((), nn.initializers.Constant(self.factor))

    def backward(self, dy: Array) -> Array:
        return dy * self.params["weight"]


class Pinball(nn.Loss):
    def value_and_gradient(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, Array]:
        error = np.subtract(y_true, y_pred)
        return float(np.abs(error).mean()), np.sign(error)


class Largest(nn.Metric):
    direction = "down"

    def reset_state(self) -> None:
        self.largest = 0.0

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        self.largest = max(self.largest, float(np.abs(np.subtract(y_true, y_pred)).max()))

    def result(self) -> float:
        return self.largest


class Shout(nn.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert_type(self.model, nn.Sequential)
        self.model.stop_training = epoch > 3


class Whole(nn.constraints.Constraint):
    def __call__(self, w: Array) -> Array:
        return np.rint(w)


class Halving(nn.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: int) -> float:
        return 0.1 / (1 + step)


def of_ones_own() -> None:
    model = nn.Sequential([Scale(2.0, name="scale"), nn.Dense(1, kernel_constraint=Whole())])
    model.compile(nn.optimizers.SGD(Halving()), Pinball("pinball"), [Largest("largest")])
    model.fit(x, x[:, -1, 0], callbacks=[Shout(), [nn.callbacks.TerminateOnNaN()]])
    assert_type(nn.load_model("model", {"Scale": Scale}), nn.Sequential)
    assert_type(Scale(), Scale)


def what_checkers_refuse() -> None:  # mypy says so where one of these is taken
    model = nn.Sequential([nn.LSTM("32")])  # type: ignore[arg-type]
    nn.Dense(1, input_shape=3)  # type: ignore[arg-type]
    nn.Dense(1, units_=3)  # type: ignore[call-arg]
    nn.Bidirectional(nn.LSTM(8), merge_mode="add")  # type: ignore[arg-type]
    model.compile(1e-3)  # type: ignore[arg-type]
    model.fit(x, verbose="loud")  # type: ignore[arg-type]
    model.fit(x, callbacks=3)  # type: ignore[arg-type]
    print(model.evaluate(x, return_dict=True).loss)  # type: ignore[attr-defined]
    fastlstm.to_onnx(x, "m.onnx")  # type: ignore[arg-type]
    sklearn.LSTMClassifier(cell="projected")  # type: ignore[arg-type]


def more_layers() -> None:
    model = nn.Sequential([nn.Embedding(100, 8), nn.Flatten(), nn.RepeatVector(3), nn.Activation("tanh"), nn.GRU(4)])
    blocks: Any = x  # a Dask array
    dask.predict(model, blocks)
    assert_type(model.add(nn.SpatialDropout1D(0.1)), None)
    poolings: list[nn.Layer] = [nn.GlobalAveragePooling1D(), nn.GlobalMaxPooling1D()]
    model.add(poolings[0])
    limit: nn.constraints.Constraint = nn.constraints.MaxNorm(2.0)
    begin: nn.Initializer = nn.initializers.Zeros()
    penalty: nn.Regularizer = nn.regularizers.L1(0.1)
    nn.Dense(1, kernel_initializer=begin, kernel_regularizer=penalty, kernel_constraint=limit)
    loss: nn.Loss = nn.losses.Huber()
    metric: nn.Metric = nn.metrics.AUC()
    optimizer: nn.Optimizer = nn.optimizers.SGD(0.1)
    model.compile(optimizer, loss, [metric])
    nn.preprocessing.__name__.upper()


def every_name_of_the_modules(model: nn.Sequential) -> None:
    from fastlstm.nn import activations, callbacks, constraints, initializers, losses, metrics, regularizers, saving
    from fastlstm.nn.optimizers import RMSprop, schedules

    for function in (activations.elu, activations.exponential, activations.relu, activations.tanh):
        assert_type(function(x), Array)
    assert_type(activations.linear(2.0), float)
    assert_type(activations.serialize(activations.deserialize("relu")), str)
    hooks: list[callbacks.Callback] = [
        callbacks.CSVLogger("log.csv"), callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        callbacks.ModelCheckpoint(Path("best"), mode="min", save_freq=100), callbacks.Progress(2),
        callbacks.ReduceLROnPlateau(patience=3),
    ]  # fmt: skip
    assert_type(callbacks.CallbackList(hooks, model, verbose=1).history, callbacks.History)
    bounds: list[constraints.Constraint] = [
        constraints.MinMaxNorm(0.5, axis=[0, 1]), constraints.NonNeg(), constraints.UnitNorm(), constraints.max_norm(2),
        constraints.min_max_norm(), constraints.non_neg(), constraints.unit_norm(axis=1),
    ]  # fmt: skip
    assert_type(constraints.deserialize(constraints.serialize(bounds[0])), constraints.Constraint | None)
    begins: list[initializers.Initializer] = [
        initializers.GlorotNormal(), initializers.HeNormal(), initializers.HeUniform(0), initializers.Identity(),
        initializers.IdentityInitializer(2.0), initializers.LecunNormal(), initializers.LecunUniform(),
        initializers.Ones(), initializers.Orthogonal(), initializers.OrthogonalInitializer(),
        initializers.RandomNormal(stddev=0.1), initializers.RandomUniform(-1, 1), initializers.TruncatedNormal(),
        initializers.VarianceScaling(2.0, mode="fan_out", distribution="uniform"), initializers.constant(1.0),
        initializers.glorot_normal(), initializers.glorot_uniform(), initializers.he_normal(),
        initializers.he_uniform(), initializers.identity(), initializers.lecun_normal(), initializers.lecun_uniform(),
        initializers.orthogonal(), initializers.random_normal(), initializers.random_uniform(),
        initializers.truncated_normal(), initializers.variance_scaling(),
    ]  # fmt: skip
    assert_type(initializers.deserialize(initializers.serialize(begins[0]))((2, 3)), Array)
    to_lose: list[losses.Loss] = [
        losses.BinaryCrossentropy(from_logits=True), losses.CategoricalCrossentropy(), losses.MeanAbsoluteError(),
        losses.SparseCategoricalCrossentropy(ignore_class=0),
    ]  # fmt: skip
    assert_type(losses.deserialize(losses.serialize(to_lose[0])), losses.Loss)
    for loss in (losses.binary_crossentropy, losses.categorical_crossentropy, losses.huber):
        assert_type(loss(x, x), Array)
    assert_type(losses.sparse_categorical_crossentropy([0], x[0, :1]), Array)
    counts: list[metrics.Metric] = [
        metrics.BinaryAccuracy(), metrics.BinaryCrossentropy(), metrics.CategoricalAccuracy(),
        metrics.CategoricalCrossentropy(), metrics.LossMetric(to_lose[0]), metrics.Mean(), metrics.MeanAbsoluteError(),
        metrics.MeanMetricWrapper(metrics.huber), metrics.R2Score(class_aggregation="variance_weighted_average"),
        metrics.SparseCategoricalAccuracy(), metrics.SparseCategoricalCrossentropy(),
        metrics.SparseTopKCategoricalAccuracy(3), metrics.TopKCategoricalAccuracy(3),
    ]  # fmt: skip
    assert_type(metrics.deserialize(metrics.serialize(counts[0])), metrics.Metric)
    for share in (metrics.binary_accuracy, metrics.categorical_accuracy, metrics.top_k_categorical_accuracy):
        assert_type(share(x, x), Array)
    for share_of_classes in (metrics.sparse_categorical_accuracy, metrics.sparse_top_k_categorical_accuracy):
        assert_type(share_of_classes([0], x[0, :1]), Array)
    rates: list[schedules.LearningRateSchedule] = [
        schedules.ExponentialDecay(0.1, 100, 0.5), schedules.InverseTimeDecay(0.1, 100, 0.5),
        schedules.PiecewiseConstantDecay([100], [0.1, 0.01]), schedules.PolynomialDecay(0.1, 100),
    ]  # fmt: skip
    assert_type(schedules.deserialize(schedules.serialize(rates[0]))(1), float)
    steps: list[nn.Optimizer] = [nn.optimizers.AdamW(rates[0]), RMSprop(centered=True)]
    assert_type(nn.optimizers.deserialize(nn.optimizers.serialize(steps[0])), nn.Optimizer)
    penalties: list[regularizers.Regularizer] = [
        regularizers.L1L2(0.1, 0.1), regularizers.l1(0.1), regularizers.l2(0.1), regularizers.l1_l2(),
    ]  # fmt: skip
    assert_type(regularizers.deserialize(regularizers.serialize(penalties[0])), regularizers.Regularizer | None)
    with saving.CustomObjectScope({"Scale": Scale}), nn.utils.custom_object_scope({"Scale": Scale}):
        saving.save_weights(model, "w")
        saving.load_weights(model, Path("w"))
    assert_type(nn.utils.normalize([[3.0, 4.0]]), Array)
    nn.utils.plot_history(model.fit(x, x), "learned.png")
    nn.utils.plot_model(model, None, show_shapes=True)


def estimators() -> None:
    classifier = sklearn.LSTMClassifier(8, cell="gru", random_state=0, class_weight="balanced")
    assert_type(classifier.fit(x, ["a", "b", "a", "b"]), sklearn.LSTMClassifier)
    assert_type(classifier.predict([x[0], x[1, :5]]), Array)
    assert_type(classifier.predict_proba(x), Array)
    assert_type(classifier.input_gradient(x, label="a"), Array)
    assert_type(classifier.input_gradient([x[0], x[1, :5]]), Array | list[Array])
    assert_type(classifier.model_, nn.Sequential)
    assert_type(sklearn.LSTMRegressor([8, 8]).fit(x, np.zeros(4), validation_data=(x, np.zeros(4))).predict(x), Array)
    forecaster = sklearn.LSTMForecaster(1, 5, cell=coupled).fit(x[0, :, 0])
    assert_type(forecaster.predict(), Any)  # a frame where fit was given one
    assert_type(forecaster.backtest(start=-5).errors, dict[str, dict[str, float]])
    assert_type(sklearn.windows(x[0], 3).past, Array)


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
