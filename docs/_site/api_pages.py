"""Writes the reference's pages: one for each public name, made of its docstring, and one for each group of names."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fastlstm
from fastlstm import formats


class Group(NamedTuple):
    """A page of the reference: names of one module under one heading."""

    page: str
    title: str
    module: str
    names: list[str]
    text: str = ""


CORE = {  # what fastlstm itself has, in the order of a reader; what is in no group is listed under the last heading
    "Whole sequences": "forward forward_cells forward_train backward pack",
    "Steps, and your own buffers": "Stream step forward_into forward_train_into backward_into pack_into make_tape "
    "make_grads",
    "Weights and states": "init_params zero_state Params State Hidden Bidirectional Grads Tape InterpolatedParams "
    "ProjectedParams PeepholeParams NormalizedParams GRUParams GRUBeforeParams OwnParams",
    "Models in and out": "save load from_torch to_torch from_keras from_onnx to_onnx from_rtneural to_rtneural "
    "from_nam to_c to_numpy",
}
OTHERS = "More"
MODULES = {  # what stands in a module of its own: its heading
    "cells": "A cell of your own",
    "formats": "Formats: more than fastlstm itself has",
    "nn.layers": "Layers",
    "nn.models": "Models",
    "nn.saving": "Saving",
    "nn.optimizers": "Optimizers",
    "nn.optimizers.schedules": "Schedules of the learning rate",
    "nn.losses": "Losses",
    "nn.metrics": "Metrics",
    "nn.callbacks": "Callbacks",
    "nn.initializers": "Initializers",
    "nn.regularizers": "Regularizers",
    "nn.constraints": "Constraints",
    "nn.activations": "Activations",
    "nn.utils": "Utilities",
    "nn": "More of nn",
    "sklearn": "Estimators",
    "dask": "Dask",
    "datasets": "Data",
    "reference": "The reference, in NumPy",
}


def _module(name: str) -> Any:
    """A module of the package; None where it, or a package that it needs, is not there."""
    try:
        return importlib.import_module(f"fastlstm.{name}")
    except ImportError:
        return None


def _things(module: Any) -> dict[str, Any]:
    """What stands in a module without an underscore in front."""
    return {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}


def _names(module: Any) -> list[str]:
    if module is formats:
        return ["prove", "onnx_nodes", "OnnxNode"]
    return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]


@cache
def groups() -> list[Group]:
    """All groups. A name that is another one's alias is listed once, where it comes first."""
    public = [name for name, thing in _things(fastlstm).items() if not inspect.ismodule(thing)]
    left = set(public) - {name for names in CORE.values() for name in names.split()}
    found = [Group(_slug(title), title, "fastlstm", names.split()) for title, names in CORE.items()]
    found.append(Group("more", OTHERS, "fastlstm", sorted(left)))
    seen = {id(getattr(fastlstm, name)) for name in public}
    for name, title in MODULES.items():
        if (module := _module(name)) is None:
            continue
        names = []
        for each in _names(module):
            thing = getattr(module, each)
            if id(thing) not in seen:
                names.append(each)
            seen.add(id(thing))
        if names:
            text = inspect.getdoc(module) or ""
            found.append(Group(_slug(name), title, module.__name__, names, text.split("\n\n")[0]))
    return [group for group in found if group.names]


@cache
def known() -> dict[str, str]:
    """Full names by what may stand in backticks: `fastlstm.step`, `step`, `nn.LSTM`, `nn.layers.LSTM`, `LSTM`."""
    found: dict[str, str] = {}
    pages = {}
    for group in groups():
        for name in group.names:
            full = f"{group.module}.{name}"
            pages[id(_thing(full))] = full
            found[full] = full
            found[full.removeprefix("fastlstm.")] = full
            if group.module.startswith(("fastlstm.nn.layers", "fastlstm.nn.models")):
                found.setdefault(name, full)
    for place in ("nn", "formats"):  # the same things under their shorter names
        module = _module(place)
        for name, thing in _things(module).items():
            if full := pages.get(id(thing)):
                found[f"fastlstm.{place}.{name}"] = found[f"{place}.{name}"] = full
    return found


def _thing(full: str) -> Any:
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _heading(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _first_line(thing: Any) -> str:
    """A docstring's first sentence, without marks of notes."""
    doc = inspect.getdoc(thing) or ""
    first = re.sub(r" \[\d+\]_", "", " ".join(doc.split("\n\n")[0].split()))
    return linked(plain(re.split(r"(?<=[a-z)])\. (?=[A-Z])|: ", first)[0].removesuffix(".") + "."))


def plain(line: str) -> str:
    """A line of a docstring in which bars and underscores at the end of words are meant as they stand."""
    if line.lstrip().startswith((">>>", "...")):
        return line
    parts = re.split(r"(`+[^`]*`+)", line)
    return "".join(
        part if n % 2 else re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", part.replace("|", r"\|")) for n, part in enumerate(parts)
    )


def linked(line: str) -> str:
    """A line of text in which the name of one of these pages' files leads to the page."""
    return re.sub(r"(?<![`\w/])docs/([\w-]+)\.md", r":doc:`/\1`", line)


def _own_page(full: str) -> str:
    thing = _thing(full)
    text = f".. meta::\n   :description: {full}\n\n" + _heading(full)
    if not inspect.isclass(thing):
        kind = "autofunction" if callable(thing) else "autodata"
        return f"{text}.. {kind}:: {full}\n"
    text += f".. autoclass:: {full}\n"
    if not issubclass(thing, tuple) and (names := members(thing)):
        others = sorted(name for name in dir(thing) if not name.startswith("_") and name not in names)
        text += "   :members:\n   :inherited-members:\n"
        text += f"   :exclude-members: {', '.join(others)}\n" if others else ""
    return text


def members(thing: type) -> list[str]:
    """Documented public methods and properties that the package itself has written."""
    found = []
    for owner in reversed(thing.__mro__):
        for name, member in vars(owner).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            ours = (getattr(function, "__module__", None) or "").startswith("fastlstm")
            if (
                ours
                and function.__doc__
                and not name.startswith("_")
                and not inspect.isclass(member)
                and name not in found
            ):
                found.append(name)
    return found


def write(folder: Path) -> None:
    """Write all pages; those that have not changed are left alone, and Sphinx need not read them again."""
    pages = {}
    index = _heading("Reference")
    index += "Look up a name here. Each has a page of its own, and the examples there are run by the tests.\n\n"
    index += "``fastlstm`` has the functions, ``fastlstm.nn`` models and training by Keras's names.\n\n"
    index += ".. toctree::\n   :hidden:\n\n"
    index += "".join(f"   {group.page}\n" for group in groups()) + "\n"
    for group in groups():
        index += _heading(f"{group.title}", "-") + f"In ``{group.module}``:\n\n"
        rows = ""
        for name in group.names:
            full = f"{group.module}.{name}"
            pages[f"{full}.rst"] = _own_page(full)
            rows += f"   * - :py:obj:`~{full}`\n     - {_first_line(_thing(full))}\n"
        rows = f".. list-table::\n   :widths: 30 70\n\n{rows}\n"
        index += rows
        page = _heading(group.title) + f"In ``{group.module}``.\n\n{rows}.. toctree::\n   :hidden:\n\n"
        pages[f"{group.page}.rst"] = page + "".join(f"   {name} <{group.module}.{name}>\n" for name in group.names)
    pages["index.rst"] = index
    folder.mkdir(exist_ok=True)
    for old in set(folder.iterdir()) - {folder / name for name in pages}:
        old.unlink()
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)
