#!/usr/bin/env python3
"""Fit the exp polynomial of the tanh/sigmoid kernels and check the kernels' scheme.

    python docs/scripts/fit_exp.py          # fits, float32 simulation (a minute or two)
    python docs/scripts/fit_exp.py --fit    # fits only
    python docs/scripts/fit_exp.py --all    # monotonicity over every float32 of 2^-26 <= |x| <= 87

Needs numpy and mpmath.

e^x = 2^k (1 + q(r)), r = x - k ln 2 in [0, ln 2], q(r) = r + r^2 w(r) ~ e^r - 1.
The fit is minimax in the relative error of q.  All coefficients come out positive,
so each Horner step is a rounded non-decreasing function of r >= 0 and q is monotone.
"""

import sys

import numpy as np
from mpmath import cos, expm1, floor, log, lu_solve, matrix, mp, mpf, nstr, pi

mp.dps = 45
B = log(2) * (1 + mpf(2) ** -18)  # the margin: k may be off by one next to a multiple of ln 2
GRID = [B * (1 - cos(pi * i / 800)) / 2 for i in range(1, 801)]
R = np.array(GRID, dtype=object)
E1 = np.array([expm1(r) for r in GRID], dtype=object)
W = (E1 - R) / (R * R)  # what w has to match ...
G = R * R / E1  # ... and its weight, making errors relative to q


def horner(c, r):
    acc = c[-1]
    for a in c[-2::-1]:
        acc = acc * r + a
    return acc


def remez(target, lo, n):
    """Minimax a_0..a_{n-1}: sum a_j r^(lo+j) ~ target on GRID, weight G."""
    g = G * R**lo
    ref = [min(799, int(800 * (i + 1) / (n + 1))) for i in range(n + 1)]
    for _ in range(30):
        A = matrix(n + 1, n + 1)
        y = matrix(n + 1, 1)
        for i, p in enumerate(ref):
            t = mpf(1)
            for j in range(n):
                A[i, j] = g[p] * t
                t *= R[p]
            A[i, n] = (-1) ** i
            y[i] = G[p] * target[p]
        sol = lu_solve(A, y)
        a = list(sol[:n])
        err = G * target - g * horner(a, R)
        peaks = []  # the largest error of each run of one sign
        for p, e in enumerate(err):
            if peaks and (err[peaks[-1]] > 0) == (e > 0):
                if abs(e) > abs(err[peaks[-1]]):
                    peaks[-1] = p
            else:
                peaks.append(p)
        while len(peaks) > n + 1:  # keep the larger end, alternation stays
            peaks.pop(0 if abs(err[peaks[0]]) < abs(err[peaks[-1]]) else -1)
        if len(peaks) < n + 1 or peaks == ref:
            break
        ref = peaks
        if max(abs(e) for e in err) < abs(sol[n]) * (1 + mpf(10) ** -4):
            break
    return a


def rel_err(c):
    return max(abs(e) for e in G * (horner(c, R) - W))


def to_type(v, bits):
    """v rounded to nearest with `bits` significant bits (no subnormals here)."""
    e = int(floor(log(abs(v), 2)))
    scale = mpf(2) ** (bits - 1 - e)
    return mp.nint(v * scale) / scale


def round_coefs(c, bits):
    """Best of: plain rounding; rounding one by one from either end, refitting the rest."""
    tries = [[to_type(v, bits) for v in c]]
    for up in (True, False):
        d, left, resid = list(c), list(range(len(c))), W
        while left:
            i = left.pop(0 if up else -1)
            d[i] = to_type(d[i], bits)
            resid = resid - d[i] * R**i
            if left:
                d[left[0] : left[-1] + 1] = remez(resid, left[0], len(left))
        tries.append(d)
    return min((t for t in tries if min(t) > 0), key=rel_err)


def literal(v, dtype):
    return np.format_float_scientific(dtype(float(v)), unique=True, trim="0")


def fit(dtype, bits, kbits, degrees):
    out = {}
    print(f"# ---- {dtype.__name__}")
    # k hi is exact when hi leaves the kbits bits of k free
    hi = floor(log(2) * mpf(2) ** (bits - kbits)) / mpf(2) ** (bits - kbits)
    lo = to_type(log(2) - hi, bits)
    full = to_type(log(2), bits)
    out["ln2"] = dtype(float(hi)), dtype(float(lo))
    print(
        f"LN2_HI, LN2_LO = {literal(hi, dtype)}, {literal(lo, dtype)}"
        f"   # {float(hi).hex()}, {float(lo).hex()}; |hi+lo-ln2| = {nstr(abs(hi + lo - log(2)), 3)}"
    )
    print(f"LOG2E = {literal(to_type(1 / log(2), bits), dtype)}")
    for deg in degrees:
        c = remez(W, 0, deg - 1)
        assert min(c) > 0, "a coefficient is not positive"
        d = round_coefs(c, bits)
        out[deg] = [dtype(float(v)) for v in d]
        assert all(mpf(float(v)) == w for v, w in zip(out[deg], d))
        q1 = nstr(log(2) + log(2) ** 2 * horner(d, log(2)) - 1, 3)
        print(
            f"# degree {deg}: max relative error of q {nstr(rel_err(c), 4)} exact, "
            f"{nstr(rel_err(d), 4)} rounded (eps/2 = {nstr(mpf(2) ** -bits, 3)}); q(ln 2) - 1 = {q1}"
        )
        print(f"C{deg} = (  # c2 .. c{deg}")
        for v in out[deg]:
            print(f"    {literal(v, dtype)},  # {float(v).hex()}")
        print(")")
    return out


