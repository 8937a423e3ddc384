"""Learning rates that change with the number of updates, with Keras's names and formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from . import names
from .types import Config


class LearningRateSchedule:
    """What all schedules have in common: called with the number of updates so far, one gives the rate of the next.

    For one of your own, derive from it and write `__call__`. A file cannot hold it: of a model that learns by it,
    `save_weights` writes the weights.

    Examples
    --------
    >>> from fastlstm.nn.optimizers.schedules import LearningRateSchedule
    >>> class Halving(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 / (1 + step)
    >>> Halving()(1)
    0.05
    """

    def __call__(self, step: int) -> float:
        """The rate of the next update.

        Parameters
        ----------
        step : int
            How many updates have been made.

        Returns
        -------
        float
        """
        raise NotImplementedError(f"{type(self).__name__}: expected __call__ to be overridden")

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same schedule again.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected get_config to be overridden")

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> LearningRateSchedule:
        """The schedule that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        LearningRateSchedule

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        return cls(**config)


class _Decay(LearningRateSchedule):
    """A rate that falls over a number of steps."""

    def __init__(self, initial_learning_rate: float, decay_steps: int, name: str) -> None:
        self.initial_learning_rate = names.real("initial_learning_rate", initial_learning_rate, 0.0)
        self.decay_steps = names.real("decay_steps", decay_steps, 1.0)
        self.name = names.text("name", name)

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))

    def _progress(self, step: int, staircase: bool) -> float:
        p = step / self.decay_steps
        return math.floor(p) if staircase else p


class ExponentialDecay(_Decay):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate : float
    staircase : bool
        Whether step / decay_steps is rounded down.
    name : str

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    Examples
    --------
    >>> from fastlstm.nn.optimizers.schedules import ExponentialDecay
    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.decay_rate, self.staircase = names.real("decay_rate", decay_rate, 0.0), names.flag("staircase", staircase)

    def __call__(self, step: int) -> float:
        try:
            return float(self.initial_learning_rate * self.decay_rate ** self._progress(step, self.staircase))
        except OverflowError:  # a rate that grows
            return math.inf


class InverseTimeDecay(_Decay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate : float
    staircase : bool
        Whether step / decay_steps is rounded down.
    name : str

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    Examples
    --------
    >>> from fastlstm.nn.optimizers.schedules import InverseTimeDecay
    >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.decay_rate, self.staircase = names.real("decay_rate", decay_rate, 0.0), names.flag("staircase", staircase)

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._progress(step, self.staircase))


class PolynomialDecay(_Decay):
    """From initial_learning_rate to end_learning_rate along (1 - step / decay_steps) ** power.

    Parameters
    ----------
    initial_learning_rate, decay_steps : float
    end_learning_rate, power : float
    cycle : bool
        Whether the rate rises again after decay_steps, and falls until the next multiple of them, and so on. Without
        it the rate stays as it is then.
    name : str

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    Examples
    --------
    >>> from fastlstm.nn.optimizers.schedules import PolynomialDecay
    >>> round(PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0)(25), 6)
    0.075
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.end_learning_rate = names.real("end_learning_rate", end_learning_rate, 0.0)
        self.power, self.cycle = names.real("power", power, 0.0), names.flag("cycle", cycle)

    def __call__(self, step: int) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        p = min(step, steps) / steps
        gap = self.initial_learning_rate - self.end_learning_rate
        return float(gap * (1 - p) ** self.power + self.end_learning_rate)


class CosineDecay(_Decay):
    """Half a cosine from the initial rate down to alpha times it [1]_, after a linear rise if one is asked for.

    Parameters
    ----------
    initial_learning_rate, decay_steps : float
    alpha : float
        What remains at the end, as a part of the rate that the cosine begins with.
    name : str
    warmup_target : float, optional
        What the rate rises to before it falls. None: it does not rise.
    warmup_steps : int
        Steps of the rise.

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.

    Examples
    --------
    >>> from fastlstm.nn.optimizers.schedules import CosineDecay
    >>> CosineDecay(0.1, decay_steps=100)(50)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps, name)
        self.alpha = names.real("alpha", alpha, 0.0)
        self.warmup_target = None if warmup_target is None else names.real("warmup_target", warmup_target, 0.0)
        self.warmup_steps = names.real("warmup_steps", warmup_steps, 0.0)

    def __call__(self, step: int) -> float:
        top, done = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return (self.warmup_target - top) * (step / self.warmup_steps) + top
            top, done = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(done, self.decay_steps) / self.decay_steps))
        return top * ((1 - self.alpha) * cosine + self.alpha)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[0] until step boundaries[0], that step included; then values[1] until boundaries[1], and so on.

    Parameters
    ----------
    boundaries : sequence of numbers, rising
    values : sequence of numbers, one more than boundaries
    name : str

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    Examples
    --------
    >>> from fastlstm.nn.optimizers.schedules import PiecewiseConstantDecay
    >>> rate = PiecewiseConstantDecay([100, 200], [0.1, 0.05, 0.01])
    >>> rate(100), rate(101), rate(1000)
    (0.1, 0.05, 0.01)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        self.boundaries, self.values = names.reals("boundaries", boundaries), names.reals("values", values, 0.0)
        self.name = names.text("name", name)
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(f"values: expected {len(self.boundaries) + 1}, one more than boundaries, "
                             f"got {len(self.values)}")  # fmt: skip
        if sorted(self.boundaries) != self.boundaries:
            raise ValueError(f"boundaries: expected rising numbers, got {self.boundaries}")

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


KNOWN: dict[str, type[LearningRateSchedule]] = {
    names.snake_case(schedule.__name__): schedule
    for schedule in (ExponentialDecay, PiecewiseConstantDecay, CosineDecay, PolynomialDecay, InverseTimeDecay)
}
"""Names that `get` knows."""


def get(record: Config) -> LearningRateSchedule:
    """A schedule from what `serialize` made of it.

    Parameters
    ----------
    record : dict

    Returns
    -------
    LearningRateSchedule

    Raises
    ------
    ValueError
        Something that `serialize` does not make; a class that is not in this module.

    Examples
    --------
    >>> from fastlstm.nn.optimizers import schedules
    >>> record = schedules.serialize(schedules.CosineDecay(0.1, decay_steps=100))
    >>> schedules.deserialize(record)(50)
    0.05
    """
    made: LearningRateSchedule = names.deserialize("learning_rate", record, KNOWN)
    return made
