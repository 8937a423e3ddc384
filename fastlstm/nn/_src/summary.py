"""A model as a table, as Keras prints it: the widths of columns and the breaks of lines are those of rich's tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import names

_WIDTH, _MORE = 88, 12  # of a table; of one more column
_POSITIONS = (0.45, 0.8, 1.0)  # where columns end, as shares of the width
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_LEAST = 4  # of a column


class _Column(NamedTuple):
    title: str
    place: Callable[[str, int], str]


_COLUMNS = (_Column("Layer (type)", str.ljust), _Column("Output Shape", str.ljust), _Column("Param #", str.rjust))
_TRAINABLE = _Column("Trainable", lambda text, width: (" " * ((width - len(text)) // 2) + text).ljust(width))


def text_of(model: Any, line_length: int | None, positions: Sequence[float] | None, show_trainable: bool) -> str:
    """The table and what is below it; each line ends with a newline."""
    columns, shares = list(_COLUMNS), list(positions or _POSITIONS)
    if show_trainable:
        columns.append(_TRAINABLE)
        if positions is None:
            shares = [0.9 * share for share in shares] + [1.0]
    usual = min(_WIDTH + _MORE * show_trainable, shutil.get_terminal_size().columns - 4)
    widths = _widths(line_length or usual, shares, len(columns))
    rows = [_row(layer, show_trainable) for layer in model.layers]
    lines = [f'Model: "{model.name}"', *_table(columns, rows, widths), *_counts(model)]
    return "".join(f"{line}\n" for line in lines)


def _row(layer: Any, show_trainable: bool) -> list[str]:
    shape = str(tuple(layer.output_shape)) if layer.built else "?"
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    row = [f"{layer.name} ({type(layer).__name__})", shape, count]
    if show_trainable:
        row.append("-" if not layer.weights else "Y" if layer.trainable else "N")
    return row


def _widths(length: int, shares: Sequence[Any], count: int) -> list[int]:
    """Of what stands in the columns."""
    if len(shares) != count:
        raise ValueError(f"positions: expected {count} of them, one a column, got {len(shares)}")
    ends = [int(names.real(f"positions[{i}]", share, 0.0) * length) for i, share in enumerate(shares)]
    found = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    if min(found) < _LEAST:
        raise ValueError(f"line_length, positions: expected columns of at least {_LEAST} characters, got {found}")
    surplus, left = sum(found) + 3 * count + 1 - length, count
    for i, width in enumerate(found):  # borders and spaces are taken off all columns alike
        share = min(width + 2, round(surplus / left))
        found[i], surplus, left = max(1, width - share), surplus - share, left - 1
    return found


def _table(columns: Sequence[_Column], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    places = [column.place for column in columns]

    def line(left: str, fill: str, middle: str, right: str) -> str:
        return left + middle.join(fill * (width + 2) for width in widths) + right

    def cells(row: Sequence[str], border: str, *, title: bool = False) -> list[str]:
        parts = [_broken(text, width) for text, width in zip(row, widths, strict=True)]
        height = max(map(len, parts))
        lacking = [[""] * (height - len(part)) for part in parts]
        parts = [no + part if title else part + no for part, no in zip(parts, lacking, strict=True)]
        found = []
        for texts in zip(*parts, strict=True):
            placed = (place(text, width) for place, text, width in zip(places, texts, widths, strict=True))
            found.append(f"{border} " + f" {border} ".join(placed) + f" {border}")
        return found

    found = [
        line("┏", "━", "┳", "┓"),
        *cells([column.title for column in columns], "┃", title=True),
        line("┡", "━", "╇", "┩"),
    ]
    for number, row in enumerate(rows):
        found += [line("├", "─", "┼", "┤")] * (number > 0) + cells(row, "│")
    return [*found, line("└", "─", "┴", "┘")]


def _broken(text: str, width: int) -> list[str]:
    """In lines of whole words; what does not fit in one is cut."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def _counts(model: Any) -> list[str]:
    itemsize = model.dtype.itemsize
    learning, still = (sum(array.size for array in arrays)
                       for arrays in (model.trainable_weights, model.non_trainable_weights))  # fmt: skip
    kept, kept_bytes = 0, 0
    optimizer = model.optimizer if model.compiled and model.optimizer.built else None
    if optimizer is not None:  # Keras counts its numbers of updates and its rate, of 4 bytes, and no slots of the still
        slots = [name for name in optimizer.state() if name not in ("iterations", "learning_rate")]
        numbers = 1 + ("learning_rate" in optimizer.state())
        kept, kept_bytes = numbers + len(slots) * learning, 4 * numbers + itemsize * len(slots) * learning
    found = [
        ("Total", learning + still + kept, (learning + still) * itemsize + kept_bytes),
        ("Trainable", learning, learning * itemsize),
        ("Non-trainable", still, still * itemsize),
    ]
    if optimizer is not None:
        found.append(("Optimizer", kept, kept_bytes))
    return [f" {name} params: {count:,} ({_size(size)})" for name, count, size in found]


def _size(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} {_UNITS[-1]}"
