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
    """What all initializers have in common: called with a shape, one gives the first values of a weight.

    For one of your own, derive from it and write `draw`. If models with it are to be saved, register the class
    (`fastlstm.nn.saving.register_keras_serializable`) and let its arguments be attributes of the same names, or write
    `get_config`.

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

        Returns
        -------
        ndarray of float64, of that shape

        Raises
        ------
        ValueError
            A shape that it cannot fill: `Identity` and `Orthogonal` are for matrices.
        """
        if self.seed is not None or rng is None:
            rng = randomness.generator(self.seed)
        return self.draw(tuple(shape), rng)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Numbers of that shape: what a class of your own writes.

        Parameters
        ----------
        shape : tuple of int
        rng : numpy.random.Generator
            Where randomness comes from.

        Returns
        -------
        ndarray of float64, of that shape
        """
        raise NotImplementedError(f"{type(self).__name__}: expected draw to be overridden")

    def get_config(self) -> dict[str, Any]:
        """What the constructor takes, to make the same again.

        Returns
        -------
        dict
            Of what JSON can hold.
        """
        return dict(vars(self))

    def __repr__(self) -> str:
        return names.call(self)

    @classmethod
    def from_config(cls, config: Config) -> Initializer:
        """The initializer that `get_config` described.

        Parameters
        ----------
        config : dict

        Returns
        -------
        Initializer

        Raises
        ------
        ValueError, TypeError
            Something that `get_config` does not make.
        """
        return cls(**config)


def _seed(seed: Any) -> int | None:
    return None if seed is None else randomness.checked_seed(seed)


class Constant(Initializer):
    """One number everywhere.

    Parameters
    ----------
    value : float

    Raises
    ------
    ValueError, TypeError
        No finite number.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> initializers.Constant(0.5)((2,)).tolist()
    [0.5, 0.5]
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = names.real("value", value)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.full(shape, self.value)


class Zeros(Initializer):
    """0 everywhere.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> initializers.Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.zeros(shape)


class Ones(Initializer):
    """1 everywhere.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> initializers.Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.ones(shape)


class Identity(Initializer):
    """gain on the diagonal of a matrix, 0 elsewhere.

    Parameters
    ----------
    gain : float

    Raises
    ------
    ValueError, TypeError
        No finite number; in a call, ValueError for the shape of no matrix.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> initializers.Identity(2.0)((2, 3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = names.real("gain", gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected the shape of a matrix, got {shape}")
        return self.gain * np.eye(*shape)


class RandomNormal(Initializer):
    """Normally distributed numbers.

    Parameters
    ----------
    mean : float
    stddev : float
        Standard deviation, at least 0.
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.RandomNormal(stddev=0.1, seed=0)((1000,))
    >>> bool(abs(w.std() - 0.1) < 0.01)
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev = names.real("mean", mean), names.real("stddev", stddev, 0.0)
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normally distributed numbers; those more than two standard deviations from the mean are drawn again.

    Parameters
    ----------
    mean : float
    stddev : float
        Standard deviation before the cut, at least 0.
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.TruncatedNormal(stddev=0.1, seed=0)((1000,))
    >>> bool(abs(w).max() <= 0.2)
    True
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return self.mean + self.stddev * _truncated(shape, rng)


