"""Every file and every name that the pages for developers set in backticks is there."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in
         ("architecture", "kernels", "equations", "cells", "estimators", "streaming"))]  # fmt: skip
FOLDERS = ("fastlstm", "tests", "asv_benchmarks", "docs", ".github")
OTHERS = {  # of PyTorch, TensorFlow, Keras, Numba, scikit-learn
    "proj_size", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "LayerNormLSTMCell",
    "LayerNormBasicLSTMCell", "recurrent_kernel", "forceinline",
    "Pipeline", "MLPClassifier", "MLPRegressor", "check_estimator",
}  # fmt: skip


@cache
def files() -> frozenset[str]:
    """Paths of files and folders from the checkout's root."""
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    return frozenset(path.relative_to(ROOT).as_posix() for path in (*below, *ROOT.iterdir(), ROOT / ".ci" / "run"))


@cache
def names() -> dict[str, frozenset[str]]:
    """All names of a module's code: what it defines, imports, reads and passes."""

    def of(tree: ast.AST) -> frozenset[str]:
        fields = ("name", "asname", "id", "attr", "arg")
        found = {getattr(node, field, None) for node in ast.walk(tree) for field in fields}
        return frozenset(part for name in found if isinstance(name, str) for part in name.split("."))

    here = Path(__file__).relative_to(ROOT).as_posix()  # its names are of what is not there
    return {path: of(ast.parse((ROOT / path).read_text())) for path in files() if path.endswith(".py") and path != here}


@cache
def known() -> frozenset[str]:
    return frozenset().union(*names().values(), vars(builtins), (Path(path).stem for path in files()))


def exists(text: str) -> bool:
    """Whether what stands in backticks is there, where it is a file's name or a name in code; else True."""
    if re.fullmatch(r"[\w./-]+(\.(py|md|json|toml|npz|yml|cff)|/)", text):
        return any(f"/{path}".endswith("/" + text.rstrip("/")) for path in files())
    text = re.sub(r"\(.*\)$", "", text)
    if not re.fullmatch(r"[A-Za-z_][\w.]*\w", text):
        return True
    first, *rest = text.split(".")
    if first in ("torch", "numba", "numpy") or text in OTHERS or text in keyword.kwlist:
        return True
    if rest and (modules := [path for path in names() if path.endswith((f"/{first}.py", f"/{first}/__init__.py"))]):
        return any(rest[0] in names()[path] for path in modules)
    return all(part in known() for part in (first, *rest))


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_what_stands_in_backticks_is_there(page: str) -> None:
    found = in_backticks((ROOT / page).read_text())
    assert found
    assert not [text for text in found if not exists(text)]


def test_the_table_of_modules_is_that_of_the_folders() -> None:
    text = (ROOT / "docs/kernels.md").read_text()
    rows = re.findall(r"^\| `(\w+)/` \|(.*)\|$", text.split("## Modules")[1].split("\n## ")[0], re.MULTILINE)
    listed = {folder: set(re.findall(r"`(\w+\.py)`", modules)) for folder, modules in rows}
    folders = [path.parent for path in (ROOT / "fastlstm/cpu").glob("*/__init__.py")]
    assert listed.keys() == {folder.name for folder in folders}
    for folder in folders:
        assert listed[folder.name] == {path.name for path in folder.glob("*.py")} - {"__init__.py"}, folder.name


@pytest.mark.parametrize("text", ["duo.py", "kernels/simd.py", "cells_back", "inplace", "params.nothing",
                                  "fastlstm/kernels/", "no_such_name(x)"])  # fmt: skip
def test_what_is_not_there_is_seen(text: str) -> None:
    assert not exists(text)


@pytest.mark.parametrize("text", ["table.py", "cells/phases.py", "forward(x)", "params.shapes", "x + 1",
                                  "pip install x", "fastlstm/cells/", "fastlstm.reference", "torch.nn.LSTM"]
)  # fmt: skip
def test_what_is_there_is_found(text: str) -> None:
    assert exists(text)
