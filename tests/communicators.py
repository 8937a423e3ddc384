"""A communicator of threads: what `fit` needs of mpi4py's, for tests without MPI. No exchange waits for long."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

PATIENCE = 30.0  # seconds until a rank that waits for another gives up


class Aborted(BaseException):
    """What `Abort` of one rank does to the others."""


class _Meeting:
    def __init__(self, size: int) -> None:
        self.barrier, self.given = threading.Barrier(size), [None] * size
        self.aborted = False


class Communicator:
    """One rank's. Sums are in the order of the ranks."""

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        self._rank, self._meeting = rank, meeting
        self.exchanged: list[tuple[str, int]] = []  # what, and of how many numbers

    def Get_rank(self) -> int:
        return self._rank

    def Get_size(self) -> int:
        return len(self._meeting.given)

    def _exchange(self, value: Any) -> list[Any]:
        meeting = self._meeting
        meeting.given[self._rank] = value
        try:
            meeting.barrier.wait(PATIENCE)
            found = list(meeting.given)
            meeting.barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            raise (Aborted if meeting.aborted else TimeoutError)("the other ranks are gone") from None
        return found

    def allgather(self, value: Any) -> list[Any]:
        self.exchanged.append(("allgather", 0))
        return copy.deepcopy(self._exchange(value))

    def bcast(self, value: Any, root: int = 0) -> Any:
        return copy.deepcopy(self._exchange(value)[root])

    def Bcast(self, numbers: Any, root: int = 0) -> None:
        numbers[...] = self._exchange(numbers.copy())[root]

    def Allreduce(self, send: Any, receive: Any) -> None:
        self.exchanged.append(("Allreduce", len(send)))
        parts = self._exchange(send.copy())
        assert {(part.shape, part.dtype) for part in parts} == {(receive.shape, receive.dtype)}
        receive[...] = np.sum(parts, axis=0, dtype=receive.dtype)

    def Abort(self, code: int) -> None:
        self._meeting.aborted = True
        self._meeting.barrier.abort()


def together(size: int, action: Callable[[Communicator], Any]) -> list[Any]:
    """What the action returns, or raises, at each rank."""
    meeting, found = _Meeting(size), [None] * size

    def run(rank: int) -> None:
        try:
            found[rank] = action(Communicator(rank, meeting))
        except BaseException as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
