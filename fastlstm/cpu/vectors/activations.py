"""exp, log, tanh and sigmoid, vectorised; float32 and float64. tanh and sigmoid are made of the exponential.

exp(x) = 2**k (1 + q(r)), k = floor(x / ln 2), r = x - k ln 2 in [0, ln 2), q(r) = r + r**2 w(r), with the
polynomial w fitted by docs/scripts/fit_exp.py. w's coefficients are positive, so with r >= 0 and q <= 1 every
operation from x to exp(x) is monotone in exact and in rounded arithmetic, and sigmoid is monotone as computed. In
float64 r and q are held to that. In float32, where rounding may take them past by its last bit, no step down follows:
docs/scripts/every_float.py has seen them all, with FMA and without.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

Vector: TypeAlias = Any  # of `emitter`, which imports this module

# w's coefficients, lowest first, and ln 2 in two parts, the first so short that k times it is exact:
# minimax fits by docs/scripts/fit_exp.py; q's relative error is 1.4e-8 and 2.1e-17
_W = {
    32: (5.000009e-01, 1.6664769e-01, 4.179486e-02, 7.962555e-03, 1.8604217e-03),
    64: (
        4.999999999999951e-01, 1.6666666666701668e-01, 4.16666666580213e-02, 8.333333438651721e-03,
        1.3888881544742875e-03, 1.9841585331622605e-04, 2.4792965252744605e-05, 2.7707217813210544e-06,
        2.596148697596466e-07, 3.437308975052435e-08,
    ),
}  # fmt: skip
_LN2 = {32: (6.9314575e-01, 1.4286068e-06), 64: (6.931471805598903e-01, 5.497923018708371e-14)}
# coefficients of R(z) / z, lowest first, by docs/scripts/fit_log.py; log's relative error is 9.2e-10 and 1.4e-18
_R = {
    32: (6.666678e-01, 3.9976913e-01, 2.9887825e-01),
    64: (
        6.666666666666738e-01, 3.999999999938968e-01, 2.857142874764119e-01, 2.2222198059331696e-01,
        1.8183589933095298e-01, 1.531341953947064e-01, 1.4802052328697937e-01,
    ),
}  # fmt: skip
_MANTISSA = {32: (23, 127), 64: (52, 1023)}


def _exp_parts(x: Vector, factor: float) -> tuple[Vector, Vector]:
    """s = 2**k and q with exp(factor x) = s + s q; factor: a power of two, or minus one."""
    shifted, q = _exp_reduced(x, factor, held=x.emitter.bits == 64)
    return shifted.power_of_two(*_MANTISSA[x.emitter.bits]), q


def _exp_reduced(x: Vector, factor: float, held: bool) -> tuple[Vector, Vector]:
    """The same with k and _magic for s. held: r and q stay in their bounds, at the cost of some last bits."""
    bits = x.emitter.bits
    high, low = _LN2[bits]
    magic = _magic(bits)
    shifted = x.fma(factor / math.log(2), -0.5) + magic
    k = shifted - magic
    r = k.fma(-low, k.fma(-high, x * factor))
    if held:
        r = r.at_least(0.0)
    square = r * r
    q = _polynomial(_W[bits], r, square).fma(square, r)
    if held:
        q = q.at_most(1.0)
    return shifted, q


def _magic(bits: int) -> float:
    """Adding it rounds to an integer, which then stands in the lowest bits."""
    return 1.5 * 2.0 ** _MANTISSA[bits][0]


def _polynomial(coefficients: tuple[float, ...], r: Vector, square: Vector) -> Vector:
    """By Estrin's scheme: a chain half as long as Horner's, from as many operations."""
    splat = r.emitter.splat
    terms = [
        splat(pair[1]).fma(r, pair[0]) if len(pair) == 2 else splat(pair[0])
        for pair in (coefficients[n : n + 2] for n in range(0, len(coefficients), 2))
    ]
    total = terms.pop()
    while terms:
        total = total.fma(square, terms.pop())
    return total


def sigmoid(x: Vector) -> Vector:
    """1 / (1 + exp(-x)); absolute error below 2**-23 in float32, monotone, inside [0, 1].

    It is 0 where it would no longer be a normal number: at minus infinity it must be, so that a closed gate makes NaN
    of an infinity. exp, out of its range there, is infinite.
    """
    limit, beyond = {32: (87.0, 89.0), 64: (708.0, 710.0)}[x.emitter.bits]
    s, q = _exp_parts(x.at_most(limit).at_least(-limit, -beyond), -1.0)
    return (s.fma(q, s) + 1.0).reciprocal()


def tanh(x: Vector) -> Vector:
    """expm1(2|x|) / (expm1(2|x|) + 2) with the sign of x."""
    limit = {32: 9.02, 64: 19.07}[x.emitter.bits]  # 1 to the last bit from there on
    u = abs(x).at_most(limit)
    s, q = _exp_parts(u, 2.0)
    e = s.fma(q, s - 1.0)
    return (e * (e + 2.0).reciprocal()).with_sign_of(x)


def exp(x: Vector) -> Vector:
    """2**k in two factors, as it may lie beyond the floats where the result does not, and the other way round."""
    bits = x.emitter.bits
    lowest, highest = {32: (-104.0, 89.0), 64: (-746.0, 710.0)}[bits]  # 0 and infinity from there on
    shifted, q = _exp_reduced(x.at_most(highest).at_least(lowest), 1.0, held=False)
    magic = _magic(bits)
    half = (shifted - magic).fma(0.5, magic)
    rest = shifted - (half - magic)
    s = half.power_of_two(*_MANTISSA[bits])
    return s.fma(q, s) * rest.power_of_two(*_MANTISSA[bits])


def log(x: Vector) -> Vector:
    """k ln 2 + log(1 + f), with x = 2**k (1 + f), 1 + f from sqrt(1/2) to sqrt(2).

    log(1 + f) = f - (f**2 / 2 - s (f**2 / 2 + R(s**2))), s = f / (2 + f), as in fdlibm's e_log.c (Sun Microsystems,
    1993)."""
    bits = x.emitter.bits
    mantissa, bias = _MANTISSA[bits]
    high, low = _LN2[bits]
    subnormal = x < 2.0 ** (1 - bias)
    m, k = subnormal.where(x * 2.0 ** (mantissa + 1), x).power_parts(mantissa, bias)
    k = k - subnormal.where(mantissa + 1.0, 0.0)
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    rest = s.fma(half + _polynomial(_R[bits], z, z * z) * z, k * low)
    found = k.fma(high, f - (half - rest))
    found = (x > 0.0).where(found, (x < 0.0).where(math.nan, -math.inf))
    return (x < math.inf).where(found, x)


def log1p(x: Vector) -> Vector:
    """log(u) with u = 1 + x, and what u lost to rounding, over u."""
    u = x + 1.0
    lost = (x - (u - 1.0)) / u
    found = log(u)
    return (abs(lost) < 1.0).where(found + lost, found)  # at -1 and at infinity it is NaN
