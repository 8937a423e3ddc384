"""Series in the form that they came in: arrays, lists, things with an index, as pandas has them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fastlstm.sklearn.index import steps_of
from fastlstm.sklearn.panel import panel


class Index:
    """As pandas's, of numbers or of times."""

    def __init__(self, labels: Any, name: Any = None) -> None:
        self._labels, self.name = np.asarray(labels), name

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, place: int) -> Any:
        return self._labels[place]


class Series:
    """As pandas's."""

    def __init__(self, values: Any, index: Any, name: Any = None) -> None:
        self.values, self.name = np.asarray(values), name
        self.index = index if isinstance(index, Index) else Index(index)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values


class Frame:
    def __init__(self, values: Any, index: Any, columns: Any) -> None:
        self.values, self.columns = np.asarray(values), columns
        self.index = index if isinstance(index, Index) else Index(index)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values


DAYS = np.arange("2020-02-27", "2020-03-08", dtype="datetime64[D]")
DAY = np.timedelta64(1, "D")  # NumPy 2.5 warns of numbers without a unit
Y = np.arange(10.0)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(1990, 2000), [2000, 2001]),
        (np.arange(0, 100, 10), [100, 110]),
        (np.arange(10)[::-1], [-1, -2]),
        (np.linspace(0, 0.9, 10), [1.0, 1.1]),
        (DAYS, ["2020-03-08", "2020-03-09"]),
    ],
)
def test_an_index_goes_on(labels: Any, expected: Any) -> None:
    given = panel(Series(Y, Index(labels, "when"), "spots"))
    found = given.shaped([np.array([1.5, 2.5])])
    assert isinstance(found, Series)
    assert (found.name, found.index.name) == ("spots", "when")
    np.testing.assert_array_equal(found.values, [1.5, 2.5])
    if labels.dtype.kind == "f":
        np.testing.assert_allclose(found.index._labels, expected)
    else:
        np.testing.assert_array_equal(found.index._labels, np.array(expected, labels.dtype))


def test_columns_keep_their_names() -> None:
    found = panel(Frame(np.stack([Y, -Y], axis=1), DAYS, ["a", "b"])).shaped([np.ones(3), np.zeros(3)])
    assert isinstance(found, Frame)
    assert found.columns == ["a", "b"]
    np.testing.assert_array_equal(found.values, [[1, 0]] * 3)
    assert found.index[0] == np.datetime64("2020-03-08")


def test_forms_of_many_series() -> None:
    given = panel(np.stack([Y, -Y], axis=1))
    assert [one.tolist() for one, _ in given.series()] == [Y.tolist(), (-Y).tolist()]
    assert given.shaped([np.ones(3), np.zeros(3)]).shape == (3, 2)
    given = panel([Y, Series(Y[:6], DAYS[:6]), [3, 4, 5]])
    assert given.lengths() == [10, 6, 3]
    one, two, three = given.shaped([np.ones(2)] * 3)
    assert type(one) is type(three) is np.ndarray
    assert two.index[0] == DAYS[6]
    assert panel([1, 2, 3]).shaped([np.ones(2)]).shape == (2,)


def test_what_the_caller_does_with_his_array_changes_nothing() -> None:
    y = Y.copy()
    given = panel(y, y)
    y[:] = 7
    np.testing.assert_array_equal(given.tables[0].values[:, 0], Y)
    np.testing.assert_array_equal(given.covariates[0].values[:, 0], Y)


def test_more_steps_go_on_behind() -> None:
    given = panel(Series(Y, DAYS), Y[:, None])
    more = given.extended(Series([5.0, 6.0], DAYS[-1] + np.array([1, 2]) * DAY), [1, 2])
    np.testing.assert_array_equal(more.series()[0][0], [*Y, 5, 6])
    np.testing.assert_array_equal(more.series()[0][1], np.array([*Y, 1, 2])[:, None])
    assert more.shaped([np.ones(1)]).index[0] == DAYS[-1] + 3 * DAY
    assert given.lengths() == [10]
    with pytest.raises(ValueError, match=re.escape("y.index: expected even steps without gaps, 2020-03-08 at place 0")):
        given.extended(Series([5.0], DAYS[-1:] + 2 * DAY), [1])


