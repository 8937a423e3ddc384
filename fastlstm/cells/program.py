"""Rows of a trace as a program that runs over any Number."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .number import Number, exp, fma, log, log1p, maximum, minimum, sigmoids, sqrt, tanh, where
from .trace import Row, Trace

# of an operation, against a multiplication; of all others: 1
COST = {"sigmoid": 16, "tanh": 20, "exp": 13, "log": 20, "log1p": 24, "sqrt": 6, "div": 6}

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "neg": operator.neg,
    "abs": abs, "fma": fma, "fms": lambda a, b, c: fma(a, b, -c), "fnma": lambda a, b, c: fma(-a, b, c),
    "less": operator.lt, "less_equal": operator.le, "where": where, "minimum": minimum, "maximum": maximum,
    "sqrt": sqrt, "exp": exp, "log": log, "log1p": log1p, "tanh": tanh,
}  # fmt: skip


class Line(NamedTuple):
    """An operation, the places of what it makes and of its operands. Of sigmoids there are as many as can be made at
    once."""

    op: str
    made: tuple[int, ...]
    operands: tuple[int, ...]


class Program(NamedTuple):
    """What makes the outputs from the inputs, all by their places in a trace."""

    inputs: tuple[int, ...]
    constants: dict[int, float]
    lines: tuple[Line, ...]
    outputs: tuple[int, ...]

    def run(self, *inputs: Number) -> list[Any]:
        """The outputs, Numbers each."""
        known: dict[int, Any] = {**self.constants, **dict(zip(self.inputs, inputs, strict=True))}
        for op, made, operands in self.lines:
            values = [known[place] for place in operands]
            found = sigmoids(*values) if op == "sigmoid" else [_OPERATIONS[op](*values)]
            known.update(zip(made, found, strict=True))
        return [
            _everywhere(inputs[0], known[place]) if place in self.constants else known[place] for place in self.outputs
        ]

    @property
    def size(self) -> int:
        """Operations, a fused multiply-add for one."""
        return sum(len(line.made) for line in self.lines)


def _everywhere(like: Number, value: float) -> Number:
    """A Number of the same kind, which is that everywhere."""
    return where(like < like, like, value)


def program(trace: Trace, outputs: Iterable[int], inputs: Sequence[int]) -> Program:
    """That makes the outputs from the inputs. Each operation stands where it is first needed; a sigmoid together with
    those that need no later sigmoid, tanh or the like than it does itself."""
    outputs = tuple(outputs)
    rows = {place: trace.rows[place] for place in live(trace.rows, outputs, inputs)}
    constants = {place: row[1] for place, row in rows.items() if row[0] == "constant"}
    given = {*inputs, *constants}
    lines: list[Line] = []
    heights = dict.fromkeys(given, 0)  # costly operations on the longest way to what is made
    groups: dict[int, list[int]] = {}
    for place in sorted(rows.keys() - given):
        op, *operands = rows[place]
        heights[place] = (op in COST) + max(heights[operand] for operand in operands)
        if op == "sigmoid":
            groups.setdefault(heights[place], []).append(place)
    waiting = [*reversed(outputs)]
    while waiting:
        place = waiting[-1]
        if place in given:
            waiting.pop()
            continue
        op = rows[place][0]
        made = groups[heights[place]] if op == "sigmoid" else [place]
        operands = [operand for one in made for operand in rows[one][1:]]
        missing = [operand for operand in operands if operand not in given]
        if missing:
            waiting += reversed(missing)
        else:
            lines.append(Line(op, tuple(made), tuple(operands)))
            given.update(made)
    return Program(tuple(inputs), constants, tuple(lines), outputs)


def live(rows: Sequence[Row], outputs: Iterable[int], given: Iterable[int] = ()) -> set[int]:
    """The places of what the outputs are made of, down to what is given."""
    found: set[int] = set()
    ends = set(given)
    waiting = list(outputs)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            if place not in ends and rows[place][0] not in ("input", "constant"):
                waiting += rows[place][1:]
    return found


def contract(trace: Trace, outputs: Iterable[int], first: int, *, constants: bool) -> None:
    """Products that are used once, in a sum, become fused multiply-adds with it, in place, from the row `first` on.
    constants: also where what is added is a plain number."""
    rows, outputs = trace.rows, tuple(outputs)
    needed = sorted(live(rows, outputs))
    uses = dict.fromkeys(outputs, 2)
    for place in needed:
        for operand in rows[place][1:] if rows[place][0] not in ("input", "constant") else ():
            uses[operand] = uses.get(operand, 0) + 1
    names = {"add": ("fma", "fma"), "sub": ("fms", "fnma")}
    for place in needed:
        op, *operands = rows[place]
        for side in (0, 1) if op in names and place >= first else ():
            product, term = operands[side], operands[1 - side]
            kind, *factors = rows[product]
            fused = kind == "mul" and uses[product] == 1 and product >= first
            if fused and (constants or rows[term][0] != "constant"):
                rows[place] = (names[op][side], *factors, term)
                break