class RandomUniform(Initializer):
    """Numbers distributed uniformly from minval to maxval.

    Parameters
    ----------
    minval, maxval : float
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Numbers that make no sense; maxval below minval.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.RandomUniform(-0.1, 0.1, seed=0)((1000,))
    >>> bool(abs(w).max() <= 0.1)
    True
    """

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
    """Random numbers of mean 0 and variance scale / fan [1]_ [2]_.

    The fan of a kernel (D, U) is the number of its inputs D, of its outputs U, or the mean of both.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        Which fan: inputs, outputs, or the mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        "normal" is another name of the first.
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Other values.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
       2010.
    .. [2] K. He et al., "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
       ICCV 2015.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.VarianceScaling(2.0, mode="fan_in", distribution="uniform", seed=0)((100, 50))
    >>> bool(abs(w.var() / (2.0 / 100) - 1) < 0.1)
    True
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
    """Uniform from -√(6 / (D + U)) to √(6 / (D + U)) for a kernel (D, U): variance 2 / (D + U) [1]_.

    Parameters
    ----------
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
       2010.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.GlorotUniform(seed=0)((16, 128))
    >>> bool(abs(w).max() < (6 / (16 + 128)) ** 0.5)
    True
    """

    _fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Named):
    """Truncated normal, of variance 2 / (D + U) for a kernel (D, U) [1]_.

    Parameters
    ----------
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    References
    ----------
    .. [1] X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
       2010.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.GlorotNormal(seed=0)((16, 128))
    >>> bool(abs(w.std() / (2 / (16 + 128)) ** 0.5 - 1) < 0.1)
    True
    """

    _fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Named):
    """Uniform from -√(6 / D) to √(6 / D) for a kernel (D, U): variance 2 / D [1]_.

    Parameters
    ----------
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    References
    ----------
    .. [1] K. He et al., "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
       ICCV 2015.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.HeUniform(seed=0)((16, 128))
    >>> bool(abs(w).max() < (6 / 16) ** 0.5)
    True
    """

    _fixed = (2.0, "fan_in", "uniform")


class HeNormal(_Named):
    """Truncated normal, of variance 2 / D for a kernel (D, U) [1]_.

    Parameters
    ----------
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    References
    ----------
    .. [1] K. He et al., "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
       ICCV 2015.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.HeNormal(seed=0)((16, 128))
    >>> bool(abs(w.std() / (2 / 16) ** 0.5 - 1) < 0.1)
    True
    """

    _fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Named):
    """Uniform from -√(3 / D) to √(3 / D) for a kernel (D, U): variance 1 / D [1]_.

    Parameters
    ----------
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks of the Trade 1998.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.LecunUniform(seed=0)((16, 128))
    >>> bool(abs(w).max() < (3 / 16) ** 0.5)
    True
    """

    _fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_Named):
    """Truncated normal, of variance 1 / D for a kernel (D, U) [1]_.

    Parameters
    ----------
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Another seed.

    References
    ----------
    .. [1] Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks of the Trade 1998.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> w = initializers.LecunNormal(seed=0)((16, 128))
    >>> bool(abs(w.std() / (1 / 16) ** 0.5 - 1) < 0.1)
    True
    """

    _fixed = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """gain times a random matrix whose rows, or columns if these are fewer, are orthonormal [1]_.

    A recurrent kernel (H, 4H) is one such matrix, as in Keras. In `fastlstm.init_params` it is each gate's block (H, H)
    that is orthogonal.

    Parameters
    ----------
    gain : float
    seed : int, optional
        With it every call gives the same numbers; without it they are the model's next ones.

    Raises
    ------
    ValueError, TypeError
        Arguments that make no sense; in a call, ValueError for the shape of no matrix.

    References
    ----------
    .. [1] A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
       neural networks", ICLR 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlstm.nn import initializers
    >>> w = initializers.Orthogonal(seed=0)((4, 16))
    >>> np.allclose(w @ w.T, np.eye(4))
    True
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
    """An initializer by its name.

    Parameters
    ----------
    identifier : str, dict or Initializer
        A name in any spelling, for its defaults; what `serialize` made; or an initializer, which is returned.
    argument : str
        What messages call it.

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        An unknown name; the message says the nearest one.
    TypeError
        Something else.

    Examples
    --------
    >>> from fastlstm.nn import initializers
    >>> initializers.deserialize("glorot_uniform")
    GlorotUniform()
    """
    if isinstance(identifier, Initializer):
        return identifier
    found: Initializer = names.made(argument, identifier, KNOWN, "a name or an Initializer")
    return found
