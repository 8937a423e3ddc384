"""How weights begin, by Keras's names and formulas."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import names, randomness
from .types import Config, InitializerLike

Array = NDArray[Any]


class Initializer:
    """What all initializers have in common. For one of your own, derive from it and write `draw`; and `get_config`, if
    models with it are to be described.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import initializers
    >>> w = initializers.GlorotUniform(seed=0)((16, 128))
    >>> w.shape, bool(np.abs(w).max() < np.sqrt(6 / (16 + 128)))
    ((16, 128), True)
    """

    seed: int | None = None

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator | None = None) -> Array:
        """Numbers of that shape, float64.

        Parameters
        ----------
        shape : tuple of int
        rng : numpy.random.Generator, optional
            Where randomness comes from, unless there is a seed, which gives the same numbers at every call.
        """
        if self.seed is not None or rng is None:
            rng = randomness.generator(self.seed)
        return self.draw(tuple(shape), rng)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Numbers of that shape, float64."""
        raise NotImplementedError(f"{type(self).__name__}: expected draw to be overridden")

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same again."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)


def _seed(seed: Any) -> int | None:
    return None if seed is None else randomness.checked_seed(seed)


class Constant(Initializer):
    """One number everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = names.real("value", value)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.full(shape, self.value)


class Zeros(Initializer):
    """0 everywhere."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    """1 everywhere."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.ones(shape)


class Identity(Initializer):
    """gain on the diagonal of a matrix."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = names.real("gain", gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected the shape of a matrix, got {shape}")
        return self.gain * np.eye(*shape)


class RandomNormal(Initializer):
    """Normal."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev = names.real("mean", mean), names.real("stddev", stddev, 0.0)
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal, drawn again where it is more than two standard deviations from the mean."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return self.mean + self.stddev * _truncated(shape, rng)


class RandomUniform(Initializer):
    """Uniform from minval to maxval."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = names.real("minval", minval)
        self.maxval = names.real("maxval", maxval, self.minval)
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


def _truncated(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    z = rng.standard_normal(shape)
    while (far := np.abs(z) > 2).any():
        z[far] = rng.standard_normal(int(far.sum()))
    return z


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")
_TRUNCATED_STDDEV = 0.87962566103423978  # of a standard normal distribution cut off at -2 and 2


class VarianceScaling(Initializer):
    """Numbers whose variance is scale / fan, fan being the inputs, the outputs or the mean of both [1]_.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        "normal" is the first of them.
    seed : int, optional

    Raises
    ------
    ValueError, TypeError
        Other values.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
       2010; K. He et al., "Delving Deep into Rectifiers", ICCV 2015.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in",
        distribution: Literal["truncated_normal", "untruncated_normal", "uniform", "normal"] = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        self.scale = names.real("scale", scale, np.finfo(float).tiny)
        self.mode = mode
        self.distribution = "truncated_normal" if distribution == "normal" else distribution
        for argument, value, known in (("mode", mode, _MODES), ("distribution", self.distribution, _DISTRIBUTIONS)):
            if value not in known:
                raise ValueError(f"{argument}: expected one of {', '.join(known)}, got {value!r}")
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        fan_in, fan_out = (shape[0], shape[-1]) if shape else (1, 1)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, math.sqrt(variance), shape)
        return math.sqrt(variance) / _TRUNCATED_STDDEV * _truncated(shape, rng)


class _Named(VarianceScaling):
    """A VarianceScaling of fixed scale, mode and distribution."""

    _fixed: tuple[float, Any, Any]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._fixed, seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Named):
    """Uniform, variance 2 / (inputs + outputs)."""

    _fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal, variance 2 / (inputs + outputs)."""

    _fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform, variance 2 / inputs."""

    _fixed = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal, variance 2 / inputs."""

    _fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform, variance 1 / inputs."""

    _fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal, variance 1 / inputs."""

    _fixed = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """gain times a random matrix of orthonormal rows or columns, whichever are fewer [1]_.

    Of a recurrent kernel (H, 4H) that is the matrix as a whole, as in Keras; `fastlstm.init_params` makes each gate's
    block orthogonal.

    References
    ----------
    .. [1] A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
       neural networks", ICLR 2014.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = names.real("gain", gain), _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Orthogonal: expected the shape of a matrix, got {shape}")
        q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * (q if shape[0] >= shape[1] else q.T)


KNOWN: dict[str, type[Initializer]] = {
    names.snake_case(one.__name__): one
    for one in (
        Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones,
        Orthogonal, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, Zeros,
    )
}  # fmt: skip


def get(identifier: InitializerLike, argument: str = "initializer") -> Initializer:
    """An Initializer from itself, a name or a configuration.

    Raises
    ------
    ValueError, TypeError
        An unknown name; another type.
    """
    if isinstance(identifier, Initializer):
        return identifier
    found: Initializer = names.made(argument, identifier, KNOWN, "a name or an Initializer")
    return found
