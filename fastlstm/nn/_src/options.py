"""Attributes that are checked whenever they are set: by the constructor, and later by a callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

Checks: TypeAlias = Mapping[str, Callable[[str, Any], Any]]


class Option:
    """Has its owner check what an attribute is set to. It has no `__get__`: reading costs what it always does."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __set__(self, owner: Any, value: Any) -> None:
        found, before = owner._checked(self._name, value), vars(owner)
        if self._name not in before or before[self._name] != found:
            owner._changes += 1
        before[self._name] = found


class Options:
    """Something with attributes that may be changed at any time.

    `_options` gives their names, and what makes of a name and a value the value checked. Where more than the value
    decides, a class has its own `_checked`. Who keeps what follows from options looks at `_changes`.
    """

    _options: ClassVar[Checks] = {}
    _changes = 0
    """How often any was set."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in cls._options:
            setattr(cls, name, Option(name))

    def _checked(self, name: str, value: Any) -> Any:
        return self._options[name](name, value)
