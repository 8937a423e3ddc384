"""The ways in which threads share a call's work, forced; and what a scheduler may do to these threads, on purpose.

`forced` chooses the way. `in_turns` then runs the workers of each turn one after another, in an order of the test's,
and leaves out meetings. `late` runs them on threads that come late to their meetings, by chance. Whatever a thread
reads of another's within a turn shows as other bits in some order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any
from unittest import mock

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from fastlstm.cpu.compiler import options, run
from fastlstm.cpu.lstm import forward, records
from fastlstm.cpu.lstm import two_threads as duo
from fastlstm.cpu.machine import threads
from fastlstm.cpu.machine.atomics import fetch_add, load_acquire, store_release, wait_a_little
from fastlstm.cpu.machine.threads import SHARE_ROWS, SHARE_SEQUENCE, SHARE_UNITS

SHARES = {"one": SHARE_ROWS, "rows": SHARE_ROWS, "units": SHARE_UNITS, "sequence": SHARE_SEQUENCE}


@contextmanager
def forced(way: str, workers: int = 2) -> Iterator[None]:
    """Every call goes that way, whatever its sizes, and nothing is timed.

    way: "one", everything in the calling thread; "rows", a thread has some of the rows; "units", some of the units of
    all rows; "sequence", two threads on the one sequence, which is forward only: backward they share units. workers may
    be more than Numba's threads, which then do the work of several one after another.
    """
    with mock.patch.object(threads, "forced", threads.Way(SHARES[way], 1 if way == "one" else workers)):
        yield


@contextmanager
def time_blocks(rows: int) -> Iterator[None]:
    """Blocks of time of the backward pass of so many rows: more than one in a short sequence. This changes bits."""
    with mock.patch.object(records, "_BLOCK_ROWS", rows):
        yield


@numba.njit
def _share(body: int, first: int, last: int, worker: int, workers: int, place: int) -> None:
    """A worker's share of some turns of a kernel."""
    run._call(body, (first, last, worker, workers, place))


@numba.njit
def _nothing(first: int, last: int, worker: int, workers: int, place: Any) -> None:
    """A kernel that leaves its arguments where they are."""


Order = Callable[[int], list[int]]
forwards: Order = lambda workers: list(range(workers))  # noqa: E731
backwards: Order = lambda workers: list(range(workers))[::-1]  # noqa: E731


def shuffled(seed: int) -> Order:
    """Another order in each turn."""
    rng = np.random.default_rng(seed)
    return lambda workers: list(rng.permutation(workers))


