"""The cell whose h is a projection of its output m."""

from __future__ import annotations

from typing import NamedTuple

from .number import Number
from .phases import Back, Given
from .standard import lstm


class Kept(NamedTuple):
    i: Number
    f: Number
    g: Number
    o: Number
    h_old: Number


def unprojected_backward(given: Given) -> Back:
    """The standard cell's equations with m in the place of h. The old h comes from the tape: it is a projection, which
    cannot be made again from one unit's numbers."""
    *gates, h_old = given.kept
    return lstm.backward(given._replace(kept=gates, before=given.before[:-1]))._replace(h_old=h_old)


def m_again(kept: Kept, t: Number) -> Number:
    return kept.o * t
