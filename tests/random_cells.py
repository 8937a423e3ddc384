"""Random cells of one's own: `own7` is always the same, in every process, and its text can be shown.

A cell is straight code, of which each line takes the results of earlier ones, up to eight lines deep; hardly a line is
for nothing. No line grows much faster than what it takes, and what is handed on to the next step is held back, so that
long sequences make sense."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import fastlstm.cells
from fastlstm.params import CELLS

DEPTH = 8  # of lines, each of which may be a few operations deep
SMOOTH = (
    "{0} + {1}", "{0} - 0.5 * {1}", "1.0 - {0}", "-{0}", "{0} / 3", "0.25 * {0} + 1.5", "{0} * tanh({1})",
    "{0} * sigmoid({1})", "sigmoid({0}) * {1} + tanh({2}) * {0}", "tanh({0}) * tanh({1})",
    "fma({0}, sigmoid({1}), {2})", "sigmoid({0}) * {1} - {2}", "{2} - sigmoid({0}) * {1}", "{0} / (1.0 + {1} * {1})",
    "2.0 / (1.5 + tanh({1}))", "exp(-softplus({0})) * {1}", "exp(tanh({0}))", "log(1.0 + {0} * {0})",
    "sqrt(0.5 + {0} * {0})", "softplus({0})", "tanh({0})", "sigmoid({0})",
)  # fmt: skip
KINKED = (  # continuous, as a rounding must not make another number of one
    "abs({0})", "maximum({0}, {1})", "minimum({0}, 0.3)", "minimum({0}, maximum({1}, {2}))",
    "where({0} < {1}, {0}, {1})", "where({0} >= 0.25, {0}, 0.5 * {0} + 0.125)", "relu({0})", "hard_sigmoid({0})",
    "exp(-abs({0})) * {1}", "softsign({0})", "where({0} <= 0.0, 0.1 * {0}, log(1.0 + {0}))",
)  # fmt: skip
FOLDS = "{0} + {1}", "{0} * tanh({1})", "fma({0}, sigmoid({1}), {2})", "sigmoid({0}) * {1} - {2}"
ALONE = ("tanh({0})", "{0} / sqrt(1.0 + {0} * {0})", "sigmoid({0}) - 0.5 * tanh({1})", "sigmoid({0}) * tanh({1})")
BESIDE = ("sigmoid({0}) * {3} + (1 - sigmoid({0})) * tanh({1})", "0.7 * {3} + tanh({0})",
          "sigmoid({0}) * {3} + tanh({1})")  # fmt: skip


class Text(NamedTuple):
    """A cell's decorator and function. smooth: whether it has derivatives of all orders."""

    code: str
    smooth: bool


def number_of(name: str) -> int | None:
    """7 of own7; None of another name."""
    found = re.fullmatch(r"own(\d+)", name)
    return int(found[1]) if found else None


def record_of(name: str) -> Any:
    """The record of a cell's weights, those of the table and random ones alike; KeyError if there is none."""
    return CELLS[name] if number_of(name) is None else named(name).record


@cache
def named(name: str) -> Any:
    """An OwnCell by its name."""
    known = {one: getattr(fastlstm.cells, one) for one in fastlstm.cells.__all__} | {"__name__": __name__}
    exec(compile(text_of(name).code, f"<{name}>", "exec"), known)
    return known[name]


def __getattr__(name: str) -> Any:  # where pickles look for a cell
    if number_of(name) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return named(name)


@cache
def text_of(name: str) -> Text:
    rng = np.random.default_rng([11, number_of(name) or 0])
    gates, rows = [*"abcdek"[: rng.integers(1, 7)]], [*"pqrs"[: max(0, rng.integers(-3, 5))]]
    of_x = _some(rng, gates) or gates[:1]
    of_h = [gate for gate in gates if gate not in of_x or rng.random() < 0.7]
    of_b = _some(rng, gates)
    states = [["c"], ["c", "h"], ["h"]][rng.integers(3)]
    reads = [one for one in states if rng.random() < 0.9]
    smooth = bool(rng.random() < 0.5)
    templates = SMOOTH if smooth else SMOOTH + 2 * KINKED
    leaves = [f"z.{gate}" for gate in gates] + reads + [f"w.{row}" for row in rows]
    lines: list[str] = []
    depth = dict.fromkeys(leaves, 0)
    waiting = list(rng.permutation(leaves))  # for a line that takes them

    def put(target: str, template: str, old: str = "", limit: int = DEPTH) -> None:
        places = sorted({int(n) for n in re.findall(r"{([012])}", template)})
        usable = [one for one in depth if depth[one] < limit]
        taken = [""] * 3
        for place in places:
            first = next((one for one in waiting if one in usable), None)
            taken[place] = str(rng.choice(usable)) if first is None or rng.random() < 0.3 else str(first)
            if taken[place] in waiting:
                waiting.remove(taken[place])
        lines.append(f"{target} = {template.format(*taken, old)}")
        depth[target] = 1 + max(depth[taken[place]] for place in places)
        waiting.append(target)

    def end(target: str, old: str) -> None:
        kept = old in reads and rng.random() < 0.7
        put(target, str(rng.choice(BESIDE if kept else ALONE)), old, DEPTH + 1)

    for n in range(rng.integers(2, 13)):
        put(f"v{n}", str(rng.choice(templates)), limit=DEPTH // 2)
    while len(waiting) > 3 and min(depth[one] for one in waiting) < DEPTH:
        put(f"v{len(lines)}", str(rng.choice(FOLDS)))
    if states[0] == "c":
        end("c_new", "c")
        for n in range(rng.integers(0, 3)):
            put(f"u{n}", str(rng.choice(templates)))
    kind = rng.random()
    if states[0] == "c" and kind < 0.1:
        lines.append("h_new = c_new")
    elif states[0] == "c" and kind < 0.6:
        put("h_new", "sigmoid({0}) * tanh(c_new)", limit=DEPTH + 1)
    elif kind > 0.95:
        lines.append(f"h_new = 0.5 * z.{gates[-1]}")
    else:
        end("h_new", "h")
    named = (("unit_weights", rows), ("gates_of_x", of_x), ("gates_of_h", of_h), ("gates_of_b", of_b))
    options = "".join(f', {argument}="{" ".join(names)}"' for argument, names in named)
    head = [f'@cell("{" ".join(gates)}"{options})', f"def {name}({', '.join(['z', *reads, *['w'] * bool(rows)])}):"]
    lines.append("return c_new, h_new" if states[0] == "c" else "return h_new")
    return Text("\n    ".join(["\n".join(head), *lines]) + "\n", smooth)


def _some(rng: np.random.Generator, names: Sequence[str]) -> list[str]:
    """Each of them with a chance of three quarters."""
    return [name for name in names if rng.random() < 0.75]
