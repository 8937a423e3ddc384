"""Rules of the house, over the package's syntax tree: few parameters, short functions, jit options in one place.

What breaks a rule today stands in a table with its number. A table may only shrink: a new entry, a larger number and an
entry that is needed no longer each fail.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import fastlstm

PACKAGE = Path(fastlstm.__file__).parent
PARAMETERS, LINES = 8, 80  # a function takes no more of the first, and has fewer of the second
COMPILERS = {"njit", "jit", "register_jitable", "overload", "overload_method", "overload_attribute", "vectorize",
             "guvectorize", "cfunc", "stencil"}  # fmt: skip

KERAS = {  # signatures that are Keras's own
    "nn/_src/gru.py: GRU.__init__",
    "nn/_src/layers.py: Dense.__init__",
    "nn/_src/model.py: Sequential.evaluate",
    "nn/_src/model.py: Sequential.fit",
    "nn/_src/optimizers.py: Adam.__init__",
    "nn/_src/optimizers.py: AdamW.__init__",
    "nn/_src/optimizers.py: RMSprop.__init__",
    "nn/_src/recurrent.py: LSTM.__init__",
}
SKLEARN = {  # each parameter of an estimator is an argument by its name
    "sklearn/estimators.py: LSTMClassifier.__init__",
    "sklearn/estimators.py: LSTMRegressor.__init__",
    "sklearn/forecaster.py: LSTMForecaster.__init__",
}
MANY_PARAMETERS: dict[str, int] = {}
LONG: dict[str, int] = {}
WRAPPED_LITERALS: dict[str, int] = {}  # np.int64(0) and the like, in each file

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@cache
def sources() -> dict[str, ast.Module]:
    files = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in files}


def functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, Function]]:
    """Each function with its name: those of what it stands in before its own, with dots between them."""
    for node in ast.iter_child_nodes(tree):
        name = owner
        if isinstance(node, Function | ast.ClassDef):
            name = f"{owner}.{getattr(node, 'name', 'lambda')}".removeprefix(".")
        if isinstance(node, Function):
            yield name, node
        yield from functions(node, name)


def measured(measure: Callable[[Function], int], limit: int) -> dict[str, int]:
    """The functions of the package that a measure finds above a limit."""
    found = {
        f"{path}: {name}": measure(node) for path, tree in sources().items() for name, node in functions(tree)
    }  # fmt: skip
    return {name: number for name, number in found.items() if number > limit}


def parameters(function: Function) -> int:
    """How many are passed to it: neither self nor cls, none of an intrinsic's signature, `emitted` or not."""
    if any(
        isinstance(one, ast.Name) and one.id in ("intrinsic", "emitted")
        for one in getattr(function, "decorator_list", [])
    ):
        return 0
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def lines(function: Function) -> int:
    """Of code: neither docstring nor decorators."""
    docstring = 0
    if not isinstance(function, ast.Lambda) and ast.get_docstring(function) is not None:
        docstring = function.body[0].end_lineno - function.body[0].lineno + 1
    return function.end_lineno - function.lineno + 1 - docstring


def of_numba(tree: ast.Module) -> set[str]:
    """The names by which a module calls what makes Numba compile a function."""
    return {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "numba"
        for name in node.names
        if name.name in COMPILERS
    }


def unstated(tree: ast.Module) -> Iterator[str]:
    """Where a module lets Numba compile without options of compiler/options.py, which state fastmath."""
    names = of_numba(tree)
    stated = {  # the calls' functions that get such options
        call.func
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for option in call.keywords
        if option.arg in (None, "jit_options")
        and isinstance(option.value, ast.Name)
        and option.value.id in ("OPTIONS", "HELPER", "INLINED")
    }
    for node in ast.walk(tree):
        by_name = isinstance(node, ast.Name) and node.id in names
        by_module = isinstance(node, ast.Attribute) and node.attr in COMPILERS and ast.unparse(node.value) == "numba"
        if (by_name or by_module) and node not in stated:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def wrapped_literals(tree: ast.Module) -> int:
    return sum(
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("np.int64", "numpy.int64", "int64", "types.int64")
        and all(isinstance(number, ast.Constant | ast.UnaryOp) for number in node.args)
        for node in ast.walk(tree)
    )


def test_few_parameters() -> None:
    found = measured(parameters, PARAMETERS)
    assert set(found) >= KERAS | SKLEARN, "needed no longer"
    assert {name: count for name, count in found.items() if name not in KERAS | SKLEARN} == MANY_PARAMETERS


def test_short_functions() -> None:
    assert measured(lines, LINES - 1) == LONG


def test_every_compiled_function_states_its_fastmath() -> None:
    assert not {path: where for path, tree in sources().items() if (where := [*unstated(tree)])}
    options = sources()["cpu/compiler/options.py"]
    stated = {node.targets[0].id if isinstance(node, ast.Assign) else node.target.id: ast.unparse(node.value)
              for node in options.body if isinstance(node, ast.Assign | ast.AnnAssign)}  # fmt: skip
    assert "'fastmath': False" in stated["OPTIONS"]
    assert stated["HELPER"].startswith("OPTIONS |")
    assert stated["INLINED"].startswith("HELPER |")


def test_numbers_are_written_as_numbers() -> None:
    found = Counter({path: wrapped_literals(tree) for path, tree in sources().items()})
    assert dict(+found) == WRAPPED_LITERALS


@pytest.mark.parametrize(
    "code",
    [
        "from numba import njit\n@njit\ndef f(x): ...",
        "from numba import njit as compile\ncompile(nogil=True)(f)",
        "from numba import njit\nnjit(f)",
        "from numba.extending import overload\noverload(g)(f)",
        "from numba.extending import register_jitable\n@register_jitable\ndef f(x): ...",
        "import numba\nnumba.jit(nopython=True)(f)",
    ],
)
def test_a_bare_compiler_is_found(code: str) -> None:
    assert [*unstated(ast.parse(code))]


@pytest.mark.parametrize(
    "code",
    [
        "from numba import njit\nnjit(parallel=True, **OPTIONS)(f)",
        "from numba.extending import overload\noverload(g, jit_options=INLINED)(f)",
        "from typing import overload\n@overload\ndef f(x): ...",
    ],
)
def test_what_states_its_options_is_let_through(code: str) -> None:
    assert not [*unstated(ast.parse(code))]


def test_parameters_and_lines_are_counted() -> None:
    code = """
class A:
    def of_three(self, a, /, b, *rest, c=1, **more):
        "Two lines\\
        of docstring."
        return lambda x, y: a

@intrinsic
def one_too_many(typing, a, b, c, d, e, f, g, h):
    def generate(context, builder, signature, args):
        return np.int64(0) + np.int64(-1) + np.int64(a)
    return generate
"""
    tree = ast.parse(code)
    found = {name: (parameters(node), lines(node)) for name, node in functions(tree)}
    assert found == {
        "A.of_three": (3, 2), "A.of_three.lambda": (2, 1), "one_too_many": (0, 4), "one_too_many.generate": (4, 2),
    }  # fmt: skip
    assert wrapped_literals(tree) == 2
