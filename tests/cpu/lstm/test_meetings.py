"""What threads that share units exchange, and where they meet: what the table of phases says is so, each meeting is
needed, and the tests would see it if one were left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ways
from oracles import assert_same, c_of, map_leaves, random_masks, random_params, random_state, with_cells

import fastlstm
from fastlstm import nn
from fastlstm.cells.phases import Cell, checked, touch
from fastlstm.cells.table import CELLS as TABLE
from fastlstm.cells.table import cell_with
from fastlstm.cpu.lstm import backward, forward
from fastlstm.cpu.lstm.arguments import BackwardArguments, ForwardArguments
from fastlstm.cpu.lstm.sizes import dz_vectors, gate_place, operand_stride
from fastlstm.cpu.training import dense, updates
from fastlstm.cpu.vectors.target import BLOCK, lanes
from fastlstm.params import CELLS

D, L = 3, lanes(4)
H = 2 * BLOCK * L  # two panels: either thread's units are the same in every phase


def passes(rng: Any, cell: str, N: int, T: int, **options: Any) -> Any:
    """A function that runs both passes, of weights whose h is as wide as c."""
    params = random_params(rng, D, H, np.float32, cell, P=H)
    x, state = rng.standard_normal((N, T, D)).astype(np.float32), random_state(rng, params, N)
    mask = random_masks(rng, params, N, np.float32)

    def both() -> Any:
        y, last, tape = fastlstm.forward_train(x, params, state, h_mask=mask, **options)
        return y, last, c_of(tape, params), tuple(fastlstm.backward(tape, np.cos(y), last))

    return both


Place = tuple[np.ndarray, np.ndarray]  # an array, and for each unit its numbers there


class Shared:
    """The numbers that threads share in a turn of a pass over one sequence, by the names of the table."""

    def __init__(self, cell: Cell, T: int) -> None:
        self.cell, self.T, self.phases = cell, T, len(cell.phases)
        self.units = np.arange(H)

    def _blocked(self, array: np.ndarray, place: int, block: int, vectors: range) -> Place:
        """Vectors of each block of units."""
        return array, place + self.units[:, None] // L * block + np.array(vectors, np.int64) * L + self.units[
            :, None
        ] % L

    def _gates(self, dz: np.ndarray, place: int) -> Place:
        """Where a row of dz has the numbers of each unit."""
        vectors = [[gate_place(self.cell, gate, unit // L, H // L) for gate in range(BLOCK)] for unit in self.units]
        return dz, place + np.array(vectors) * L + self.units[:, None] % L

    def forward(self, turn: int, arguments: Any) -> tuple[int, dict[str, Place]]:
        """The phase, and the numbers of the names in cells.phases.FORWARD."""
        s, phase = (turn - 1) // self.phases, (turn - 1) % self.phases
        given, lda = ForwardArguments(*arguments), operand_stride(L, D, H)
        gates, cs, work = given.gates, given.c_tape, given.work
        whole, row = (lambda array, place: (array, place + self.units[:, None])), s % 2 * lda + D
        width = self.cell.kept * L
        tape, split = s * H // L * width, BLOCK if self.phases == 3 else 0
        found = {
            "operands": whole(work, row),
            "h": whole(work, (s + 1) % 2 * lda + D),
            "c": whole(cs, (s + 1) * H),
            "z": self._blocked(gates, tape, width, range(split)),
            "gates": self._blocked(gates, tape, width, range(split, self.cell.kept)),
        }
        return phase, found | ({"m": whole(work, 2 * lda)} if self.cell.projects else {})

    def backward(self, turn: int, arguments: Any) -> tuple[int, dict[str, Place]]:
        """The phase, and the numbers of the names in cells.phases.BACKWARD."""
        s, phase = self.T - 1 - (turn - 1) // self.phases, self.phases - 1 - (turn - 1) % self.phases
        given = BackwardArguments(*arguments)
        dh, dc, t, dz, ldz, a, lda = given.dh, given.dc, given.t, given.dz, given.ldz, given.a, given.lda
        whole = lambda array, place, *more: (array, place + np.array([0, *more]) + self.units[:, None])  # noqa: E731
        own, behind = self.cell.weight_rows * BLOCK, dz_vectors(self.cell, H // L) * L
        wide = behind + (H if self.cell.multiplies_later else 0)
        weights, of_z = s * ldz + wide, own if self.phases < 3 else own // 2
        found = {
            "dz": self._gates(dz, s * ldz),
            "dh": whole(dh, 0),
            "dc": whole(dc, 0),
            "t": whole(t, 0),
            "operands": whole(a, s * lda + 1 + D, *([H] if self.cell.multiplies_later else [])),
            "dw": self._blocked(dz, weights, own * L, range(of_z)),
            "dw of c": self._blocked(dz, weights, own * L, range(of_z, own)),
        }
        if s + 1 < self.T:
            found["later dz"] = self._gates(dz, (s + 1) * ldz)
        return phase, found | ({"dv": whole(dz, s * ldz + behind)} if self.cell.multiplies_later else {})


def touched(arguments: Any, found: dict[str, Place], share: Any) -> tuple[set[str], set[str]]:
    """What the first of two workers reads of the other's units in a turn, and what it writes of its own, found out by
    running its share again and again. Leaves the arrays as they were."""
    arrays = {id(array): array for array in arguments if isinstance(array, np.ndarray)}.values()
    before = [array.copy() for array in arrays]
    mine, others = slice(H // 2), slice(H // 2, H)

    def outcome(spoilt: Place | None = None) -> list[np.ndarray]:
        """All arrays behind the share, the numbers of which some were spoilt before as if they had not been."""
        if spoilt is not None:
            array, places = spoilt
            good = array[places[others]].copy()
            array[places[others]] = np.nan
        share(worker=0)
        if spoilt is not None:
            assert np.isnan(array[places[others]]).all()  # a worker writes nothing of another's
            array[places[others]] = good
        after = [array.copy() for array in arrays]
        for array, old in zip(arrays, before, strict=True):
            array[...] = old
        return after

    plain = outcome()
    bits = lambda some: [array.tobytes() for array in some]  # noqa: E731
    reads = {name for name, place in found.items() if bits(outcome(place)) != bits(plain)}
    writes = set()
    for name, (array, places) in found.items():
        (new, old) = (next(b for a, b in zip(arrays, some, strict=True) if a is array) for some in (plain, before))
        assert new[places[others]].tobytes() == old[places[others]].tobytes()
        if new[places[mine]].tobytes() != old[places[mine]].tobytes():
            writes.add(name)
    return reads, writes


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_table_is_true(rng: Any, name: str, reverse: bool) -> None:
    cell, T = cell_with(CELLS[name]), 4
    shared = Shared(cell, T)
    reset = np.array([[False, False, True, False]])
    empty = lambda: [(set(), set()) for _ in cell.phases]  # noqa: E731
    there, back = empty(), empty()

    def look(kernel: Any, turn: int, arguments: Any, share: Any) -> None:
        if 1 <= turn <= T * shared.phases:
            for one, found, places in (
                (forward.forward, there, shared.forward), (backward.backward, back, shared.backward)
            ):  # fmt: skip
                if kernel is one:
                    phase, names = places(turn, arguments)
                    for seen, new in zip(found[phase], touched(arguments, names, share), strict=True):
                        seen.update(new)

    with ways.forced("units", 2), ways.in_turns() as turns:
        turns.before = look
        passes(rng, name, 1, T, reset=reset, reverse=reverse)()
    for number, phase in enumerate(cell.phases):
        assert there[number] == tuple(phase.touch), (number, "forward")
        assert back[number] == tuple(phase.touch_back), (number, "backward")


def test_the_table_is_checked() -> None:
    (cell,) = (one for one in TABLE if one.name == "normalized")
    first, *others = cell.phases
    for field, touched, message in (
        ("touch_back", touch("dz", "dz, operands"), "'normalized', phase 0 backward: it writes 'dz', gradients"),
        ("touch", touch("operands", "z, h, operands"), "'normalized', phase 0 forward: it writes 'operands', x"),
        ("touch", touch("operands", "z, dz"), "phase 0 forward: expected names of .*, got 'dz'"),
    ):
        with pytest.raises(ValueError, match=message):
            checked(replace(cell, phases=(replace(first, **{field: touched}), *others)))
    assert checked(*TABLE) == TABLE


def unneeded(run: Any, alone: Any) -> set[tuple[Any, int]]:
    """Kernels' turns behind which no meeting is needed: where two turns become one, no order gives other bits. With all
    meetings none must."""
    orders = ways.forwards, ways.backwards
    for order in orders:
        with ways.in_turns(order) as turns:
            assert_same(run(), alone)
    found = set()
    for kernel, count, _ in list(turns.seen):
        for turn in range(count - 1):
            for order in orders:
                with ways.in_turns(order, (kernel, turn)) as turns:
                    turns.before = _places_that_exist
                    if not same(run(), alone):
                        break
            else:
                found.add((kernel, turn))
    return found


def _places_that_exist(kernel: Any, turn: int, arguments: Any, share: Any) -> None:
    """Where rows of dx are, for who reads that before it is written."""
    if kernel is backward.backward and turn == 0:
        BackwardArguments(*arguments).where[:] = 0


def same(found: Any, expected: Any) -> bool:
    try:
        assert_same(found, expected)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("way", ["rows", "units"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_meeting_is_needed(rng: Any, cell: str, way: str) -> None:
    N, T, steps = 3, 4, 2
    both, phases = passes(rng, cell, N, T), len(cell_with(CELLS[cell]).phases)
    with ways.time_blocks(steps * N):
        with ways.forced("one"):
            alone = both()
        with ways.forced(way, 2):
            # the last turn of a block's steps makes dh for the next block; nobody's sums want that
            assert unneeded(both, alone) == ({(backward.backward, steps * phases + 1)} if way == "units" else set())


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "peephole"])  # which has the standard cell's phases
def test_two_threads_on_one_sequence(rng: Any, cell: str) -> None:
    """Phase by phase, in any order; each meeting is needed; and when both come late to all that they exchange."""
    x, params = rng.standard_normal((1, 30, D)), random_params(rng, D, H, np.float32, cell)
    state, mask, reset = random_state(rng, params, 1), random_masks(rng, params, 1), rng.random((1, 30)) < 0.1

    def train() -> Any:
        y, last, tape = fastlstm.forward_train(x, params, state, h_mask=mask, reset=reset)
        return y, last, c_of(tape, params)

    def infer() -> Any:
        return with_cells(fastlstm, x, params, state, h_mask=mask, reset=reset)

    def few_steps() -> Any:
        return with_cells(fastlstm, x[:, :3], params, state, h_mask=mask)

    with ways.forced("one"):
        alone = train(), infer(), few_steps()
    with ways.one_sequence():
        with ways.forced("units"):
            for order in (ways.forwards, ways.backwards):
                with ways.in_turns(order):
                    assert_same((train(), infer()), alone[:2])
            assert not unneeded(few_steps, alone[2])
        with ways.forced("sequence"):
            for seed in range(10):
                with ways.late(seed):
                    assert_same((train(), infer()), alone[:2])


def test_y_in_the_place_of_x(rng: Any) -> None:
    """Also where one thread is late to read what the other writes y over."""
    params = random_params(rng, H, H, np.float32)
    packed, x, begin = fastlstm.pack(params), rng.standard_normal((1, 60, H)), random_state(rng, params, 1)

    def in_place() -> Any:
        y, state = x.astype(np.float32), map_leaves(lambda a: a.astype(np.float32), begin)
        fastlstm.forward_into(y, packed, state, y)
        return y, state

    with ways.forced("one"):
        alone = in_place()
    for order in (ways.forwards, ways.backwards):
        for way in ("rows", "units"):
            with ways.forced(way), ways.in_turns(order):
                assert_same(in_place(), alone)
    with ways.one_sequence(), ways.forced("sequence"):
        for seed in range(10):
            with ways.late(seed):
                assert_same(in_place(), alone)


def _dense(rng: Any) -> Any:
    x, W, b, dy = (rng.standard_normal(s).astype(np.float32) for s in ((900, 37), (37, 70), (70,), (900, 70)))

    def passes() -> Any:
        y, dW, db, dx = (np.full(a.shape, np.nan, np.float32) for a in (dy, W, b, x))
        dense.forward(x, W, b, dense.SOFTMAX, y)
        dense.backward(x, W, y, dy, dense.SOFTMAX, dW, db, dx)
        return y, dW, db, dx

    return passes


def _loss(name: str) -> Any:
    def made(rng: Any) -> Any:
        loss, t, p = nn.losses.get(name), np.eye(5)[rng.integers(0, 5, 40)], rng.uniform(0.1, 0.9, (40, 5))
        return lambda: [np.asarray(part) for part in loss.value_and_gradient(t, p.astype(np.float32))]

    return made


def _clipped(rng: Any) -> Any:
    begin, gradient = rng.standard_normal((2, 3 * updates.CHUNK)).astype(np.float32)

    def update() -> Any:
        optimizer, p = nn.optimizers.SGD(global_clipnorm=1.0), begin.copy()
        optimizer.build(p, [("all", slice(0, len(p)))])
        optimizer.update(p, gradient)
        optimizer.update(p, 2 * gradient)  # now the first one's sums are left over
        return [p]

    return update


@pytest.mark.parametrize("made", [_dense, _loss("mse"), _loss("categorical_crossentropy"), _clipped])
def test_other_kernels(rng: Any, made: Any) -> None:
    run = made(rng)
    with ways.forced("one"):
        alone = run()
    with ways.forced("rows", 3):  # the second turn of dense_backward has to do with other numbers than the first
        assert unneeded(run, alone) == ({(dense.dense_backward, 0)} if made is _dense else set())
