"""What the public modules show."""

from __future__ import annotations

from types import ModuleType

_PRIVATE = __name__.rpartition(".")[0]


def publish(*modules: ModuleType) -> None:
    """Let each module show the names of its `__all__` alone, and let these say that they come from there: reprs, help
    and pickles then name the place that a user imports from. What several modules hold comes from the first."""
    for module in modules:
        names: list[str] = module.__all__
        vars(module)["__dir__"] = names.copy
        for name in names:
            thing = getattr(module, name)
            if getattr(thing, "__module__", "").startswith(_PRIVATE):
                thing.__module__ = module.__name__
