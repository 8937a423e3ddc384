"""Equations as text: what is written computes what was written down, with as few brackets as that takes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_cases import of_some_blocks, with_unit_weights

from fastlstm.cells.trace import Trace
from fastlstm.formats.equations import Language, Section, Step, lines_of, plain, step_of
from fastlstm.params import CELLS, GRUBeforeParams, Params

CALLS = ["sigmoid", "tanh", "exp", "log", "log1p", "sqrt", "abs", "minimum", "maximum"]
PYTHON = Language({name: name for name in CALLS}, repr, "where({}, {}, {})")
FUNCTIONS: dict[str, Any] = {
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)), "tanh": math.tanh, "abs": abs, "minimum": min, "maximum": max,
    "where": lambda condition, a, b: a if condition else b,
}  # fmt: skip
OPERATIONS: dict[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "neg": lambda a: -a, "fma": lambda a, b, c: a * b + c, "fms": lambda a, b, c: a * b - c,
    "fnma": lambda a, b, c: c - a * b, "less": lambda a, b: a < b, "less_equal": lambda a, b: a <= b, **FUNCTIONS,
}  # fmt: skip


def text_of(step: Step) -> list[str]:
    known: dict[int, str] = {}
    return [
        f"{name} = {text}" for section in step.sections for name, text in lines_of(step, section, known, PYTHON, set())
    ]


def test_the_standard_cell_reads_as_in_the_books() -> None:
    assert text_of(step_of(Params)) == [
        "c_new = sigmoid(z_f) * c + sigmoid(z_i) * tanh(z_g)",
        "h_new = sigmoid(z_o) * tanh(c_new)",
    ]


def test_what_is_used_twice_gets_a_name() -> None:
    assert text_of(step_of(CELLS["gru"])) == [
        "a_z = sigmoid(z_z)",
        "h_new = (1.0 - a_z) * tanh(sigmoid(z_r) * (z_m + b_n) + z_n) + a_z * h",
    ]
    assert text_of(step_of(of_some_blocks.record))[0] == "a_u = sigmoid(z_u)"
    assert [unit.name for unit in step_of(with_unit_weights.record).units] == ["w_p", "w_int"]


def test_names_that_any_language_has() -> None:
    assert plain("ζ") == "_u03b6"
    assert plain("gate_1") == "gate_1"


@st.composite
def expressions(draw: Any) -> tuple[Trace, list[int]]:
    """Operations on earlier ones, in any order; the last one is asked for, and one other."""
    trace = Trace()
    numbers = [trace.input(f"z_{name}") for name in "abc"]
    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from(["add", "sub", "mul", "div", "neg", "fma", "fms", "fnma", "abs", "minimum", "where"]))
        a, b, c, d = (draw(st.one_of(st.sampled_from(numbers), st.sampled_from([-2.0, 0.5, 3.0]))) for _ in range(4))
        first = draw(st.sampled_from(numbers))
        if op == "where":
            numbers.append((first < b).where(c, d) if draw(st.booleans()) else (first <= b).where(d, a))
        else:
            count = {"neg": 1, "abs": 1, "fma": 3, "fms": 3, "fnma": 3}.get(op, 2)
            numbers.append(trace.make(op, *(first, b, c)[:count]))
    numbers = [one for one in numbers if trace.value(one) is None]
    return trace, [numbers[-1].place, draw(st.sampled_from(numbers)).place]


@settings(max_examples=200, deadline=None)
@given(expressions())
def test_text_computes_what_was_written_down(case: tuple[Trace, list[int]]) -> None:
    trace, places = case
    inputs = {"z_a": 0.75, "z_b": -1.375, "z_c": 2.25}
    values: list[Any] = []
    for op, *operands in trace.rows:
        if op in ("input", "constant"):
            values.append(inputs[operands[0]] if op == "input" else operands[0])
            continue
        try:
            values.append(OPERATIONS[op](*(values[one] for one in operands)))
        except ZeroDivisionError:
            return
    step = Step(("a", "b", "c"), {}, (), trace.rows, (), ("h",))
    names: dict[str, Any] = {**FUNCTIONS, **inputs}
    used: set[str] = set()
    outputs = (("one", places[0]), ("two", places[1]))
    lines = lines_of(step, Section((), outputs), {}, PYTHON, used)
    for name, text in lines:
        names[name] = eval(text, names)
    assert names["one"] == pytest.approx(values[places[0]], rel=1e-12, nan_ok=True)
    assert names["two"] == pytest.approx(values[places[1]], rel=1e-12, nan_ok=True)
    assert {name for name in used if name.startswith("z_")} <= inputs.keys()


def test_a_record_without_equations_is_refused() -> None:
    class Other(GRUBeforeParams):
        pass

    with pytest.raises(TypeError, match="params: expected weights of a cell with equations, got Other"):
        step_of(Other)
