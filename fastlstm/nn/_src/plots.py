"""Pictures of how a model learned, and of a model; by matplotlib, which is imported only where one is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import size_of
from ...files import file_name, write_whole
from . import names
from .base import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .callbacks import History
    from .model import Sequential

_HEIGHT, _WIDTH = 2.6, 6.0  # inches of one axes
_BOX, _GAP = 0.62, 0.34  # of a layer and of what is between two


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots: expected the package matplotlib, which is not installed (pip install "
                          "matplotlib)") from error  # fmt: skip
    return Figure((width, height), layout="constrained")


def _save(figure: Any, to_file: str | os.PathLike[str] | None, dpi: int) -> None:
    if to_file is None:
        return
    name, room = file_name(to_file), BytesIO()
    kind = os.path.splitext(name)[1].lower().removeprefix(".")
    known = sorted(figure.canvas.get_supported_filetypes())
    if kind not in known:
        raise ValueError(f"to_file: expected a name that ends in one of {', '.join(known)}, got {name!r}")
    figure.savefig(room, format=kind, dpi=dpi)
    write_whole(name, lambda file: file.write(room.getvalue()), durable=False)


def plot_history(
    history: History | Mapping[str, Sequence[float]], to_file: str | os.PathLike[str] | None = None, dpi: int = 100
) -> Figure:
    """A picture of what `fit` returned: a panel for the loss and one for each metric, in training and validation.

    Parameters
    ----------
    history : History, or dict of str to list of float
    to_file : str or path-like, optional
        Where to write it: .png, .svg, .pdf and the like.
    dpi : int
        Dots an inch.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        The package matplotlib is missing.
    ValueError, TypeError
        No history, or an empty one; the name of another kind of file.

    Examples
    --------
    ``plot_history(model.fit(x, y, validation_split=0.1), "learned.png")``
    """
    found = getattr(history, "history", history)
    if not isinstance(found, Mapping):
        raise TypeError(f"history: expected a History or a dict of lists, got {type(history).__name__}")
    if not found or not any(len(values) for values in found.values()):
        raise ValueError("history: expected at least one epoch, got none")
    titles = [name for name in found if not (name.startswith("val_") and name.removeprefix("val_") in found)]
    epochs = len(found[titles[0]])
    dots = size_of("dpi", dpi)
    figure = _figure(_WIDTH, _HEIGHT * len(titles))
    panels = figure.subplots(len(titles), sharex=True, squeeze=False)[:, 0]
    for panel, title in zip(panels, titles, strict=True):
        for name, label in ((title, "training"), (f"val_{title}", "validation")):
            if name in found:
                values = np.asarray(found[name], np.float64)
                every = max(1, epochs // max(1, len(values)))  # as of fit(validation_freq=…)
                panel.plot(
                    every * np.arange(1, len(values) + 1), values, label=label, marker="." if epochs < 30 else ""
                )
        panel.set_ylabel(title)
        panel.grid(alpha=0.3)
    if any(name.startswith("val_") for name in found):
        panels[0].legend()
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    _save(figure, to_file, dots)
    return figure


def plot_model(
    model: Sequential, to_file: str | os.PathLike[str] | None = "model.png", show_shapes: bool = False,
    show_dtype: bool = False, show_layer_names: bool = False, show_trainable: bool = False, dpi: int = 200,
) -> Figure:  # fmt: skip
    """A picture of a model: its layers, from the input down.

    Parameters
    ----------
    model : Sequential
    to_file : str or path-like, or None
        Where to write it; nowhere if None.
    show_shapes, show_dtype, show_layer_names, show_trainable : bool
        What stands in the boxes beside the classes of the layers.
    dpi : int
        Dots an inch.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        The package matplotlib is missing.
    ValueError, TypeError
        No model with layers; shapes of one that has not been built; the name of another kind of file.

    Examples
    --------
    ``plot_model(model, "model.svg", show_shapes=True)``
    """
    if not hasattr(model, "layers"):
        raise TypeError(f"model: expected a Sequential, got {type(model).__name__}")
    if not model.layers:
        raise ValueError("model: expected at least one layer, got none")
    shapes = names.flag("show_shapes", show_shapes)
    if shapes and not model.built:
        raise ValueError("model: expected one that has been built, as its shapes are to be shown")
    asked = {"dtype": show_dtype, "layer_names": show_layer_names, "trainable": show_trainable}
    flags = {name: names.flag(f"show_{name}", value) for name, value in asked.items()}
    dots, boxes = size_of("dpi", dpi), [_box(layer, shapes, flags) for layer in model.layers]
    heights = [_BOX + 0.22 * text.count("\n") for text in boxes]
    total = sum(heights) + _GAP * (len(boxes) - 1)
    figure = _figure(max(2.4, 0.11 * max(len(line) for text in boxes for line in text.split("\n"))) + 0.4, total + 0.3)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, total))
    top = total
    for number, (text, height) in enumerate(zip(boxes, heights, strict=True)):
        if number:
            arrow = {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (0.5, top - _GAP), (0.5, top), arrowprops=arrow)
            top -= _GAP
        axes.text(0.5, top - height / 2, text, ha="center", va="center", fontsize=9, linespacing=1.4,
                  bbox={"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "black"})  # fmt: skip
        top -= height
    _save(figure, to_file, dots)
    return figure


def _box(layer: Any, shapes: bool, flags: Mapping[str, bool]) -> str:
    kind = type(layer).__name__
    inner = getattr(layer, "layer", None)
    lines = [kind if inner is None else f"{kind}({type(inner).__name__})"]
    if flags["layer_names"]:
        lines[0] = f"{layer.name} ({lines[0]})"
    if shapes:
        lines.append(f"{shown(layer.input_shape)} → {shown(layer.output_shape)}")
    if flags["dtype"]:
        lines.append(layer.dtype.name)
    if flags["trainable"] and layer.weights:
        lines.append("trainable" if layer.trainable else "not trainable")
    return "\n".join(lines)
