#!/usr/bin/env python3
"""Fit the polynomial of the log kernel.

    python docs/scripts/fit_log.py

Needs numpy and mpmath.

log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R(s^2))), s = f / (2 + f), for 1 + f from sqrt(1/2) to sqrt(2), so that
z = s^2 <= 0.0295. R(z) = (log((1 + s) / (1 - s)) - 2 s) / s = 2 z / 3 + 2 z^2 / 5 + ...; the fit of R(z) / z is minimax
in the error of log(1 + f), relative to f.
"""

import fit_exp
import numpy as np
from fit_exp import horner, literal, remez, to_type
from mpmath import cos, log, mp, mpf, nstr, pi, sqrt

mp.dps = 45
END = ((sqrt(mpf(2)) - 1) / (sqrt(mpf(2)) + 1)) ** 2 * (1 + mpf(2) ** -18)
GRID = [END * (1 - cos(pi * i / 800)) / 2 for i in range(1, 801)]
Z = np.array(GRID, dtype=object)
S = np.array([sqrt(z) for z in GRID], dtype=object)
TARGET = (np.array([log((1 + s) / (1 - s)) for s in S], dtype=object) - 2 * S) / (S * Z)
WEIGHT = S * Z / (2 * S / (1 + S))  # s z over f, where that is smaller: s = -|s|
fit_exp.R, fit_exp.G, fit_exp.W, fit_exp.GRID = Z, WEIGHT, TARGET, GRID  # what `remez` reads


def error(c):
    return max(abs(e) for e in WEIGHT * (horner(c, Z) - TARGET))


def rounded(c, bits):
    """Each coefficient rounded in turn, from the lowest, the others fitted once more."""
    d, rest = list(c), TARGET
    for at in range(len(c)):
        d[at] = to_type(d[at], bits)
        rest = rest - d[at] * Z**at
        if at + 1 < len(c):
            d[at + 1 :] = remez(rest, at + 1, len(c) - at - 1)
    return d


for dtype, bits, counts in ((np.float32, 24, (2, 3, 4)), (np.float64, 53, (6, 7, 8))):
    for count in counts:
        c = remez(TARGET, 0, count)
        d = rounded(c, bits)
        print(
            f"{dtype.__name__}, {count} coefficients: error {nstr(error(c), 4)} exact, {nstr(error(d), 4)} rounded "
            f"(eps/2 = {nstr(mpf(2) ** -bits, 3)})"
        )
        print("    " + ", ".join(literal(v, dtype) for v in d))
