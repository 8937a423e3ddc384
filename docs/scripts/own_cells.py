"""The cells of docs/cells.md, "Your own cell", beside the standard one: trains them and writes the page's table.

python docs/scripts/own_cells.py     # a minute or two; the cells are those that stand in the page
"""

import re
from pathlib import Path

import numpy as np

import fastlstm
from fastlstm import nn
from fastlstm.datasets import load_japanese_vowels, load_sunspots

PAGE = Path(__file__).parents[1] / "cells.md"
SEEDS = range(10)
Adam, CosineDecay = nn.optimizers.Adam, nn.optimizers.schedules.CosineDecay


def cells(text):
    """The standard cell, and those that blocks of the page define, by their names."""
    names = {"fastlstm": fastlstm, "np": np}
    for block in re.findall(r"```python\n(.*?)```", text.split("## Your own cell")[1], re.DOTALL):
        if "@cell" in block:
            exec(compile(block, PAGE, "exec"), names)
    return {"standard": "standard"} | {name: names[name] for name in ("coupled", "minimal", "leaky")}


def vowels(cell, seed, epochs=40, batch=30):
    """Percent of the test set that are wrong, after the recipe of `python -m fastlstm demo`; weights of the layer."""
    train, test = load_japanese_vowels()
    rng = np.random.default_rng(seed)
    frames = train.x[np.arange(train.x.shape[1]) < train.lengths[:, None]]
    x, x_test = ((part.x - frames.mean(axis=0)) / frames.std(axis=0) for part in (train, test))
    lstm = nn.LSTM(64, cell=cell, input_shape=(None, x.shape[2]))
    model = nn.Sequential([lstm, nn.Dense(9, "softmax")], seed=seed)
    rate = CosineDecay(3e-3, epochs * -(-len(x) // batch))
    model.compile(Adam(rate, global_clipnorm=1.0), "sparse_categorical_crossentropy")
    for _ in range(epochs):
        noisy = x + np.float32(0.5) * rng.standard_normal(x.shape, np.float32)
        model.fit(noisy, train.labels, batch_size=batch, lengths=train.lengths, verbose=0)
    predicted = model.predict(x_test, lengths=test.lengths, verbose=0).argmax(axis=1)
    return 100 * (predicted != test.labels).mean(), lstm.count_params()


def sunspots(cell, seed, epochs=300, until=221):
    """Root mean square error of the next year's number, 1921 to 2008, learnt from the years before; weights."""
    series = load_sunspots().number[None, :, None] / np.float32(100)
    x, wanted = series[:, :-1], series[:, 1:]
    rng = np.random.default_rng(seed)
    lstm = nn.LSTM(32, cell=cell, return_sequences=True, input_shape=(None, 1))
    model = nn.Sequential([lstm, nn.Dense(1)], seed=seed)
    model.compile(Adam(CosineDecay(5e-3, epochs), global_clipnorm=1.0), "mse")
    for _ in range(epochs):
        noisy = x[:, :until] + np.float32(0.1) * rng.standard_normal((1, until, 1), np.float32)
        model.train_on_batch(noisy, wanted[:, :until])
    wrong = (model.predict(x, verbose=0) - wanted)[:, until:]
    return 100 * np.sqrt(np.mean(wrong**2)), lstm.count_params()


def table(found):
    """Of each cell and task: weights, and the mean of the runs, between the lowest and the highest."""
    lines = [
        "| cell | vowels: weights | wrong, % | sunspots: weights | error |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, runs in found.items():
        parts = [name]
        for task in runs:
            values = [value for value, _ in task]
            parts += [str(task[0][1]), f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"]
        lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(
        [*lines, "", f"Mean and range of {len(SEEDS)} seeds: `python docs/scripts/own_cells.py` wrote this."]
    )


text = PAGE.read_text()
found = {}
for name, cell in cells(text).items():
    found[name] = [[task(cell, seed) for seed in SEEDS] for task in (vowels, sunspots)]
    print(name, *(f"{np.mean([value for value, _ in runs]):.2f}" for runs in found[name]), flush=True)
head, rest = text.split("<!-- own cells -->\n")
PAGE.write_text(f"{head}<!-- own cells -->\n{table(found)}\n<!-- /own cells -->" + rest.split("<!-- /own cells -->")[1])
