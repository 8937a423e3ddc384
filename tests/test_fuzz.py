"""The fuzzer: what it calls holds, and what is broken on purpose it finds, as a case that can be run alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import fuzz
import numpy as np
import pytest
from fuzzing import arena, run
from fuzzing.cases import Case
from fuzzing.functions import FUNCTIONS

import fastlstm
from fastlstm.params import CELLS


def drawn(seed: int, *only: str) -> Iterator[Case]:
    index = 0
    while True:
        yield from run.draw(seed, index, only, [])
        index += 1


def test_what_is_drawn_holds() -> None:
    for case in islice(drawn(3), 80):
        assert fuzz.attempt(case) is None, str(case)


def test_a_case_is_a_line_of_text() -> None:
    cases = list(islice(drawn(1), 400))
    assert [Case.parse(str(case)) for case in cases] == cases
    assert {case.function for case in cases} == {name for name, entry in FUNCTIONS.items() if not entry.compiled}
    assert {one.cell for case in cases if case.uses("h_mask") for one in case.layers} == set(CELLS)
    assert any(case.wrong for case in cases)
    assert any(case.alias for case in cases)


def test_random_cells_are_drawn() -> None:
    among, kinds = fuzz.own_cells(3, 14, ())
    assert [one.cell for kind in kinds for one in kind.layers] == ["own3014"] * len(kinds[0].layers)
    cases = [next(run.draw(3, index, (), kinds, among)) for index in range(60)]
    assert [Case.parse(str(case)) for case in cases] == cases
    assert {one.cell for case in cases for one in case.layers} == {"own3014", "standard", "gru", "gru_before"}
    assert {case.dtype for case in cases} == {*among.dtypes}
    assert any(FUNCTIONS[case.function].compiled for case in cases)


def off_by_one_bit(forward: Any) -> Any:
    """In the last sequence, where there are lengths."""

    def broken(x: Any, params: Any, state: Any = None, *, lengths: Any = None, **options: Any) -> Any:
        y, last = forward(x, params, state, lengths=lengths, **options)
        if lengths is not None and y.size:
            y[-1, 0, 0] = np.nextafter(y[-1, 0, 0], y.dtype.type(9))
        return y, last

    return broken


def writes_behind(forward_into: Any) -> Any:
    def broken(x: Any, packed: Any, state: Any, y: Any) -> None:
        forward_into(x, packed, state, y)
        if y.size:
            last = y[(-1,) * (y.ndim - 1)][-1:]
            np.lib.stride_tricks.as_strided(last, (2,))[1] = 0

    return broken


def changes_its_input(forward: Any) -> Any:
    def broken(x: Any, *arguments: Any, **options: Any) -> Any:
        found = forward(x, *arguments, **options)
        if isinstance(x, np.ndarray) and x.flags.writeable and x.size:
            x[..., 0] = 0
        return found

    return broken


def takes_anything(forward: Any) -> Any:
    def broken(*arguments: Any, **options: Any) -> Any:
        try:
            return forward(*arguments, **options)
        except (ValueError, TypeError):
            return np.zeros(0), None

    return broken


def names_nothing(forward: Any) -> Any:
    def broken(*arguments: Any, **options: Any) -> Any:
        try:
            return forward(*arguments, **options)
        except ValueError as error:
            raise ValueError("something is wrong") from error

    return broken


def changes_before_it_refuses(forward_into: Any) -> Any:
    def broken(x: Any, packed: Any, state: Any, y: Any) -> None:
        if isinstance(y, np.ndarray) and y.flags.writeable:
            y[...] = 0
        forward_into(x, packed, state, y)

    return broken


@pytest.mark.parametrize(
    ("name", "breaking", "says"),
    [
        ("forward", off_by_one_bit, "y: 1 of"),
        ("forward_into", writes_behind, "memory around y"),
        ("forward", changes_its_input, "changed: x"),
        ("forward", takes_anything, "expected an error, got none"),
        ("forward", names_nothing, "begins with the argument's name"),
        ("forward_into", changes_before_it_refuses, "but changed: y"),
    ],
)
def test_a_broken_function_is_found(monkeypatch: pytest.MonkeyPatch, name: str, breaking: Any, says: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fastlstm, name, breaking(getattr(fastlstm, name)))
        found = ((case, why) for case in drawn(0, name) if (why := fuzz.attempt(case)) is not None and says in why)
        case, why = next(found)
        smaller, why = fuzz.shrunk(case, why, fuzz.attempt, 40)
        printed = str(smaller)
        assert sum(smaller[4:7]) + smaller.layers[0].H < sum(case[4:7]) + case.layers[0].H  # N, T, D
        assert says in why
        assert fuzz.attempt(Case.parse(printed)) == why
    assert fuzz.attempt(Case.parse(printed)) is None


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("faulthandler.enable(); os.abort()", "Fatal Python error: Aborted"),
        ("faulthandler.dump_traceback_later(0.1, exit=True); time.sleep(60)", "Timeout"),
    ],
)
def test_a_case_that_ends_the_process_is_reported(tmp_path: Path, end: str, says: str) -> None:
    program = tmp_path / "worker.py"
    program.write_text(textwrap.dedent(f"""
        import faulthandler, json, os, time
        case = "forward seed=1 layers=standard-2"
        print(json.dumps({{"at": 5, "case": case, "why": None, "died": False}}), flush=True)
        {end}
        """))  # fmt: skip
    began, died = fuzz.watch([], str(program))
    assert (began["at"], began["why"]) == (5, None)
    assert (died["at"], died["case"], died["died"]) == (5, began["case"], True)
    assert says in died["why"]


@pytest.mark.parametrize("form", arena.FORMS)
def test_arrays_lie_among_sentinels(form: str) -> None:
    values = np.random.default_rng(0).standard_normal((3, 4, 5))
    place = arena.Arena(1, form)
    given, y = place.give("x", values), place.room("y", values, arena.ROOMS)
    place.begin()
    assert np.shape(given) == values.shape
    if form in arena.KEPT:
        assert (given == values).all()
    y[...] = 3
    assert list(place.changed()) == ["y"]
    assert list(place.changed(writing=("y",))) == []
    place.places[-1].memory[arena.PAD - 1] = 0
    assert list(place.changed(writing=("x", "y"))) == ["memory around y"]
