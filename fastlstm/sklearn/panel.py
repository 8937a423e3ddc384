"""What a forecaster was given, one series or many, as arrays; and forecasts in the shape that it came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import array
from .index import Steps, check_labels, index_of, steps_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Columns over one time.

    Attributes
    ----------
    values : ndarray of float64, shape (T, S)
    flat : bool
        Whether it came as (T,).
    steps : Steps or None
        Of its index, where it has one.
    kind : type
        Of pandas's things; ndarray for all others.
    labels : dict
        The name of a series, the columns of a frame.
    """

    values: Array
    flat: bool
    steps: Steps | None
    kind: type
    labels: dict[str, Any]

    def until(self, stop: int) -> Table:
        """What is before that step."""
        return replace(self, values=self.values[:stop])

    def shaped(self, values: Array, start: int | None = None) -> Any:
        """Values (n, S) of the places from start on, by default from the end, as the table came."""
        values = values[:, 0] if self.flat else values
        if self.steps is None:
            return values
        start = len(self.values) if start is None else start
        return self.kind(values, index=self.steps.labels(start, start + len(values)), **self.labels)


def table(name: str, value: Any, *, before: Table | None = None) -> Table:
    """An array (T,) or (T, S), a series or a frame, checked.

    Parameters
    ----------
    before : Table, optional
        What it continues: it has as many columns, and an index that goes on.

    Raises
    ------
    ValueError, TypeError
        Another shape; NaN or infinities; something else than numbers; an index of uneven steps.
    """
    found = array(name, value)
    if found.ndim not in (1, 2):
        raise ValueError(f"{name}: expected shape (T,) or (T, columns), got {found.shape}")
    values = found.astype(np.float64)  # a copy: what the caller does with his changes nothing
    values = values[:, None] if found.ndim == 1 else values
    if not (finite := np.isfinite(values)).all():
        place = np.argwhere(~finite)[0]
        where = ", ".join(map(str, place[: found.ndim]))
        raise ValueError(f"{name}: expected finite numbers, got {values[tuple(place)]} at [{where}]: fill "
                         "what is missing")  # fmt: skip
    index, steps = index_of(value), None
    labels = {}
    if index is not None:
        labels = {"columns": value.columns} if hasattr(value, "columns") else {"name": value.name}
        if before is None:
            steps = steps_of(f"{name}.index", index)
    if before is None:
        return Table(values, found.ndim == 1, steps, type(value), labels)
    _check_continues(name, values, index, labels, before)
    return replace(before, values=np.concatenate([before.values, values]))


def _check_continues(name: str, values: Array, index: Any, labels: dict[str, Any], before: Table) -> None:
    if values.shape[1] != before.values.shape[1]:
        raise ValueError(f"{name}: expected {before.values.shape[1]} columns, as fit was given, got {values.shape[1]}")
    if "columns" in labels and "columns" in before.labels and list(labels["columns"]) != list(before.labels["columns"]):
        raise ValueError(f"{name}: expected the columns {list(before.labels['columns'])}, as fit was given, got "
                         f"{list(labels['columns'])}")  # fmt: skip
    if index is not None and before.steps is not None:
        check_labels(f"{name}.index", index, before.steps, len(before.values))


