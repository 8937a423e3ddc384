"""Optimizers with Keras's names, defaults and update rules: one compiled pass over all of a model's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import backend, checks
from ...backend import UpdateRule
from . import names, records, schedules
from .options import Options
from .schedules import LearningRateSchedule
from .types import Config, OptimizerLike, Tree

Array = NDArray[Any]

_TINY = float(np.finfo(np.float64).tiny)


def _optional(low: float) -> Callable[[str, Any], float | None]:
    """A check: None, or a number of at least that."""
    return lambda name, value: None if value is None else names.real(name, value, low)


def _number(low: float, high: float = math.inf) -> Callable[[str, Any], float]:
    """A check: a number between."""
    return lambda name, value: names.real(name, value, low, high)


def _decay(name: str, value: Any) -> float:
    """A check: a rate at which weights decay."""
    if value is None:
        raise TypeError(f"{name}: expected a number, got None; Adam goes without")
    return names.real(name, value, 0.0)


_BELOW_1 = math.nextafter(1.0, 0.0)
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


class _Records(NamedTuple):
    """Weights that `step` was called for: names, shapes and types; their places in vectors, and these."""

    about: list[tuple[str, tuple[int, ...], np.dtype[Any]]]
    parts: list[slice]
    params: Array
    grads: Array


def _listed(about: Iterable[tuple[str, tuple[int, ...], Any]]) -> str:
    return ", ".join(f"{name} {shape} {dtype}" for name, shape, dtype in about)


class Optimizer(Options):
    """What all optimizers have in common.

    `build` tells it about the parameters, and `update` changes them in place. An update has three parts, in this order:
    the gradient is clipped; each weight w decays, by learning_rate * weight_decay * w; the rule of the class is
    applied. What the constructor takes may be set at any time, and holds from the next update on.

    An optimizer learns for the first model that trains with it, and for no other: what it has learned of one model's
    weights means nothing for another's.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float, optional
    clipnorm : float, optional
        Bound of the norm of each variable's gradient. One with a larger norm is scaled down to it.
    clipvalue : float, optional
        Bound of each number in the gradient.
    global_clipnorm : float, optional
        Bound of the norm of the whole gradient. At most one of the three may be given.
    name : str

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense; more than one way of clipping.

    Examples
    --------
    >>> from fastlstm.nn.optimizers import Adam
    >>> adam = Adam(1e-3, clipnorm=1.0)
    >>> adam.learning_rate = 1e-4
    >>> adam
    Adam(learning_rate=0.0001, clipnorm=1.0)
    """

    _kernel: ClassVar[str]
    _options = {"weight_decay": _optional(0.0)} | {name: _optional(_TINY) for name in _CLIPS}

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
        name: str,
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.name = names.text("name", name)
        self.iterations = 0
        self._excluded: tuple[str, ...] = ()
        self._slots: dict[str, Array] = {}
        self._layout: tuple[Any, ...] | None = None  # shape, type and variables that it was built for
        self._params: Array | None = None  # the parameters themselves
        self._records: _Records | None = None  # where `step` has put others

    def _checked(self, name: str, value: Any) -> Any:
        found = super()._checked(name, value)
        if name in _CLIPS and found is not None:
            all_three = {other: vars(self).get(other) for other in _CLIPS} | {name: found}
            if sum(limit is not None for limit in all_three.values()) > 1:
                raise ValueError(f"{', '.join(_CLIPS)}: expected at most one of them, got "
                                 f"{', '.join(map(str, all_three.values()))}")  # fmt: skip
        return found

    @property
    def learning_rate(self) -> float:
        """The rate of the next update. A number or a schedule may be assigned.

        A number cannot take the place of a schedule, as in Keras: that would be the end of the schedule.
        """
        if isinstance(self._rate, LearningRateSchedule):
            return names.real("learning_rate", self._rate(self.iterations), 0.0)
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        if not isinstance(value, LearningRateSchedule):
            if self._schedule is not None:
                raise TypeError(f"learning_rate: expected a LearningRateSchedule in place of one, "
                                f"{type(self._schedule).__name__}, got {value!r}")  # fmt: skip
            try:
                value = names.real("learning_rate", value, 0.0)
            except TypeError:
                raise TypeError(
                    f"learning_rate: expected a float or LearningRateSchedule, got {type(value).__name__}"
                ) from None
        self._rate: float | LearningRateSchedule = value

    @property
    def _schedule(self) -> LearningRateSchedule | None:
        """What gives the learning rate, where that is not a number."""
        rate = getattr(self, "_rate", None)
        return rate if isinstance(rate, LearningRateSchedule) else None

    @property
    def built(self) -> bool:
        """Whether `build` was called."""
        return self._layout is not None

    @property
    def excluded_from_weight_decay(self) -> tuple[str, ...]:
        """What `exclude_from_weight_decay` was given last: parts of names; empty if nothing."""
        return self._excluded

    def exclude_from_weight_decay(self, var_names: Sequence[str]) -> None:
        """Say which variables' weights do not decay; before `build`.

        Parameters
        ----------
        var_names : sequence of str
            Parts of names: ["bias"] spares every variable with "bias" in its name.

        Raises
        ------
        RuntimeError
            The optimizer is built.
        TypeError
            Something else than names.
        """
        some = not isinstance(var_names, str) and isinstance(var_names, Iterable)
        found = tuple(var_names) if some else ()
        if not some or not all(isinstance(part, str) for part in found):
            raise TypeError(f"var_names: expected a sequence of str, got {var_names!r}")
        if self.built:
            raise RuntimeError("exclude_from_weight_decay: expected to be called before build")
        self._excluded = found

    def build(self, flat_params: Array, slices: Sequence[tuple[str, slice]] | None = None) -> None:
        """Learn what is to be updated, and make room for what the rule keeps.

        A second call for the same vector may name other variables; what is kept stays. A call for another vector begins
        anew.

        Parameters
        ----------
        flat_params : ndarray of float32 or float64, shape (P,)
            All parameters, in C order; of the type and length that `update` will get.
        slices : sequence of (str, slice), optional
            Name and place of each variable in the vector, in rising order; one variable of all of it if None. What
            lies outside of them is not updated.

        Raises
        ------
        ValueError, TypeError
            A vector or slices that make no sense.
        """
        if not isinstance(flat_params, np.ndarray) or flat_params.dtype not in (np.float32, np.float64):
            raise TypeError(f"flat_params: expected an array of float32 or float64, got "
                            f"{getattr(flat_params, 'dtype', type(flat_params).__name__)}")  # fmt: skip
        if flat_params.ndim != 1:
            raise ValueError(f"flat_params: expected shape (P,), got {flat_params.shape}")
        P, dtype = len(flat_params), flat_params.dtype
        variables = [("params", slice(0, P))] if slices is None else list(slices)
        bounds = [where.indices(P) for _, where in variables]
        begins, ends = [begin for begin, _, _ in bounds], [end for _, end, _ in bounds]
        edges = [edge for pair in zip(begins, ends, strict=True) for edge in pair]
        if any(step != 1 for _, _, step in bounds) or edges != sorted(edges):
            raise ValueError(f"slices: expected rising slices that do not overlap, got {variables}")
        layout = ((P,), dtype, [name for name, _ in variables], edges)
        if layout == self._layout and self._knows(flat_params):
            return
        if not self._knows(flat_params):
            self._params, self.iterations, self._slots = flat_params, 0, {}
        self._layout = layout
        self._chunks = backend.engine.training.cut(begins, ends)
        self._squares = np.empty(len(self._chunks))
        self._settled = -1
        self._settle()

    def _settle(self) -> None:
        """What follows from the options, where they have changed. A slot that comes to be used begins with zeros."""
        if self._layout is None or self._settled == self._changes:
            return
        (P,), dtype, variables, _ = self._layout
        self._settled = self._changes
        self._factors = np.ones((len(variables), 2), dtype)
        for v, name in enumerate(variables):
            spared = any(part in name for part in self._excluded)
            self._factors[v, 1] = 0.0 if spared else self.weight_decay or 0.0
        norm = self.clipnorm or self.global_clipnorm or math.inf
        clip = "each" if self.clipnorm else "global" if self.global_clipnorm else "none"
        self._numbers = np.array([0.0, norm, self.clipvalue or math.inf, *self._own_numbers()], dtype)
        self._rule = UpdateRule(self._kernel, clip, self._chunks, self._factors, self._squares, self._numbers)
        wanted, before = self._slot_names(), self._slots
        self._slots = {
            slot: before[slot] if slot in before else np.zeros(P, dtype) for slot, used in wanted.items() if used
        }
        self._own = [self._slots.get(slot, np.zeros(0, dtype)) for slot in wanted]

    def _knows(self, flat_params: Array) -> bool:
        """Whether `build` was called for this very vector."""
        return self._params is flat_params

    def _moved(self, flat_params: Array) -> None:
        """The parameters that it was built for stand in this vector now. This is a copy: its arrays may be mapped files
        that cannot be written to, and what was one array may be two, as joblib reads them."""
        self._params = flat_params
        self._slots = {name: np.array(slot) for name, slot in self._slots.items()}
        self._chunks, self._squares = np.array(self._chunks), np.empty(len(self._chunks))
        self._settled = -1
        self._settle()

    def _forget(self) -> None:
        """What was learned; the next `build` begins anew."""
        self._layout = self._params = None
        self._slots, self.iterations, self._records = {}, 0, None

    def update(self, flat_params: Array, flat_grads: Array) -> None:
        """Change the parameters in place by one step against their gradient.

        Parameters
        ----------
        flat_params, flat_grads : ndarray, shape (P,)
            Of the type that `build` got, in C order.

        Raises
        ------
        ValueError, TypeError
            Other arrays.
        RuntimeError
            The optimizer is not built.
        """
        if self._layout is None:
            raise RuntimeError(f"{self.name}: expected build before update")
        shape, dtype, *_ = self._layout
        checks.own("flat_params", flat_params, shape, dtype)
        checks.own("flat_grads", flat_grads, shape, dtype)
        if self._settled != self._changes:
            self._settle()
        self._before_update(self.learning_rate)
        if len(self._chunks):
            backend.engine.training.update(self._rule, flat_params, flat_grads, self._own)
        self.iterations += 1

    def step(self, params: Tree, grads: Tree) -> None:
        """`update` for weights of the functional core: each array is changed in place.

        The first call builds the optimizer. Later calls have to be about the same weights, by their names and shapes,
        as the rule keeps numbers of each (momenta, say). What `fastlstm.pack` made of the weights has to be made again.

        Parameters
        ----------
        params : a record of weights, Bidirectional, a stack of these; or any tuple, list or dict of such and of arrays
            Of float32 or of float64, all alike.
        grads : the same of gradients, or what `fastlstm.backward` returns

        Raises
        ------
        ValueError, TypeError
            Others than arrays that may be written to; gradients, or weights, that do not fit those of the first call.
        RuntimeError
            The optimizer was built for a vector.

        Notes
        -----
        Names, for `exclude_from_weight_decay`, are kernel, recurrent_kernel and bias, and of a stack 0/bias,
        1/forward/bias and so on.

        Examples
        --------
        >>> import numpy as np
        >>> import fastlstm
        >>> from fastlstm.nn.optimizers import Adam
        >>> rng = np.random.default_rng(0)
        >>> x, target = rng.standard_normal((8, 20, 3)), rng.uniform(-0.5, 0.5, (8, 20, 4))
        >>> params, adam = fastlstm.init_params(3, 4, rng=0), Adam(0.01)
        >>> errors = []
        >>> for _ in range(50):
        ...     y, _, tape = fastlstm.forward_train(x, params)
        ...     errors.append(float(np.square(y - target).mean()))
        ...     adam.step(params, fastlstm.backward(tape, 2 * (y - target) / y.size))
        >>> errors[-1] < 0.8 * errors[0]
        True
        """
        found = records.weights(params)
        slopes = records.gradients(grads, found)
        about = [(name, array.shape, array.dtype) for name, array in found]
        if self._records is None:
            if self.built:
                raise RuntimeError(f"{self.name}: expected an optimizer that was not built, got one that learns for a "
                                   f"vector; {type(self).__name__}.from_config(optimizer.get_config()) makes another "
                                   "like it")  # fmt: skip
            ends = np.cumsum([array.size for _, array in found])
            flat = np.zeros(ends[-1], found[0][1].dtype)
            parts = [slice(end - array.size, end) for end, (_, array) in zip(ends.tolist(), found, strict=True)]
            self.build(flat, [(name, part) for (name, _), part in zip(found, parts, strict=True)])
            self._records = _Records(about, parts, flat, np.zeros_like(flat))
        about_first, parts, flat, flat_grads = self._records
        if about != about_first:
            raise ValueError(f"params: expected {_listed(about_first)}, as at the first call, got {_listed(about)}")
        for part, (_, array), slope in zip(parts, found, slopes, strict=True):
            flat[part], flat_grads[part] = array.reshape(-1), slope.reshape(-1)
        self.update(flat, flat_grads)
        for part, (_, array) in zip(parts, found, strict=True):
            array[...] = flat[part].reshape(array.shape)

    def state(self) -> dict[str, Array]:
        """What the optimizer has learned, for `load_state`.

        Returns
        -------
        dict of str to ndarray
            Copies of the arrays that the rule keeps; ``iterations``, the number of updates; and ``learning_rate``,
            unless that is a schedule.
        """
        self._settle()
        found = {name: array.copy() for name, array in self._slots.items()}
        found["iterations"] = np.array(self.iterations, np.int64)
        if not isinstance(self._rate, LearningRateSchedule):
            found["learning_rate"] = np.array(self._rate, np.float64)
        return found

    def load_state(self, state: Mapping[str, ArrayLike]) -> None:
        """Go on from what `state` returned, of an optimizer of the same class and arguments; after `build`.

        Parameters
        ----------
        state : dict of arrays

        Raises
        ------
        ValueError, TypeError
            Other names, shapes or types; nothing has been changed then.
        RuntimeError
            The optimizer is not built.
        """
        if self._layout is None:
            raise RuntimeError(f"{self.name}: expected build before load_state")
        scheduled = self._schedule is not None
        self._settle()
        expected = {*self._slots, "iterations"} | (set() if scheduled else {"learning_rate"})
        if set(state) - {"learning_rate"} != expected - {"learning_rate"} or not expected <= set(state):
            raise ValueError(f"state: expected {sorted(expected)} for {self.name}, got {sorted(state)}")
        found = {name: checks.array(f"state[{name!r}]", value) for name, value in state.items()}
        whole, dtype, *_ = self._layout
        for name in expected:
            shape = whole if name in self._slots else ()
            if found[name].shape != shape:
                raise ValueError(f"state[{name!r}]: expected shape {shape}, got {found[name].shape}")
            if name in self._slots and found[name].dtype != dtype:
                raise TypeError(f"state[{name!r}]: expected {dtype}, got {found[name].dtype}")
        if found["iterations"].dtype.kind not in "iu" or found["iterations"] < 0:
            raise ValueError(f"state['iterations']: expected an integer, at least 0, got {found['iterations']}")
        if not scheduled:
            self.learning_rate = float(found["learning_rate"])
        self.iterations = int(found["iterations"])
        for name, array in self._slots.items():
            array[...] = found[name]

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same optimizer again; nothing of what it has learnt.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        rate = self._rate
        return {
            "name": self.name,
            "learning_rate": names.serialize(rate) if isinstance(rate, LearningRateSchedule) else rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }

    def __repr__(self) -> str:
        made = names.call(self, "learning_rate", learning_rate=self._rate)
        if self._layout is None:
            return made
        return f"<{made}: {self.iterations} update(s) of {self._layout[0][0]:,} weights>"

    @classmethod
    def from_config(cls, config: Config) -> Optimizer:
        """The optimizer that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Optimizer

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        found = dict(config)
        if isinstance(found.get("learning_rate"), Mapping):
            found["learning_rate"] = schedules.get(found["learning_rate"])
        return cls(**found)

    def _slot_names(self) -> dict[str, bool]:
        """Arrays like the parameters that the rule keeps, in its kernel's order, and whether they are used."""
        raise NotImplementedError

    def _own_numbers(self) -> list[float]:
        """The kernel's numbers behind those that all have."""
        raise NotImplementedError

    def _before_update(self, rate: float) -> None:
        self._numbers[0] = rate


