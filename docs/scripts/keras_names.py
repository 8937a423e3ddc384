"""Writes the table of names in docs/keras.md from tests/data/keras_surface.json and from fastlstm.nn.

python docs/scripts/keras_names.py
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SURFACE = ROOT / "tests" / "data" / "keras_surface.json"
PAGE = ROOT / "docs" / "keras.md"
BEGIN, END = "<!-- names: docs/scripts/keras_names.py -->\n", "<!-- end of names -->\n"
OURS = [  # modules that are there
    "", "layers", "models", "optimizers", "optimizers.schedules", "losses", "metrics", "callbacks", "regularizers",
    "constraints", "initializers", "activations", "saving", "utils", "preprocessing", "preprocessing.sequence",
]  # fmt: skip
INSTEAD = {  # of modules that are not there, by the beginnings of their names
    "applications": "pictures", "backend": "a backend; there is none here", "config": "settings of a backend",
    "datasets": "`fastlstm.datasets` has others", "distillation": "", "distribution": "many devices",
    "dtype_policies": "`dtype=\"float32\"` or `\"float64\"` of each layer", "export": "`fastlstm.formats`",
    "legacy": "",
    "mixed_precision": "half precision", "ops": "NumPy", "preprocessing.image": "pictures",
    "quantizers": "whole numbers as weights", "random": "`numpy.random`", "tree": "", "visualization": "pictures",
    "wrappers": "`fastlstm.sklearn`",
}  # fmt: skip
COMMON = {"name", "dtype", "trainable", "self"}  # of every layer, or of nothing


def parameters(thing: Any) -> set[str]:
    """What a constructor takes, with what goes on to the class it derives from; or a function."""
    found: set[str] = set()
    for one in inspect.getmro(thing)[:-1] if inspect.isclass(thing) else (thing,):
        try:
            found |= set(inspect.signature(one).parameters)
        except (TypeError, ValueError):
            continue
    return found


def compared(module: str, theirs: dict[str, list[str]]) -> tuple[list[str], list[str], list[str]]:
    """Names that are the same, that lack parameters, and that are not there."""
    ours = importlib.import_module(f"fastlstm.nn.{module}".rstrip("."))
    same, different, missing = [], [], []
    for name, wanted in theirs.items():
        if name not in ours.__all__:
            missing.append(f"`{name}`")
            continue
        thing = getattr(ours, name)
        if inspect.isfunction(thing):  # what comes first has another name at times
            wanted = wanted[2 if name.startswith("save_") else 1 :]
        lacking = [one for one in wanted if one not in parameters(thing) | COMMON]
        if lacking:
            different.append(f"`{name}` without {', '.join(f'`{one}`' for one in lacking)}")
        else:
            same.append(f"`{name}`")
    return same, different, missing


def table() -> str:
    """In Markdown, with all modules of Keras."""
    surface = json.loads(SURFACE.read_text())
    return "".join(f"{line}\n" for line in lines(surface))


def lines(surface: dict[str, Any]) -> Iterator[str]:
    yield f'Of Keras {surface["version"]}. "different" has what a constructor or a function does not take here.'
    yield ""
    yield "| `keras.` | there | different | not there |"
    yield "| --- | --- | --- | --- |"
    for module in OURS:
        if surface["modules"][module]:
            same, different, missing = compared(module, surface["modules"][module])
            shown = (", ".join(same), "; ".join(different), ", ".join(missing))
            yield f"| {f'`{module}`' if module else 'itself'} | {' | '.join(part or '–' for part in shown)} |"
    for module in surface["modules"]:
        if module not in OURS and ("." not in module or module in INSTEAD):
            yield f"| `{module}` | – | – | all; {INSTEAD[module]} |".replace("all;  |", "all |")


def main() -> None:
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
