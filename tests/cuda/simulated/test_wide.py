"""The time loop of wide layers: against the reference, by a launch for each step and by one for all."""

from __future__ import annotations

import copy
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import own_cells
import pytest
from cuda_blocks import Blocks, on_host
from cuda_problems import batch_of, expected, forward, forward_and_backward, params_of, problem, to_device
from oracles import assert_same, error

from fastlstm.cells.table import cell_named
from fastlstm.cuda import device, launch, small, wide
from fastlstm.params import CELLS, shapes

ONE_PHASE = [name for name in CELLS if cell_named(name).phase_count == 1]


def check(given: Any, bound: float) -> None:
    found, wanted = forward_and_backward(given, "wide"), expected(given)
    for name, mine, right in zip(found._fields, found, wanted, strict=True):
        if right is not None:
            assert error(mine, right) < bound, name


@pytest.mark.parametrize("options", ["", "lengths reset mask reverse"])
@pytest.mark.parametrize("cell", ONE_PHASE)
def test_a_pass_and_its_way_back(cell: str, options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In groups of one sequence, or of three."""
    monkeypatch.setattr(small, "BLOCKS", 9)
    check(problem(params_of(cell, 2, 5, np.float64), 7 if options else 2, 3, options), 1e-13)


@pytest.mark.parametrize("own", [own_cells.everything, own_cells.minimal], ids=lambda own: own.name)
def test_a_cell_of_ones_own(own: Any) -> None:
    rng = np.random.default_rng(3)
    params = own.record(*(rng.uniform(-1, 1, form) for form in shapes(own.record, 2, 5, 5).values()))
    check(problem(params, 3, 3, "lengths reset mask"), 1e-12)


def test_in_float32_with_some_of_the_options() -> None:
    for options in ("reset", "lengths reverse"):
        check(problem(params_of("standard", 2, 3, np.float32), 3, 3, options), 2e-6)


@pytest.mark.parametrize(("SHARED", "rows"), [(40960, 16), (1800, 8), (400, 2), (1, 1)])
def test_many_sequences_in_one_group(SHARED: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block goes through them in tiles, as many at a time as there is memory for."""
    monkeypatch.setattr(small, "BLOCKS", 3)
    monkeypatch.setattr(wide, "SHARED", SHARED)
    given = problem(params_of("standard", 2, 5, np.float64), 9, 2, "lengths")
    form = wide.form_for(launch.pack(to_device(given.params)), batch_of(given, "wide"), tape=True)
    assert form.forward.rows == rows
    check(given, 1e-13)


def test_a_pass_without_a_tape_gives_the_same_bits() -> None:
    given = problem(params_of("gru", 2, 3, np.float32), 3, 3, "reset mask")
    assert_same(forward(given, "wide")[:2], forward_and_backward(given, "wide")[:2])


@pytest.mark.parametrize(("N", "T"), [(0, 3), (2, 0)])
def test_nothing_to_do(N: int, T: int) -> None:
    given = problem(params_of("standard", 3, 4, np.float64), N, T, "")
    found = forward_and_backward(given, "wide")
    assert_same((found.state, found.dstate), (given.state, given.dstate))
    assert all((gradient == 0).all() for gradient in found.dparams)


TABLE = [
    ("standard", np.float32, 96, 1, "small wide product"),
    ("standard", np.float32, 128, 1, "wide product"),
    ("standard", np.float32, 128, 256, "wide product"),
    ("standard", np.float32, 128, 257, "product wide"),
    ("standard", np.float32, 512, 64, "wide product"),
    ("standard", np.float32, 1024, 32, "wide product"),
    ("standard", np.float32, 1024, 33, "product wide"),
    ("standard", np.float32, 1025, 1, "product"),
    ("standard", np.float64, 64, 1, "small wide product"),
    ("standard", np.float64, 512, 1, "wide product"),
    ("standard", np.float64, 513, 1, "product"),
    ("peephole", np.float32, 300, 4, "wide product"),
    ("gru", np.float32, 96, 1, "small wide product"),
    ("gru", np.float32, 1024, 16, "wide product"),
    ("projected", np.float32, 16, 1, "product"),
    ("interpolated", np.float32, 64, 1, "small product"),
    ("interpolated", np.float32, 65, 1, "product"),
    ("gru_before", np.float32, 16, 1, "small product"),
    ("normalized", np.float32, 16, 1, "product"),
]


@pytest.mark.parametrize(("cell", "real", "H", "N", "kinds"), TABLE)
def test_which_kinds_there_are(
    cell: str, real: Any, H: int, N: int, kinds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the sizes that hold on a device."""
    monkeypatch.setattr(wide, "COLUMNS", 32)
    monkeypatch.setattr(wide, "DEEP", 128)
    monkeypatch.setattr(wide, "SIMULATED", False)
    given = problem(params_of(cell, 1, 1, real), 1, 1, "")
    weights, batch = launch.pack(to_device(given.params)), batch_of(given, None)
    batch = batch._replace(schedule=batch.schedule._replace(N=N))
    assert list(launch.kinds(weights._replace(H=H, P=H), batch)) == kinds.split()


def test_what_cannot_be_held_in_registers() -> None:
    for own, fits in ((own_cells.everything, True), (own_cells.minimal, True), (own_cells.of_x_alone, False)):
        assert wide.Form(own.cell, np.float32, 100, 1, False).fits == fits


# all blocks at once


class Call(NamedTuple):
    """Of `wide.run`, with what it found and what it left."""

    name: str
    form: Any
    groups: int
    before: Any
    after: Any


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    """A forward pass and its way back in two groups, of two tiles each."""
    found, run = [], wide.run

    def spy(make: Any, form: Any, groups: int, stream: Any, *given: Any) -> None:
        before = on_host(given, {})
        run(make, form, groups, stream, *given)
        name = "forward" if make is wide.forward else "backward"
        found.append(Call(name, form, groups, before, on_host(given, {})))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "run", spy)
        patch.setattr(wide, "SHARED", 400)
        patch.setattr(small, "BLOCKS", 6)
        check(problem(params_of("standard", 2, 5, np.float64), 6, 3, "mask"), 1e-13)
    assert [(call.name, call.groups) for call in found] == [("forward", 2), ("backward", 2)]
    return found


def by(text: str, call: Call, seed: int) -> tuple[bool, int]:
    """Whether a module of that text leaves the same, all blocks running at once, and how many launches it takes."""
    blocks, other = Blocks(seed), types.ModuleType(wide.__name__)
    other.__package__ = wide.__package__
    exec(compile(text, wide.__file__, "exec"), vars(other))
    vars(other).update(cuda=blocks, kernel_of=blocks.kernel_of, blocks_at_once=lambda *_: 6, SHARED=400)
    given = copy.deepcopy(call.before)
    other.run(getattr(other, call.name), other.Form(*call.form), call.groups, 0, *given)
    same = all(np.array_equal(mine, right, equal_nan=True)
               for mine, right in zip(arrays(given), arrays(call.after), strict=True))  # fmt: skip
    return same, blocks.launches


def arrays(tree: Any) -> list[Any]:
    if isinstance(tree, tuple):
        return [one for branch in tree for one in arrays(branch)]
    return [tree] if isinstance(tree, np.ndarray) else []


TEXT = Path(wide.__file__).read_text()
WAITS = [place for mark in ("cuda.syncthreads()\n", "meet(rounds.arrived")
         for place in range(len(TEXT)) if TEXT.startswith(mark, place)]  # fmt: skip


def test_one_launch_for_all_steps_gives_the_same_bits(calls: list[Call]) -> None:
    for call in calls:
        assert [by(TEXT, call, seed) for seed in range(3)] == [(True, 1)] * 3


def test_one_launch_for_some_of_the_steps(calls: list[Call]) -> None:
    """Counters of meetings begin anew."""
    text = TEXT.replace("1 << 20", "2")
    for call, launches in zip(calls, (2, 2), strict=True):
        assert by(text, call, 0) == (True, launches)


@pytest.mark.parametrize("place", WAITS)
def test_a_missing_barrier_is_seen(place: int, calls: list[Call]) -> None:
    text = TEXT[:place] + "pass  # " + TEXT[place:]

    def is_seen(call: Call, seed: int) -> bool:
        try:
            return not by(text, call, seed)[0]
        except RuntimeError:
            return True

    assert len(WAITS) == 10
    assert any(is_seen(call, seed) for seed in range(8) for call in calls)


# what a device can run at once


class Kernel:
    """Stands for one that Numba has: `most` of its blocks run at once."""

    def __init__(self, most: int) -> None:
        self.most, self.launches, self.cooperative = most, [], False

    def typeof_pyval(self, value: Any) -> Any:
        return type(value)

    def compile(self, kinds: Any) -> Any:
        return self

    def max_cooperative_grid_blocks(self, threads: int) -> int:
        return self.most

    def __getitem__(self, form: Any) -> Any:
        return lambda at, rounds, *_: self.launches.append((form[0], rounds.first, rounds.end))


EACH = [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("most", "together", "launches"),
    [(6, True, [(0, 3)]), (7, True, [(0, 3)]), (5, True, EACH), (6, False, EACH), (6, True, [(0, 1)])],
)
def test_what_runs_where_blocks_cannot_all_run_at_once(
    most: int, together: bool, launches: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single step asks for nothing."""
    made = {True: Kernel(most), False: Kernel(most)}
    one = types.SimpleNamespace(COOPERATIVE_LAUNCH=int(together))
    monkeypatch.setattr(device, "SIMULATED", False)
    monkeypatch.setattr(device, "cuda", types.SimpleNamespace(get_current_device=lambda: one))
    form, count = wide.Form(cell_named("standard"), np.float64, 5, 1, False), launches[-1][1]
    wide.run(lambda form, meets: made[meets], form, 2, 0, None, wide.Rounds(0, count, 1, count, *[None] * 4))
    meets = launches == [(0, 3)]
    assert made[meets].launches == [((3, 2), *some) for some in launches]
    assert not made[not meets].launches
    assert made[True].cooperative == (together and count > 1)
    assert not made[False].cooperative
