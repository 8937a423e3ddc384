"""Models of audio plug-ins and what they make of a sound: audio_golden.json. Needs torch and keras.

The files are of the kinds that RTNeural's scripts, AIDA-X and GuitarML write; weights are random, so that they are
nobody's. PyTorch and Keras compute the outputs, in float32.

    KERAS_BACKEND=jax python tests/data/make_audio_golden.py
"""

import json
from pathlib import Path

import keras
import numpy as np
import torch

T = 40
rng = np.random.default_rng(7)
x = (np.sin(np.arange(T) * 0.3) * np.linspace(0.1, 1, T)).astype(np.float32)


def lists(arrays):
    return [np.asarray(array, np.float32).tolist() for array in arrays]


def of_torch(kind, layers, skip):
    """The JSON of a state dict, as GuitarML has it, and the outputs."""
    torch.manual_seed(len(kind) + layers)
    rec, lin = getattr(torch.nn, kind)(1, 5, layers, batch_first=True), torch.nn.Linear(5, 1)
    with torch.no_grad():
        given = torch.from_numpy(x)[None, :, None]
        y = (lin(rec(given)[0]) + skip * given)[0, :, 0]
    state = {f"rec.{key}": value.tolist() for key, value in rec.state_dict().items()}
    state |= {f"lin.{key}": value.tolist() for key, value in lin.state_dict().items()}
    return state, y.tolist()


def of_keras(recurrent, head):
    """The JSON of RTNeural's Keras script, and the outputs."""
    below = keras.layers.TimeDistributed(keras.layers.Dense(3, activation="tanh"))
    tops = [keras.layers.Dense(4, activation=head), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((None, 1)), below, recurrent(5, return_sequences=True), *tops])
    model.set_weights([rng.uniform(-1, 1, w.shape) for w in model.get_weights()])
    kinds = ["time-distributed-dense", recurrent.__name__.lower(), "dense", "dense"]
    layers = [
        {"type": kind, "activation": activation, "shape": [None, None, size], "weights": lists(layer.get_weights())}
        for kind, activation, size, layer in zip(
            kinds, ["tanh", "tanh", head, ""], [3, 5, 4, 1], model.layers, strict=True
        )
    ]
    y = np.asarray(model(x[None, :, None]))[0, :, 0]
    return {"in_shape": [None, None, 1], "layers": layers}, y.tolist()


def of_aida(skip):
    """A file of AIDA-X, with its samples; Keras and PyTorch have the gates of an LSTM in one order."""
    state, y = of_torch("LSTM", 1, skip)
    a = {key: np.array(value, np.float32) for key, value in state.items()}
    arrays = [a["rec.weight_ih_l0"].T, a["rec.weight_hh_l0"].T, a["rec.bias_ih_l0"] + a["rec.bias_hh_l0"]]
    layers = [
        {"type": "lstm", "activation": "", "shape": [None, None, 5], "weights": lists(arrays)},
        {"type": "dense", "activation": "", "shape": [None, None, 1],
         "weights": lists([a["lin.weight"].T, a["lin.bias"]])},
    ]  # fmt: skip
    record = {"in_shape": [None, None, 1], "in_skip": skip, "layers": layers}
    metadata = {"name": "golden", "samplerate": "48000", "esr": 0.1}
    return record | {"input_batch": x.tolist(), "output_batch": y, "metadata": metadata}, y


made = {
    "state dict of an LSTM": of_torch("LSTM", 2, 0),
    "state dict of a GRU": of_torch("GRU", 3, 0),
    "keras lstm": of_keras(keras.layers.LSTM, "elu"),
    "keras gru": of_keras(keras.layers.GRU, "sigmoid"),
    "aida-x": of_aida(0),
    "aida-x with a skip": of_aida(1),
}
for kind, layers, skip in (("LSTM", 1, 1), ("GRU", 2, 1), ("GRU", 1, 0)):
    state, y = of_torch(kind, layers, skip)
    about = {"model": "SimpleRNN", "input_size": 1, "skip": skip, "unit_type": kind, "num_layers": layers}
    made[f"guitarml {kind}, skip {skip}"] = {"model_data": about, "state_dict": state}, y
cases = {name: {"file": file, "y": y} for name, (file, y) in made.items()}
Path(__file__).with_name("audio_golden.json").write_text(json.dumps({"x": x.tolist(), "cases": cases}))
