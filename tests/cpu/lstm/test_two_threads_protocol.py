"""The protocol of two_threads.py as plain Python: its threads run one at a time, in orders drawn from a seed.

`lead` and `follow` are the package's own. Words that they exchange, and phases of steps, are Python's here: a phase
takes a unit's new number from all units that the phase before it has left, and from the unit's input.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ways import varied

from fastlstm.cpu.lstm import two_threads as duo

NB, L, STEPS, FOR_EVER = 8, 4, 30, 10**9  # blocks of units; a thread has half of them
CELLS = {phases: SimpleNamespace(phase_count=phases, multiplies_later=phases == 2) for phases in (1, 2, 3)}


class Stuck(Exception):
    """Nobody goes on."""


class Machine:
    """Two threads, of which one runs at a time; it may change wherever `point` is called.

    Attributes
    ----------
    found : dict
        The number of each (phase, block), as last computed.
    shares : dict
        How many phases each thread has computed a part of while the other was there.
    """

    def __init__(self, phases: int, seed: int, patience: int, limit: int = 30_000) -> None:
        self.phases, self.patience, self.left = phases, patience, limit
        self.rng = np.random.default_rng(seed)
        self.stay = self.rng.choice([0.2, 0.7, 0.95, 0.99])  # how probable it is that a thread goes on
        self.turn = [threading.Semaphore(0), threading.Semaphore(0)]
        self.now, self.done, self.error = 0, [False, False], None
        self.sync = dict.fromkeys(range(0, duo.SYNC_WORDS, 16), 0) | {duo.SPLIT: -1}
        self.rows = [["begin"] * NB, [None] * NB]
        self.inputs_: dict[tuple[int, int], Any] = {}
        self.found: dict[tuple[int, int], int] = {}
        self.shares = [0, 0]
        self.names: dict[str, Any] = {
            "load_acquire": self.load, "store_release": self.store, "wait_a_little": lambda *_: self.point(),
            "_inputs": self.inputs, "_step": self.step, "_inputs_of": lambda thread, *_: int(thread) * 10**6,
            "_parts": varied(duo._parts, blocks_in=lambda *_: NB, lanes_of=lambda _: L), "_row": lambda _: NB,
        }  # fmt: skip
        self.names["_waited"] = varied(duo._waited, **self.names)
        schedule = SimpleNamespace(lens=np.array([STEPS]))
        self.arguments = self.sync, patience, SimpleNamespace(
            sizes=SimpleNamespace(H=NB * L, P=NB * L), batch=SimpleNamespace(schedule=schedule),
            weights=SimpleNamespace(cell=CELLS[phases], panels=None),
        )  # fmt: skip

    def point(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stuck
        if self.rng.random() > self.stay and not self.done[1 - self.now]:
            self.give(1 - self.now)

    def give(self, other: int) -> None:
        mine, self.now = self.now, other
        self.turn[other].release()
        self.turn[mine].acquire()
        if self.error is not None:
            raise Stuck

    def load(self, sync: Any, at: int) -> int:
        self.point()
        return int(sync[at])

    def store(self, sync: Any, at: int, value: int) -> None:
        self.point()
        sync[at] = value

    def inputs(self, t: int, count: int, lo: int, hi: int, zx: int, *_: Any) -> None:
        for k in range(count):
            for b in range(lo, hi):
                self.inputs_[zx + k * NB, b] = "x", int(t + k), b

    def step(self, s: int, lo: int, hi: int, zx: int, own: int, *_: Any) -> None:
        if self.sync[duo.MAIL] == duo.JOINED and self.sync[duo.SPLIT] >= 0:
            self.shares[own] += 1
        for b in range(lo, hi):
            self.point()
            given = self.inputs_.get((zx, b)) if s % self.phases == 0 else None
            self.found[int(s), b] = number = hash((int(s), b, given, tuple(self.rows[s % 2])))
            self.point()
            self.rows[(s + 1) % 2][b] = number

    def run(self, lead: Any, follow: Any) -> None:
        """Both to their ends; raises what either did."""

        def body(number: int, function: Any) -> None:
            self.turn[number].acquire()
            try:
                if self.error is None:
                    function(*self.arguments)
            except BaseException as error:
                self.error = self.error or error
            self.done[number], self.now = True, 1 - number
            self.turn[1 - number].release()

        both = [threading.Thread(target=body, args=pair) for pair in ((0, lead), (1, follow))]
        for thread in both:
            thread.start()
        self.turn[0].release()
        for thread in both:
            thread.join()
        if self.error is not None:
            raise self.error


def expected(phases: int) -> dict[tuple[int, int], int]:
    """What one thread computes."""
    row: list[Any] = ["begin"] * NB
    found = {}
    for s in range(STEPS * phases):
        new = [hash((s, b, ("x", s // phases, b) if s % phases == 0 else None, tuple(row))) for b in range(NB)]
        found |= {(s, b): number for b, number in enumerate(new)}
        row = new
    return found


def fault(phases: int, seed: int, patience: int, change: Callable[[Machine], tuple[Any, Any]]) -> str:
    """What is wrong with a run, or nothing; "alone" where the other came too late, if it did. change: names that mean
    something else in `lead` and in `follow`."""
    machine = Machine(phases, seed, patience)
    leads, follows = change(machine)
    try:
        machine.run(varied(duo.lead, **machine.names | leads), varied(duo.follow, **machine.names | follows))
    except Stuck:
        return "stuck"
    if machine.found != expected(phases):
        return "wrong"
    return "" if machine.shares[1] else "alone"


def unchanged(machine: Machine) -> tuple[Any, Any]:
    return {}, {}


@pytest.mark.parametrize("patience", [0, 3, 40, FOR_EVER])
@pytest.mark.parametrize("phases", CELLS)
def test_whoever_goes_on(phases: int, patience: int) -> None:
    faults = [fault(phases, seed, patience, unchanged) for seed in range(25)]
    assert set(faults) <= {"", "alone"}
    assert "" in faults


def test_they_are_together_and_part() -> None:
    """The runs above are of both kinds."""
    shares, retired = [], []
    for seed in range(20):
        for patience in (3, FOR_EVER):
            machine = Machine(1, seed, patience)
            machine.run(varied(duo.lead, **machine.names), varied(duo.follow, **machine.names))
            shares.append(min(machine.shares))
            retired.append(machine.sync[duo.MAIL] == duo.RETIRED)
    assert max(shares[1::2]) > STEPS // 2
    assert any(retired[::2])
    assert not any(retired[1::2])


def _at_once(machine: Machine) -> Any:
    return {"_waited": lambda *_: True}


def _storing(at: int, value: Callable[[int], int | None]) -> Any:
    """A word is given other values, or none."""

    def names(machine: Machine) -> Any:
        def store(sync: Any, where: int, number: int) -> None:
            changed = value(number) if where == at else number
            if changed is not None:
                machine.store(sync, where, changed)

        return {"store_release": store}

    return names


def _loading(at: int, value: Callable[[int], int]) -> Any:
    """A word is taken for something else."""

    def names(machine: Machine) -> Any:
        return {"load_acquire": lambda sync, where: (value if where == at else int)(machine.load(sync, where))}

    return names


def _nothing(machine: Machine) -> Any:
    return {}


CHANGES = {  # what leads, what follows, and the patience with which it shows
    "the leader does not wait": (_at_once, _nothing, FOR_EVER),
    "the follower does not wait": (_nothing, _at_once, FOR_EVER),
    "the leader says too soon that it is through": (_storing(duo.LEADER, lambda s: s + 1), _nothing, FOR_EVER),
    "the follower says too soon that it is through": (_nothing, _storing(duo.FOLLOWER, lambda s: s + 1), FOR_EVER),
    "the leader does not say that it is through": (_storing(duo.LEADER, lambda s: None), _nothing, FOR_EVER),
    "the follower does not say that it is through": (_nothing, _storing(duo.FOLLOWER, lambda s: None), FOR_EVER),
    "the follower does not say that it is there": (_nothing, _storing(duo.MAIL, lambda s: None), FOR_EVER),
    "the leader does not say from where on": (_storing(duo.SPLIT, lambda s: None), _nothing, FOR_EVER),
    "the follower does not wait for where": (_nothing, _loading(duo.SPLIT, lambda s: max(s, 0)), FOR_EVER),
    "the follower does not say that it gives up": (_nothing, _storing(duo.MAIL, lambda s: s % 2 or None), 3),
    "the leader does not see it": (_loading(duo.MAIL, lambda s: s % 2), _nothing, 3),
    "the leader takes over where the follower has not been": (
        _loading(duo.FOLLOWER, lambda s: s + 1), _nothing, 3
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_can_be_left_out(name: str) -> None:
    leads, follows, patience = CHANGES[name]
    change = lambda machine: (leads(machine), follows(machine))  # noqa: E731
    seen = (fault(phases, seed, patience, change) for seed in range(10) for phases in (1, 3))
    harmless = [*itertools.takewhile(lambda one: one in ("", "alone"), seen)]
    assert len(harmless) < 20 or set(harmless) == {"alone"}


@pytest.mark.parametrize(("word", "ends"), [(lambda s: s, duo.RETIRED), (lambda s: None, duo.JOINED)])
def test_a_late_follower_is_asked_to_retire(word: Any, ends: int) -> None:
    """One that is slow once, and would wait for ever itself; without the word the leader would wait at every step."""
    machine = Machine(1, 0, 10)
    machine.stay = 0.0  # now the one, now the other
    names = machine.names | _storing(duo.RETIRE, word)(machine)
    patient = machine.names | {"_waited": lambda *given: machine.names["_waited"](*given[:3], FOR_EVER)}

    def slow(s: int, lo: int, hi: int, zx: int, own: int, *more: Any) -> None:
        machine.step(s, lo, hi, zx, own, *more)
        for _ in range(200 if own == 1 and s == 20 else 0):
            machine.point()

    machine.run(varied(duo.lead, **names | {"_step": slow}), varied(duo.follow, **patient | {"_step": slow}))
    assert machine.found == expected(1)
    assert machine.sync[duo.MAIL] == ends
