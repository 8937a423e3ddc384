"""Processes that learn one model together, by an MPI communicator: what they tell each other, and that none waits for
one that has failed.

All processes take part in the same exchanges in the same order. So an error in one of them is kept until the next
exchange, which tells the others of it: all end there.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
T = TypeVar("T")
_NEEDED = ("Get_rank", "Get_size", "Allreduce", "Bcast", "allgather", "bcast", "Abort")


class Ranks:
    """The processes of a communicator, seen from one of them.

    Attributes
    ----------
    rank, size : int
        The number of this process, and how many there are.
    ended : bool
        Whether all know that they end.
    """

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self.ended = False
        self._failure: BaseException | None = None

    @staticmethod
    def of(comm: Any) -> Ranks | None:
        """None for no communicator, and for one of a single process, which has nobody to talk to.

        Raises
        ------
        TypeError, ValueError
            No communicator; one between two groups; one that this process is no part of.
        """
        if comm is None:
            return None
        if isinstance(comm, type) or not all(callable(getattr(comm, name, None)) for name in _NEEDED):
            raise TypeError("comm: expected a communicator of mpi4py such as MPI.COMM_WORLD, got "
                            f"{comm.__name__ if isinstance(comm, type) else type(comm).__name__}")  # fmt: skip
        try:
            if getattr(comm, "Is_inter", bool)():
                raise ValueError("comm: expected a communicator within one group, got one between two")
            found = Ranks(comm)
        except RuntimeError as error:  # as MPI.Exception is one
            raise ValueError(f"comm: expected a communicator that this process is part of, got {error}") from error
        return found if found.size > 1 else None

    @property
    def failed(self) -> bool:
        """Whether something has failed here that the others do not know of yet."""
        return self._failure is not None

    def attempt(self, action: Callable[..., T], *arguments: Any) -> T | None:
        """What the action returns. None where it fails, or something has failed before: the next exchange says so."""
        if self._failure is not None:
            return None
        try:
            return action(*arguments)
        except BaseException as error:  # Ctrl-C too: the others must not wait
            self._failure = error
            return None

    def gather(self, value: Any = None) -> list[Any]:
        """What each rank gives; an error at all of them where something has failed at one."""
        given = self._comm.allgather((self._said(), None if self.failed else value))
        if any(said is not None for said, _ in given):
            self._end([said for said, _ in given])
        return [value for _, value in given]

    def add_up(self, send: Array, receive: Array, failed: int) -> None:
        """The sum of all ranks' numbers into `receive`; the number at `failed` says whether something has failed."""
        if self.failed:
            send[:] = 0
            send[failed] = 1
        self._comm.Allreduce(send, receive)
        if receive[failed] > 0:
            self._end(self._comm.allgather(self._said()))

    def from_first(self, numbers: Array, value: Any) -> Any:
        """Rank 0's numbers, into the array, and rank 0's value."""
        self._comm.Bcast(numbers, root=0)
        return self._comm.bcast(value, root=0)

    def same(self, facts: Mapping[str, str]) -> None:
        """Refuse what should be the same at all ranks and is not.

        Raises
        ------
        ValueError
            At all ranks; the message says what is unlike, and where.
        """
        first, *others = self.gather(dict(facts))
        for rank, other in enumerate(others, 1):
            for name, expected in first.items():
                if other[name] != expected:
                    self.ended = True
                    raise ValueError(f"{name}: expected {expected} at all ranks, as at rank 0, got {other[name]} at "
                                     f"rank {rank}")  # fmt: skip

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What is done inside, all ranks have done after it, or all raise."""
        try:
            yield
        except BaseException as error:
            self._failure = error
        self.gather()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """An error that comes out of an exchange itself ends all processes: the others wait there."""
        try:
            yield
        except BaseException:
            if not self.ended:
                self.ended = True
                traceback.print_exc()
                sys.stderr.flush()
                self._comm.Abort(1)
            raise

    def _said(self) -> str | None:
        """What has failed here, in words."""
        error = self._failure
        return None if error is None else f"{type(error).__name__}: {error}"

    def _end(self, said: list[str | None]) -> None:
        """Raise what has failed here, or at the others."""
        self.ended = True
        if self._failure is not None:
            raise self._failure
        raise RuntimeError("; ".join(f"rank {rank}: {one}" for rank, one in enumerate(said) if one is not None))


def canonical(numbers: Array) -> bytes:
    """The numbers' bits; all NaN are alike, as their bits hang on the order of a sum."""
    return np.where(np.isnan(numbers), np.nan, numbers).astype(numbers.dtype).tobytes()