WIDE = np.stack([Y, -Y], axis=1)
FRAME = Frame(WIDE, DAYS, ["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3.0,), ValueError, "y: expected shape (T,) or (T, columns), got ()"),
        ((np.ones((4, 2, 2)),), ValueError, "y: expected shape (T,) or (T, columns), got (4, 2, 2)"),
        ((np.ones((4, 0)),), ValueError, "y: expected at least one series, got shape (T, 0)"),
        ((["a", "b"],), TypeError, "y: expected real numbers, got dtype <U1"),
        (([1, np.nan, 2],), ValueError, "y: expected finite numbers, got nan at [1]: fill what is missing"),
        ((np.where(WIDE == -3, np.inf, WIDE),), ValueError, "y: expected finite numbers, got inf at [3, 1]"),
        (([Y, [1, np.nan]],), ValueError, "y[1]: expected finite numbers, got nan at [1]"),
        (([Y, WIDE],), ValueError, "y[1]: expected a series of shape (T,), got (10, 2)"),
        ((Series(Y, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]),), ValueError,
         "y.index: expected even steps without gaps, 4 at place 4, got 5"),
        ((Series(Y, [0, 1, 2, 3, 5, 5, 6, 7, 8, 9]),), ValueError,
         "y.index: expected even steps without gaps, 4 at place 4, got 5"),
        ((Series(Y, [0, 0.1, 0.2, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),), ValueError,
         "y.index: expected even steps without gaps, 0.3"),
        ((Series(Y, [3] * 10),), ValueError, "y.index: expected labels that differ, got 3 twice"),
        ((Series(Y, list("abcdefghij")),), ValueError,
         "y.index: expected numbers, or times with a frequency, got Index of <U1; give an array to do without"),
        ((Y, Y[1:]), ValueError, "X: expected 10 steps, as y has, got 9"),
        ((Y, [[np.nan]] * 10), ValueError, "X: expected finite numbers, got nan at [0, 0]"),
        (([Y, Y], Y), ValueError, "X: expected a list of 2, one for each series, got ndarray"),
        (([Y, Y], [Y]), ValueError, "X: expected a list of 2, one for each series, got a list of 1"),
        (([Y, Y], [Y, WIDE]), ValueError, "X[1]: expected 1 columns, as X[0] has, got 2"),
        (([Y, Y], [Y, Y[:3]]), ValueError, "X[1]: expected 10 steps, as y has, got 3"),
        ((FRAME, Frame(WIDE, DAYS + DAY, ["k", "l"])), ValueError,
         "X.index: expected even steps without gaps, 2020-02-27 at place 0, got 2020-02-28"),
    ],
)  # fmt: skip
def test_bad_input(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        panel(*arguments)


@pytest.mark.parametrize(
    ("y", "X", "message"),
    [
        (Y, None, "X: expected 10 steps of 2 covariates, as fit was given X, got None"),
        (WIDE[:, :1], WIDE[:9], "X: expected 10 steps, got 9"),
        (WIDE, WIDE, "y: expected 1 columns, as fit was given, got 2"),
        (Y, Y, "X: expected 2 columns, as fit was given, got 1"),
        (Y, Frame(WIDE, np.arange(10), ["b", "a"]), "X: expected the columns ['a', 'b'], as fit was given, got ['b', 'a']"),
        (Y, FRAME, "X.index: expected even steps without gaps, 2020-03-08 at place 0, got 2020-02-27"),
        ([1, np.nan], None, "y: expected finite numbers, got nan at [1]"),
    ],
)  # fmt: skip
def test_bad_continuations(y: Any, X: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        panel(Y, FRAME).extended(y, X)
    with pytest.raises(ValueError, match=r"^X: expected None, as fit was given no X, got ndarray"):
        panel(Y).extended(Y, Y)


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    for index in (
        pd.RangeIndex(5, 25, 2, name="i"),
        pd.Index(range(1990, 2000)),
        pd.date_range("2020-01-31", periods=10, freq="ME", name="m"),
        pd.date_range("2020-03-25", periods=10, freq="D", tz="Europe/Berlin"),
        pd.DatetimeIndex(list(pd.date_range("2020-01-01", periods=10, freq="MS"))),
        pd.DatetimeIndex(list(pd.date_range("2020-01-03", periods=10, freq="B"))),
        pd.period_range("2020Q1", periods=10, freq="Q"),
        pd.timedelta_range("1h", periods=10, freq="h"),
    ):
        kind = type(index)
        y = pd.Series(np.arange(10), index=index, name="y")
        found = panel(y[:7]).shaped([np.array([1.0, 2.0, 3.0])])
        pd.testing.assert_series_equal(found, pd.Series([1.0, 2.0, 3.0], index=index[7:], name="y"), check_freq=False)
        assert type(found.index) is kind
        more = panel(y[:7]).extended(y[7:9], None).shaped([np.array([1.0])])
        assert more.index[0] == index[9]
        with pytest.raises(ValueError, match=r"y\.index: expected even steps"):
            panel(y[:7]).extended(y[8:], None)
    frame = pd.DataFrame({"a": Y, "b": Y}, index=pd.date_range("2020-01-01", periods=10))
    found = panel(frame).shaped([np.ones(2), np.zeros(2)])
    pd.testing.assert_frame_equal(
        found,
        pd.DataFrame({"a": [1.0, 1], "b": [0.0, 0]}, index=pd.date_range("2020-01-11", periods=2)),
        check_freq=False,
    )


def test_what_pandas_says_of_gaps() -> None:
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2020-01-01", periods=10)
    for index in (
        days.delete(4),
        pd.PeriodIndex(["2020-01", "2020-02", "2020-02", "2020-04"], freq="M"),
        pd.PeriodIndex(["2020-01", "2020-02", "2020-04"], freq="M"),
        pd.Index(list("abc")),
    ):
        with pytest.raises(ValueError, match=r"^y\.index: expected"):
            steps_of("y.index", index)
    with pytest.raises(TypeError, match=r"y: expected real numbers, got dtype object.*in column 'b'"):
        panel(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
