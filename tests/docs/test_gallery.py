"""The gallery's pages have the form that its index promises. That they run is checked by .ci/run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
INDEX = (DOCS / "examples" / "GALLERY_HEADER.rst").read_text()
PAGES = "".join(page.read_text() for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_page_says_what_it_teaches_and_ends_with_a_picture_and_a_number(example: Path) -> None:
    text = example.read_text()
    title, line, rest = (ast.get_docstring(ast.parse(text)) or "").split("\n", 2)
    assert line == "=" * len(title)
    assert rest.strip().startswith("You learn here how")
    assert "plt.show()" in text.split("# %%")[-1]
    assert "print(" in text
    assert "assert " in text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_page_stands_in_the_index_and_a_guide_leads_to_it(example: Path) -> None:
    assert INDEX.count(f":doc:`{example.stem}`\n     - ") == 1
    assert f"](examples/{example.name})" in PAGES


def test_the_index_names_pages_that_are_there_in_the_order_of_the_gallery() -> None:
    names = re.findall(r":doc:`(\w+)`", INDEX)
    assert sorted(names) == [example.stem for example in EXAMPLES]
    order = re.search(r"ORDER = \[(.*?)\n\]", (DOCS / "_site" / "figures.py").read_text(), re.DOTALL)
    assert order is not None
    assert re.findall(r'"(\w+)\.py"', order[1]) == names
