"""A small extension: public names in backticks lead to their pages, links to examples lead to the gallery."""

from __future__ import annotations

import re
from typing import Any

import api_pages
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class LinkNames(SphinxTransform):
    """Makes a link of code in a line of text that is a public name, with or without arguments behind it."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        names = api_pages.known()
        for literal in list(self.document.findall(nodes.literal)):
            text = re.sub(r"\(.*\)$", "", literal.astext(), flags=re.DOTALL)
            target = names.get(text)
            inside = isinstance(literal.parent, (nodes.reference, nodes.title, addnodes.pending_xref))
            if target is None or inside or self.env.docname == f"api/{target}":
                continue
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=True
            )
            literal.replace_self(link)
            link += literal


def to_the_gallery(app: Sphinx, page: str, source: list[str]) -> None:
    """In the files an example's link leads to its source, on the site to its page in the gallery."""
    if not page.startswith(("gallery/", "api/")):
        source[0] = re.sub(r"\]\(examples/(\w+)\.py\)", r"](gallery/\1.rst)", source[0])
        source[0] = source[0].replace("](examples/)", "](gallery/index.rst)")


def with_title(app: Sphinx, page: str, source: list[str]) -> None:
    """The first line of an example's docstring is its page's title, whether it is underlined or not."""
    if re.match(r"gallery/\w+$", page) and page not in ("gallery/index", "gallery/sg_execution_times"):
        label, name, rest = source[0].partition(f".. _sphx_glr_gallery_{page.removeprefix('gallery/')}.py:\n")
        first, _, rest = rest.lstrip("\n").partition("\n")
        if not re.match(r"(.)\1{2,}\s", rest):
            first = first.removesuffix(".")
            rest = f"{'=' * len(first)}\n{rest}"
        rest = re.sub(r"(?m)^\S.*$", lambda line: api_pages.linked(line[0]), rest)  # code is indented
        source[0] = f"{label}{name}\n{first}\n{rest}"


def plain_words(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are written as text: |e| is no substitution, and forward_ no link; docs/cells.md is that page."""
    lines[:] = [api_pages.linked(api_pages.plain(line)) for line in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(LinkNames)
    app.connect("source-read", to_the_gallery)
    app.connect("source-read", with_title)
    app.connect("autodoc-process-docstring", plain_words, priority=400)
    return {"parallel_read_safe": True}
