"""The plan of the house, held by the syntax tree: imports run one way, and what computes is behind its door."""

from __future__ import annotations

import ast
import functools
from graphlib import TopologicalSorter
from pathlib import Path

import fastlstm

PACKAGE = Path(fastlstm.__file__).parent
FLOORS = (  # from the ground up: a module imports of its own floor and of those below
    {"params", "strides", "files", "_version"},
    {"arrays", "cells", "places"},
    {"reference", "cpu", "cuda"},
    {"backend"},
    {"types"},
    {"checks"},
    {"tape", "initial", "config"},
    {"sequences", "in_place"},
    {"stream", "formats"},
    {"nn", "datasets"},
    {"formats.as_layers", "formats.nam", "formats.onnx", "formats.rtneural", "formats.rtneural_parts"},
    {"sklearn"},
    {"warmup", "demo", "convert", "dask"},
    {"__main__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def floor(name: str) -> int:
    """Of a module by itself, where it has one, or else of all below its first name."""
    return FLOOR[name if name in FLOOR else name.split(".")[0]]


def modules() -> dict[str, Path]:
    """All modules but the package itself, by their names behind "fastlstm."."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    del found[""]
    return found


@functools.cache
def imports() -> dict[str, set[str]]:
    """What each module imports of the package, wherever in it."""
    known = modules()
    return {name: imported(ast.parse(path.read_text()), name, path, known) for name, path in known.items()}


def imported(tree: ast.AST, name: str, path: Path, known: dict[str, Path]) -> set[str]:
    package = ["fastlstm", *name.split(".")][: None if path.name == "__init__.py" else -1]
    branches = (node for node in ast.walk(tree) if isinstance(node, ast.If) and isinstance(node.test, ast.Name))
    unread = {one for node in branches if node.test.id == "TYPE_CHECKING" for one in node.body}  # but by type checkers
    found = set()
    for node in ast.walk(tree):
        if node in unread:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    own = {one.removeprefix("fastlstm.") for one in found if one.startswith("fastlstm.")}
    places = {one if one in known else one.rpartition(".")[0] for one in own}  # a name of a module, or a module
    return (places & known.keys()) - {name}


def test_imports_run_one_way() -> None:
    """Those within functions too."""
    for name, others in imports().items():
        for other in others:
            assert floor(other) <= floor(name), f"{name} imports {other}"


def test_there_is_no_circle() -> None:
    list(TopologicalSorter(imports()).static_order())  # raises CycleError


def test_only_the_door_leads_to_what_computes() -> None:
    for name, others in imports().items():
        if name.split(".")[0] not in ("backend", "cpu", "cuda"):
            assert not {one for one in others if one.split(".")[0] in ("cpu", "cuda")}, name


def test_engines_share_records_alone() -> None:
    """And activations: the same tanh, bit by bit."""
    shared = {"cpu.callable.buffers", "cpu.lstm.packing", "cpu.vectors.activations"}
    for name, others in imports().items():
        if name.split(".")[0] == "cuda":
            assert {one for one in others if one.split(".")[0] == "cpu"} <= shared, name
        if name.split(".")[0] == "cpu":
            assert not {one for one in others if one.split(".")[0] == "cuda"}, name


def test_the_oracle_stands_alone() -> None:
    assert imports()["reference"] == {"params", "arrays"}


def test_equations_know_no_engine() -> None:
    """Nor NumPy, which only the records of weights are made of."""
    for name, path in modules().items():
        if name.split(".")[0] == "cells":
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                assert not {one.split(".")[0] for one in names} & {"numpy", "numba", "llvmlite"}, name
