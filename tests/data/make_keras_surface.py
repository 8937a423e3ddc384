"""Writes keras_surface.json: the names of Keras's modules with their parameters, summaries and a configuration.

KERAS_BACKEND=jax python tests/data/make_keras_surface.py
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).parent
FILE = HERE / "keras_surface.json"
OURS = [  # modules that fastlstm.nn has; parameters are kept of theirs
    "", "layers", "models", "optimizers", "optimizers.schedules", "losses", "metrics", "callbacks", "regularizers",
    "constraints", "initializers", "activations", "saving", "utils", "preprocessing", "preprocessing.sequence",
]  # fmt: skip
SUMMARIES: list[dict[str, Any]] = [
    {"line_length": 88}, {"line_length": 70, "show_trainable": True},
    {"line_length": 60, "positions": [0.5, 0.75, 1.0]},
    {"line_length": 34}, {"line_length": 120},
]  # fmt: skip


def modules(keras: Any) -> dict[str, types.ModuleType]:
    """All public ones, by what stands behind "keras."."""
    found: dict[str, types.ModuleType] = {"": keras}
    waiting = [""]
    while waiting:
        name = waiting.pop()
        for part, value in vars(found[name]).items():
            full = f"{name}.{part}".lstrip(".")
            public = isinstance(value, types.ModuleType) and value.__name__.startswith("keras")
            if public and not part.startswith("_") and part != "src" and full not in found:
                found[full] = value
                waiting.append(full)
    return found


def parameters(thing: Any) -> list[str]:
    """Of a constructor or function, without those that take any."""
    try:
        given = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in given if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]


def names(module: types.ModuleType, *, with_parameters: bool) -> Any:
    there = {name: value for name, value in sorted(vars(module).items())
             if not name.startswith("_") and not isinstance(value, types.ModuleType)}  # fmt: skip
    return {name: parameters(value) for name, value in there.items()} if with_parameters else list(there)


def model_of(library: Any, *, compiled: bool) -> Any:
    """The same model by Keras or by fastlstm.nn."""
    layers = library.layers
    long = "a_name_that_is_too_long_for_its_column_and_goes_on"
    found = library.Sequential(
        [
            library.Input((None,)),
            layers.Embedding(2000, 8, mask_zero=True, name="words"),
            layers.Bidirectional(
                layers.LSTM(16, name="lstm", return_sequences=True, kernel_regularizer="l2"),
                merge_mode="sum",
                name="bidirectional",
            ),
            layers.GRU(300, recurrent_constraint="unit_norm", name=long, trainable=False),
            layers.Dropout(0.2, name="dropout"),
            layers.Dense(3, activation="softmax", name="dense"),
        ],
        name="model",
    )
    if compiled:
        found.compile("adam", "mse")
    return found


def summaries(library: Any, build: Any) -> list[str]:
    """Of the model, and of the same with an optimizer that is built."""
    found: list[str] = []
    for compiled in (False, True):
        model = model_of(library, compiled=compiled)
        if compiled:
            build(model)
        with mock.patch.dict(os.environ, COLUMNS="200"):  # Keras cuts lines at the terminal's end
            for options in SUMMARIES:
                model.summary(print_fn=found.append, **options)
    return found


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = importlib.import_module("keras")
    found = {
        "version": keras.__version__,
        "modules": {
            name: names(module, with_parameters=name in OURS) for name, module in sorted(modules(keras).items())
        },
        "summaries": summaries(keras, lambda model: model.optimizer.build(model.trainable_variables)),
        "config": model_of(keras, compiled=False).get_config(),
        "weights": [list(one.shape) for one in model_of(keras, compiled=False).get_weights()],
    }
    lines = json.dumps(found, ensure_ascii=False).replace('"}, "', '"},\n"').replace("}, ", "},\n")
    FILE.write_text(lines + "\n")
    print(f"keras {keras.__version__}: {len(found['modules'])} modules", file=sys.stderr)


if __name__ == "__main__":
    main()
