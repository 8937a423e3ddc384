"""How all pictures of the site look, and how the gallery takes them up: once for light pages, once for dark ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text
from style import STYLE

ORDER = [  # of the gallery's pages; others follow
    "speakers.py", "temperature_tomorrow.py", "warm_days.py", "sunspots.py",  # estimators
    "rain_tomorrow.py", "runoff.py",  # layers, and loops of one's own
    "amplifier.py", "noise_gate.py", "early_answer.py", "cart_pole.py",  # step by step
    "own_cells.py", "vanishing_gradients.py",  # inside
]  # fmt: skip
BLACK, WHITE = "#222832", "#ced6dd"  # the theme's colours of text


def reset(gallery: Any, name: Any) -> None:
    """Before each example: the house's style, whatever the one before has changed."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)
    for part in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
        matplotlib.rcParams[part] = BLACK


def recolour(figure: Figure, old: str, new: str) -> None:
    """All that has the colour of text on a light page gets that of a dark one, or back."""

    def change(artist: Any, get: str, put: str) -> None:
        if matplotlib.colors.same_color(getattr(artist, get)(), old):
            getattr(artist, put)(new)

    for artist in figure.findobj():
        if isinstance(artist, (Text, matplotlib.lines.Line2D)):
            change(artist, "get_color", "set_color")
        elif isinstance(artist, matplotlib.spines.Spine):
            change(artist, "get_edgecolor", "set_edgecolor")
    for axes in figure.axes:
        for axis in ("x", "y"):
            axes.tick_params(axis=axis, which="both", color=new, labelcolor=new)


def scraper(block: Any, variables: dict[str, Any], gallery: dict[str, Any]) -> str:
    """For sphinx-gallery: saves each open figure twice, and shows the one that fits the page."""
    text = ""
    for number, path in zip(plt.get_fignums(), variables["image_path_iterator"], strict=False):
        figure = plt.figure(number)
        dark = Path(path).with_name(Path(path).stem + "-dark.png")
        figure.savefig(path)
        recolour(figure, BLACK, WHITE)
        figure.savefig(dark)
        title = " ".join(axes.get_title(loc="left") or axes.get_title() for axes in figure.axes).strip()
        for kind, file in (("only-light", Path(path)), ("only-dark", dark)):
            place = file.relative_to(gallery["src_dir"]).as_posix()
            text += f"\n.. image:: /{place}\n   :alt: {title}\n   :class: sphx-glr-single-img {kind}\n"
    plt.close("all")
    return text
