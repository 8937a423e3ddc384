"""Where weights, dropout and shuffling get their numbers from.

A model has one generator, which all its layers share that have no seed of their own: its state is all that a checkpoint
needs. Every new generator is an independent stream of the sequence that `set_random_seed` begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_streams = np.random.SeedSequence()


def set_random_seed(seed: int) -> None:
    """Make all that follows repeatable: models and layers made from here on get the same numbers every time.

    Parameters
    ----------
    seed : int
        At least 0.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    Examples
    --------
    >>> from fastlstm import nn
    >>> nn.set_random_seed(0)
    """
    global _streams
    _streams = np.random.SeedSequence(checked_seed(seed))


def checked_seed(seed: Any) -> int:
    """seed as an int."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed: expected an integer, got {type(seed).__name__}")
    if seed < 0:
        raise ValueError(f"seed: expected at least 0, got {seed}")
    return int(seed)


def generator(seed: int | None = None) -> np.random.Generator:
    """A generator from that seed, or the next stream."""
    begin = _streams.spawn(1)[0] if seed is None else np.random.SeedSequence(checked_seed(seed))
    return np.random.Generator(np.random.PCG64(begin))


def state_of(rng: np.random.Generator) -> dict[str, Any]:
    """A generator's state, as JSON can hold it."""
    return dict(rng.bit_generator.state)


def set_state(rng: np.random.Generator, state: Any) -> None:
    """Put a generator where `state_of` found another.

    Raises
    ------
    ValueError
        No such state.
    """
    try:
        rng.bit_generator.state = state
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise ValueError(f"generator: expected the state of a PCG64, got {state!r:.200}") from error