@dataclass(frozen=True)
class Panel:
    """One series or many.

    Attributes
    ----------
    tables : list of Table
        One; or, of a list of series, each.
    listed : bool
        Whether a list was given.
    covariates : list of Table or None
        Of each table.
    """

    tables: list[Table]
    listed: bool
    covariates: list[Table] | None

    def series(self) -> list[tuple[Array, Array | None]]:
        """Each series (T,), with its covariates (T, K)."""
        found = []
        for place, one in enumerate(self.tables):
            X = None if self.covariates is None else self.covariates[place].values
            found += [(column, X) for column in one.values.T]
        return found

    def lengths(self) -> list[int]:
        """Steps of each table."""
        return [len(one.values) for one in self.tables]

    def names(self, name: str) -> list[str]:
        """What each table is called in what was given under that name."""
        return [f"{name}[{place}]" for place in range(len(self.tables))] if self.listed else [name]

    def of_each_series(self, things: Sequence[Any]) -> list[Any]:
        """One for each table -> one for each series."""
        return [thing for thing, one in zip(things, self.tables, strict=True) for _ in one.values.T]

    def until(self, stops: Sequence[int]) -> Panel:
        """Of each table what is before the step."""
        covariates = self.covariates
        if covariates is not None:
            covariates = [one.until(stop) for one, stop in zip(covariates, stops, strict=True)]
        return replace(self, tables=[one.until(stop) for one, stop in zip(self.tables, stops, strict=True)],
                       covariates=covariates)  # fmt: skip

    def extended(self, y: Any, X: Any) -> Panel:
        """With what comes behind, checked."""
        tables = [table(name, one, before=before)
                  for (name, one), before in zip(self._each("y", y), self.tables, strict=True)]  # fmt: skip
        added = [len(after.values) - len(before.values) for before, after in zip(self.tables, tables, strict=True)]
        return replace(self, tables=tables, covariates=self.with_covariates("X", X, added))

    def with_covariates(self, name: str, X: Any, added: Sequence[int]) -> list[Table] | None:
        """Those there are, and so many more of each table, checked."""
        if self.covariates is None:
            if X is not None:
                raise ValueError(f"{name}: expected None, as fit was given no X, got {type(X).__name__}")
            return None
        K = self.covariates[0].values.shape[1]
        if X is None:
            raise ValueError(f"{name}: expected {max(added)} steps of {K} covariates, as fit was given X, got None")
        found = []
        for (place, one), before, steps in zip(self._each(name, X), self.covariates, added, strict=True):
            after = table(place, one, before=before)
            if len(after.values) - len(before.values) != steps:
                raise ValueError(f"{place}: expected {steps} steps, got {len(after.values) - len(before.values)}")
            found.append(after)
        return found

    def _each(self, name: str, value: Any) -> list[tuple[str, Any]]:
        """What was given for each table, with its name."""
        return _each(name, value, len(self.tables) if self.listed else None)

    def shaped(self, forecasts: Sequence[Array]) -> Any:
        """What comes behind each series (H,), in the form that the series were given in."""
        found, first = [], 0
        for one in self.tables:
            last = first + one.values.shape[1]
            found.append(one.shaped(np.stack(forecasts[first:last], axis=1)))
            first = last
        return found if self.listed else found[0]


def _each(name: str, value: Any, count: int | None) -> list[tuple[str, Any]]:
    """What was given for each table of a list, or for the one that is none (count None), with its name."""
    if count is None:
        return [(name, value)]
    if not isinstance(value, (list, tuple)) or len(value) != count:
        got = f"a list of {len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{name}: expected a list of {count}, one for each series, got {got}")
    return [(f"{name}[{place}]", one) for place, one in enumerate(value)]


def panel(y: Any, X: Any = None) -> Panel:
    """One series (T,), several over one time (T, S), or a list of series (T_i,), with covariates (T, K) or (T,) of
    each table, checked.

    Raises
    ------
    ValueError, TypeError
        As of `table`; covariates of another length than y, or with another index.
    """
    listed = isinstance(y, (list, tuple)) and any(np.ndim(one) > 0 for one in y)
    count = len(y) if listed else None
    tables = [table(name, one) for name, one in _each("y", y, count)]
    for place, one in enumerate(tables):
        if listed and not one.flat:
            raise ValueError(f"y[{place}]: expected a series of shape (T,), got {one.values.shape}; a list holds one "
                             "series in each entry")  # fmt: skip
        if one.values.shape[1] == 0:
            raise ValueError("y: expected at least one series, got shape (T, 0)")
    if X is None:
        return Panel(tables, listed, None)
    covariates = []
    for (name, value), one in zip(_each("X", X, count), tables, strict=True):
        found = table(name, value)
        if len(found.values) != len(one.values):
            raise ValueError(f"{name}: expected {len(one.values)} steps, as y has, got {len(found.values)}")
        if found.steps is not None and one.steps is not None:
            check_labels(f"{name}.index", index_of(value), one.steps, 0)
        covariates.append(found)
    K = covariates[0].values.shape[1]
    for place, found in enumerate(covariates):
        if found.values.shape[1] != K:
            raise ValueError(f"X[{place}]: expected {K} columns, as X[0] has, got {found.values.shape[1]}")
    return Panel(tables, listed, covariates)