class Turns:
    """Stands in for what runs kernels (run._enter).

    Attributes
    ----------
    order : function
        Workers of a turn -> them in the order in which they run.
    unmet : (kernel, turn) or None
        Behind that turn of that kernel nobody waits for anybody: each worker goes on to the next one at once.
    seen : list of (kernel, turns, workers)
        What has run.
    before : function or None
        Called before each turn with kernel, turn, the kernel's arguments, and a function that runs a worker's share.
    """

    def __init__(self, order: Order, unmet: tuple[Any, int] | None = None) -> None:
        self.order, self.unmet = order, unmet
        self.seen: list[tuple[Any, int, int]] = []
        self.before: Any = None
        self._enter = run._enter
        self._store = run._address(_nothing, (*run._KINDS, types.voidptr))

    def __call__(self, region: int, body: int, turns: int, workers: int, place: int, arguments: Any) -> None:
        ((kernel, size),) = {(key[0], found.size) for key, found in run._bodies.items() if found.address == body}
        room = np.zeros(-(-size // 8), np.int64)
        place = place or room.ctypes.data  # where runs are recorded, they have a place
        self._enter(0, self._store, 1, 1, place, arguments)
        self.seen.append((kernel, turns, workers))
        turn = 0
        while turn < turns:
            end = turn + (2 if self.unmet == (kernel, turn) else 1)
            share = functools.partial(_share, body, turn, end, workers=workers, place=place)
            if self.before is not None:
                self.before(kernel, turn, arguments, share)
            for worker in self.order(workers):
                share(worker=worker)
            turn = end


@contextmanager
def in_turns(order: Order = forwards, unmet: tuple[Any, int] | None = None) -> Iterator[Turns]:
    """No threads: the workers of a turn run one after another."""
    turns = Turns(order, unmet)
    bodies, entry = {key: body._replace(enter=turns) for key, body in run._bodies.items()}, run._entry

    def entered(kinds: Any) -> Any:
        entry(kinds)  # which the turns themselves need
        return turns

    with mock.patch.dict(run._bodies, bodies), mock.patch.object(run, "_entry", entered):
        yield turns


_words = np.zeros(2, np.int64)  # the seed, and how often somebody was delayed
_AT = _words.ctypes.data


@intrinsic  # type: ignore[misc]
def _drawn(typing: Any, at: Any) -> Any:
    """A number that nobody else draws, from the seed."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        seed = builder.load(builder.inttoptr(args[0], word.as_pointer()))
        counter = builder.inttoptr(builder.add(args[0], ir.Constant(word, 8)), word.as_pointer())
        count = builder.atomic_rmw("add", counter, ir.Constant(word, 1), "monotonic")
        return builder.add(builder.mul(seed, ir.Constant(word, 1_000_003)), count)

    return types.int64(types.int64), generate


@options.compiled
def be_late() -> None:
    """Wait, half of the times: up to some twenty microseconds."""
    number = np.uint64(_drawn(_AT)) * np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    number ^= number >> np.uint64(32)
    if number & np.uint64(1):
        for _ in range(np.int64((number >> np.uint64(8)) & np.uint64(511))):
            wait_a_little(0, 1)


def _late_region(body: Any, turns: Any, workers: Any, place: Any) -> None:
    for turn in range(turns):
        for worker in prange(workers):
            be_late()
            run._call(body, (turn, turn + 1, np.int64(worker), workers, place))


_late_region = numba.njit(parallel=True, **options.OPTIONS)(_late_region)


@contextmanager
def late(seed: int) -> Iterator[None]:
    """Threads come late to a turn, by chance. The delays follow from the seed, but for who asks first."""
    _words[:] = seed, 0
    address = run._address(_late_region, run._KINDS)
    with mock.patch.object(run, "_regions", [address]):
        yield
    assert _words[1] > 0


@functools.cache
def _kernel_of_one_sequence() -> Any:
    """The forward kernel once more, for one sequence on two threads, which come late to their exchanges. Where threads
    share units by turns, these are the phases of two_threads.py too."""

    def late_store(sync: Any, at: Any, value: Any) -> None:
        be_late()
        store_release(sync, at, value)
        be_late()

    def late_wait(sync: Any, at: Any, value: Any, patience: Any) -> Any:
        be_late()
        return duo._waited(sync, at, value, patience)

    def ticket_of_two(sync: Any) -> Any:
        ticket = fetch_add(sync, duo.TICKETS, 1)
        turns = np.int64(0)
        while load_acquire(sync, duo.TICKETS) < 2 and turns < 10_000:  # with one thread the other never comes
            wait_a_little(turns, 100)
            turns += 1
        return ticket

    def no_rows(*arguments: Any) -> None:
        pass

    def half(w: Any, workers: Any, turn: Any, given: Any) -> None:
        """A thread's part of phase number `turn`; the inputs of its step behind what a step needs to work in."""
        every, mid = duo._parts(turn, given)
        lo, hi = (0, mid) if w == 0 else (mid, every)
        phases = given.weights.cell.phase_count
        zx = duo._inputs_of(0, given) + w * duo._row(given)
        if turn % phases == 0:
            duo._inputs(turn // phases, 1, lo, hi, zx, given)
        duo._step(turn, lo, hi, zx, w, given)

    store, wait = options.compiled(late_store), options.compiled(late_wait)
    names = {
        "lead": options.compiled(varied(duo.lead, store_release=store, _waited=wait)),
        "follow": options.compiled(varied(duo.follow, store_release=store, _waited=wait)),
        "take_ticket": options.compiled(ticket_of_two),
        "forward_rows": options.compiled(no_rows),
        "shared_step": options.compiled(half),
    }
    body = varied(forward.forward.py_func, **names)
    return numba.njit(_nrt=False, no_cpython_wrapper=True, **options.OPTIONS)(body)


def varied(function: Any, **names: Any) -> Any:
    """A function of the package once more, in which some names of its module mean something else."""
    return FunctionType(function.__code__, function.__globals__ | names, function.__name__, function.__defaults__)


@contextmanager
def one_sequence() -> Iterator[None]:
    """Forward passes are those of one sequence only: with `forced("sequence")` both threads come late to all that they
    exchange, and with `forced("units", 2)` their phases are turns, for `in_turns`."""
    with mock.patch.object(forward, "forward", _kernel_of_one_sequence()):
        yield