class SGD(Optimizer):
    """Gradient descent, with momentum [1]_.

    With the gradient g, the parameters p and the momentum m: m = momentum * m - learning_rate * g, then p = p + m; with
    nesterov p = p + momentum * m - learning_rate * g.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    momentum : float
        From 0 to 1.
    nesterov : bool
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.

    Raises
    ------
    ValueError, TypeError
        As `Optimizer`.

    References
    ----------
    .. [1] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
       learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.optimizers import SGD
    >>> p, sgd = np.array([1.0, 2.0]), SGD(0.1)
    >>> sgd.build(p)
    >>> sgd.update(p, np.array([1.0, -1.0]))
    >>> p.tolist()
    [0.9, 2.1]
    """

    _kernel = "sgd"
    _options = Optimizer._options | {"momentum": _number(0.0, 1.0), "nesterov": names.flag}

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "SGD",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.momentum, self.nesterov = momentum, nesterov

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"momentum": self.momentum, "nesterov": self.nesterov}

    def _slot_names(self) -> dict[str, bool]:
        return {"momentum": self.momentum > 0}

    def _own_numbers(self) -> list[float]:
        return [self.momentum, float(self.nesterov)]


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient [1]_.

    With the gradient g and the parameters p: v = rho * v + (1 - rho) * g², then
    p = p - learning_rate * g / sqrt(v + epsilon).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    rho : float
        From 0 to 1.
    momentum : float
        From 0 to 1; above 0, steps are summed up with that decay.
    epsilon : float
    centered : bool
        Whether the gradient's running mean, squared, is taken off v: its variance then.
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.

    Raises
    ------
    ValueError, TypeError
        As `Optimizer`.

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "Lecture 6.5: RMSProp", Neural Networks for Machine Learning, Coursera 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.optimizers import RMSprop
    >>> p, rmsprop = np.array([1.0, 2.0]), RMSprop()
    >>> rmsprop.build(p)
    >>> rmsprop.update(p, np.array([5.0, -0.1]))
    >>> p.round(4).tolist()
    [0.9968, 2.0032]
    """

    _kernel = "rmsprop"
    _options = Optimizer._options | {
        "rho": _number(0.0, 1.0), "momentum": _number(0.0, 1.0), "epsilon": _number(0.0), "centered": names.flag,
    }  # fmt: skip

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "rmsprop",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def get_config(self) -> dict[str, Any]:
        own = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon, "centered": self.centered}
        return super().get_config() | own

    def _slot_names(self) -> dict[str, bool]:
        return {"velocity": True, "average_gradient": self.centered, "momentum": self.momentum > 0}

    def _own_numbers(self) -> list[float]:
        return [self.rho, 1 - self.rho, self.momentum, self.epsilon]


class Adam(Optimizer):
    """Steps by running means of the gradient and of its square [1]_, both corrected for their beginning at 0.

    With the gradient g and the parameters p, in update t = 1, 2, ...: m = m + (1 - beta_1) * (g - m),
    v = v + (1 - beta_2) * (g² - v), then p = p - alpha * m / (sqrt(v) + epsilon), where
    alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t).

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        From 0 to below 1.
    epsilon : float
    amsgrad : bool
        Whether the largest v so far takes v's place [2]_.
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.

    Raises
    ------
    ValueError, TypeError
        As `Optimizer`.

    References
    ----------
    .. [1] D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
    .. [2] S. Reddi, S. Kale, S. Kumar, "On the Convergence of Adam and Beyond", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn.optimizers import Adam
    >>> p, adam = np.array([1.0, 2.0]), Adam()
    >>> adam.build(p)
    >>> adam.update(p, np.array([5.0, -0.1]))
    >>> p.round(4).tolist()
    [0.999, 2.001]
    """

    _kernel = "adam"
    _options = Optimizer._options | {
        "beta_1": _number(0.0, _BELOW_1), "beta_2": _number(0.0, _BELOW_1), "epsilon": _number(0.0),
        "amsgrad": names.flag,
    }  # fmt: skip

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adam",
    ) -> None:
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon, "amsgrad": self.amsgrad}
        return super().get_config() | own

    def _slot_names(self) -> dict[str, bool]:
        return {"momentum": True, "velocity": True, "velocity_hat": self.amsgrad}

    def _own_numbers(self) -> list[float]:
        return [1 - self.beta_1, 1 - self.beta_2, self.epsilon, 0.0]

    def _before_update(self, rate: float) -> None:
        t = self.iterations + 1
        self._numbers[0] = rate
        self._numbers[6] = rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)


class AdamW(Adam):
    """`Adam` with weights that decay by themselves, apart from the gradient [1]_.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float
    beta_1, beta_2, epsilon, amsgrad, clipnorm, clipvalue, global_clipnorm, name
        As in `Adam`.

    Raises
    ------
    ValueError, TypeError
        As `Adam`; no weight_decay.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Examples
    --------
    >>> from fastlstm.nn.optimizers import AdamW
    >>> AdamW(1e-3).weight_decay
    0.004
    """

    _options = Adam._options | {"weight_decay": _decay}

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adamw",
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm, name
        )


KNOWN: dict[str, type[Optimizer]] = {"rmsprop": RMSprop, "sgd": SGD, "adam": Adam, "adamw": AdamW}
"""Names that `get` knows."""


def get(identifier: OptimizerLike) -> Optimizer:
    """An optimizer by its name, with its defaults.

    Parameters
    ----------
    identifier : str, dict or Optimizer
        A name, in any case; what `serialize` made; or an optimizer, which is returned.

    Returns
    -------
    Optimizer

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one.
    TypeError
        Something else.

    Examples
    --------
    >>> from fastlstm.nn import optimizers
    >>> optimizers.get("rmsprop").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    found: Optimizer = names.made("optimizer", identifier, KNOWN, "a name or an Optimizer")
    return found