# ---- float32 simulation

f32, f64 = np.float32, np.float64
MAGIC = f32(1.5 * 2**23)
LOG2E = f32(1.4426950408889634)


def fma(a, b, c):
    """The product is exact in float64; the sum rounds there first, which is close enough."""
    return (np.multiply(a, b, dtype=f64) + np.asarray(c, f64)).astype(f32)


def exp_parts(u, ln2, c):
    # MAGIC - 0.5 is no float32 (the spacing there is 1), so the half goes in first
    m = fma(u, LOG2E, f32(-0.5)) + MAGIC
    kf = m - MAGIC
    r = np.maximum(fma(-kf, ln2[1], fma(-kf, ln2[0], u)), f32(0))
    w = c[-1]
    for a in c[-2::-1]:
        w = fma(w, r, a)
    q = np.minimum(fma(w * r, r, r), f32(1))
    return np.ldexp(f32(1), kf.astype(np.int32)), q


def tanh32(x, ln2, c):  # x >= 0
    s, q = exp_parts(f32(2) * np.minimum(x, f32(9.02)), ln2, c)
    em1 = fma(s, q, s - f32(1))
    return em1 / (em1 + f32(2))


def sigmoid32(x, ln2, c):
    s, q = exp_parts(-np.clip(x, f32(-87), f32(87)), ln2, c)
    return f32(1) / (f32(1) + fma(s, q, s))


def check(fn, xs, ref, unit, name):
    worst, at, ulp = 0, 0, 0
    for x in np.array_split(xs, 20):
        y, t = fn(x).astype(f64), ref(x.astype(f64))
        e = np.abs(y - t)
        u = e / np.spacing(t.astype(f32)).astype(f64)
        ulp = max(ulp, u.max())
        e = u if unit == "ulp" else e
        i = e.argmax()
        if e[i] > worst:
            worst, at = e[i], x[i]
    print(f"  {name}: max error {worst:.4g} {unit} at x = {at!r} (max ulp error {ulp:.4g})")


def falls(fn, ranges):
    """Over runs of consecutive floats, a <= x < b, (a, b) as bits of |x|: pairs, drops, where."""
    n = bad = 0
    where = []
    for a, b, sign in ranges:
        for p in range(a, b, 1 << 20):
            x = np.arange(p, min(p + (1 << 20), b) + 1, dtype=np.uint32).view(f32) * f32(sign)
            d = np.diff(fn(x)) * f32(sign)
            n += d.size
            i = np.nonzero(d < 0)[0]
            bad += i.size
            if i.size:
                where += [x[i[0]], x[i[-1]]]
    return n, bad, (min(where), max(where)) if where else None


def simulate(out, every):
    bits = lambda v: int(f32(v).view(np.uint32))
    rng = np.random.default_rng(0)
    xs = np.concatenate([10 ** rng.uniform(-10, 1, 2_500_000), rng.uniform(1e-10, 10, 2_500_000)]).astype(f32)
    wide = np.concatenate([rng.uniform(-87, 87, 2_500_000), rng.uniform(-10, 10, 2_500_000)]).astype(f32)
    # drops can only come from a change of k or from rounding: try around each k ln 2, and long runs
    edges = [(bits(k * np.log(2)) - 4096, bits(k * np.log(2)) + 4096, s) for k in range(1, 126) for s in (1, -1)]
    edges2 = [(bits(k * np.log(2) / 2) - 4096, bits(k * np.log(2) / 2) + 4096, 1) for k in range(1, 27)]
    lo, hi = (bits(2.0**-26), bits(87)) if every else (bits(0.5), bits(4))
    for deg in (k for k in out if k != "ln2"):
        ln2, c = out["ln2"], out[deg]
        th = lambda x: tanh32(x, ln2, c)
        sg = lambda x: sigmoid32(x, ln2, c)
        print(f"float32, degree {deg}")
        check(th, xs, np.tanh, "ulp", "tanh")
        check(sg, wide, lambda x: 1 / (1 + np.exp(-x)), "absolute", "sigmoid")
        for name, fn, rs in (
            ("sigmoid", sg, edges + [(lo, hi, 1), (lo, hi, -1)]),
            ("tanh", th, edges2 + [(lo, hi, 1), (bits(8), bits(9.1), 1)]),
        ):
            n, bad, where = falls(fn, rs)
            print(
                f"  {name} monotone: {bad} drops in {n} consecutive pairs" + (f", within {where}" if bad else ""),
                flush=True,
            )


if __name__ == "__main__":
    out = fit(f32, 24, 8, (6, 7))
    fit(f64, 53, 11, (11, 12, 13))
    if "--fit" not in sys.argv:
        simulate(out, "--all" in sys.argv)
