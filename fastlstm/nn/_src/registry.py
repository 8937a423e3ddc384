"""Classes of the caller's own that files may name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from . import constraints, initializers, losses, metrics, regularizers
from .base import KNOWN_LAYERS, Layer

_Kind = TypeVar("_Kind", bound=type)
OWN: set[str] = set()
"""Names of the classes that are known because their author has registered them."""

_TABLES: tuple[tuple[type, dict[str, Any]], ...] = (
    (Layer, KNOWN_LAYERS), (losses.Loss, losses.KNOWN), (metrics.Metric, metrics.CLASSES),
    (initializers.Initializer, initializers.KNOWN), (regularizers.Regularizer, regularizers.KNOWN),
    (constraints.Constraint, constraints.KNOWN),
)  # fmt: skip


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[_Kind], _Kind]:
    """A decorator of classes of your own: files of models may name them from then on.

    The classes are layers, losses, metrics, initializers, regularizers or constraints. A file holds a class's name and
    what its `get_config` returns, and nothing of its code. So whoever reads the file has to define the class and to
    register it before; or to give it to `load_model` among its custom_objects.

    Parameters
    ----------
    package, name : str
        As in Keras, and of no effect: files here say the class's own name. There may be one class of a name.

    Returns
    -------
    callable
        It takes the class, and returns it as it is.

    Raises
    ------
    ValueError, TypeError
        The name of a class that comes with the package; a class that derives from none of those.

    Examples
    --------
    >>> from fastlstm import nn
    >>> @nn.saving.register_keras_serializable()
    ... class Twice(nn.Layer):
    ...     def call(self, x):
    ...         return 2 * x
    ...     def backward(self, dy):
    ...         return 2 * dy
    >>> model = nn.Sequential([nn.Dense(1, input_shape=(2,)), Twice()])
    >>> nn.Sequential.from_config(model.get_config()).predict([[0.0, 0.0]], verbose=0).tolist()
    [[0.0]]
    """
    for argument, value in (("package", package), ("name", name)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{argument}: expected a str, got {type(value).__name__}")

    def register(kind: _Kind) -> _Kind:
        _table(kind)[kind.__name__] = kind
        OWN.add(kind.__name__)
        return kind

    return register


@contextlib.contextmanager
def custom_object_scope(custom_objects: Mapping[str, type]) -> Iterator[None]:
    """A context in which files and configurations may name these classes too.

    Parameters
    ----------
    custom_objects : dict of str to class
        Each class by the name that files have for it.

    Raises
    ------
    ValueError, TypeError
        As `register_keras_serializable`.

    Examples
    --------
    >>> from fastlstm import nn
    >>> class Twice(nn.Layer):
    ...     def call(self, x):
    ...         return 2 * x
    >>> config = nn.Sequential([Twice(input_shape=(2,))]).get_config()
    >>> with nn.saving.custom_object_scope({"Twice": Twice}):
    ...     model = nn.Sequential.from_config(config)
    >>> model.predict([[1.0, 2.0]], verbose=0).tolist()
    [[2.0, 4.0]]
    """
    if not isinstance(custom_objects, Mapping):
        raise TypeError(f"custom_objects: expected a dict of names to classes, got {type(custom_objects).__name__}")
    tables = [(name, _table(kind)) for name, kind in custom_objects.items()]
    before = [(table, name, table.get(name), name in OWN) for name, table in tables]
    try:
        for name, table in tables:
            table[name] = custom_objects[name]
            OWN.add(name)
        yield
    finally:
        for table, name, kind, own in before:
            if kind is None:
                del table[name]
            else:
                table[name] = kind
            if not own:
                OWN.discard(name)


def _table(kind: Any) -> dict[str, Any]:
    """Where a class belongs."""
    if not isinstance(kind, type):
        raise TypeError(f"custom_objects: expected a class, got {kind!r:.60}")
    for base, table in _TABLES:
        if issubclass(kind, base):
            there = table.get(kind.__name__)
            if there is not None and kind.__name__ not in OWN and there is not kind:
                raise ValueError(f"{kind.__name__}: expected a name that no class here has, got that of {there!r}")
            return table
    raise TypeError(f"{kind.__name__}: expected a class that derives from one of "
                    f"{', '.join(base.__name__ for base, _ in _TABLES)}")  # fmt: skip
