"""One compiled function that turns a uniform into a variate: the inverse distribution function of a law's table.

A table is a flat float64 array ``[family, a, b, c, d, data...]``; ``sim/distributions.py`` makes it from a law. Laws
without a closed inverse are tabulated: the inverse at 32 points per halving of either tail's probability, joined by
cubics: relative error at most 1e-5, about 1e-7 where the density has no pole (phase-type laws: 1e-3 below F = 2**-24).

Source: Wichura, "Algorithm AS 241", Applied Statistics 37 (1988), for the normal quantile.
"""

from __future__ import annotations

import math

from backwater.jit import compiled, compiled_in

CONSTANT, EXPONENTIAL, UNIFORM, LOGNORMAL, WEIBULL, PARETO, TABULATED, EMPIRICAL, HISTOGRAM, MIXTURE = range(10)
COLUMN = 10  # not a random law: the value comes from the row of a trace

HEAD = 5  # family and four parameters; data follow
CELLS = 32  # cells per octave of tail probability
OCTAVES = 54  # the smallest uniform is 2**-53


@compiled
def normal_quantile(u):  # type: ignore[no-untyped-def]
    """Inverse of the standard normal distribution function, to about 1e-16. Source: AS 241, PPND16."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        num = ((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r
                  + 4.5921953931549871457e4) * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r
               + 1.3314166789178437745e2) * r + 3.3871328727963666080e0  # fmt: skip
        den = ((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r
                  + 2.1213794301586595867e4) * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r
               + 4.2313330701600911252e1) * r + 1.0  # fmt: skip
        return q * num / den
    r = math.sqrt(-math.log(u if q < 0 else 1.0 - u))
    if r <= 5.0:
        r -= 1.6
        num = ((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r
                  + 1.27045825245236838258e0) * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r
               + 4.63033784615654529590e0) * r + 1.42343711074968357734e0  # fmt: skip
        den = ((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r
                  + 1.48103976427480074590e-1) * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r
               + 2.05319162663775882187e0) * r + 1.0  # fmt: skip
    else:
        r -= 5.0
        num = ((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3) * r
                  + 2.65321895265761230930e-2) * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r
               + 5.46378491116411436990e0) * r + 6.65790464350110377720e0  # fmt: skip
        den = ((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5) * r
                  + 7.86869131145613259100e-4) * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r
               + 5.99832206555887937690e-1) * r + 1.0  # fmt: skip
    return -num / den if q < 0 else num / den


@compiled
def _tabulated(law, at, u):  # type: ignore[no-untyped-def]
    upper = u >= 0.5
    tail = 1.0 - u if upper else u
    mantissa, exponent = math.frexp(tail)
    place = (mantissa - 0.5) * (2 * CELLS)
    cell = min(int(place), CELLS - 1)
    row = at + HEAD + 2 * ((CELLS + 1) * (-exponent + (OCTAVES if upper else 0)) + cell)
    s = place - cell
    y0, m0, y1, m1 = law[row], law[row + 1], law[row + 2], law[row + 3]
    rise = y1 - y0
    return y0 + s * (m0 + s * ((3.0 * rise - 2.0 * m0 - m1) + s * (m0 + m1 - 2.0 * rise)))


@compiled
def _histogram(law, at, u):  # type: ignore[no-untyped-def]
    n = int(law[at + 1])
    low, high = 0, n - 1  # knots: n bounds, then n cumulative shares from 0 to 1
    bounds, shares = at + HEAD, at + HEAD + n
    while high - low > 1:
        middle = (low + high) // 2
        if law[shares + middle] <= u:
            low = middle
        else:
            high = middle
    step = law[shares + high] - law[shares + low]
    return law[bounds + low] + (u - law[shares + low]) / step * (law[bounds + high] - law[bounds + low])


@compiled
def _simple(law, at, u):  # type: ignore[no-untyped-def]
    family, a, b, c = law[at], law[at + 1], law[at + 2], law[at + 3]
    if family == EXPONENTIAL:
        return -a * math.log(1.0 - u)  # 1 - u is exact for every uniform that there is, and log1p takes twice as long
    if family == CONSTANT:
        return a
    if family == LOGNORMAL:
        return math.exp(a + b * normal_quantile(u))
    if family == TABULATED:
        return _tabulated(law, at, u)
    if family == UNIFORM:
        return a + (b - a) * u
    if family == WEIBULL:
        return a * math.pow(-math.log1p(-u), b)
    if family == PARETO:
        return a * math.pow(1.0 - u * c, b)
    if family == EMPIRICAL:
        return law[at + HEAD + int(u * a)]
    return _histogram(law, at, u)


@compiled_in
def constant(law, at):  # type: ignore[no-untyped-def]
    """What the law whose table begins at ``law[at]`` gives for any uniform; NaN where that depends on it."""
    return law[at + 1] if law[at] == CONSTANT else math.nan


@compiled
def quantile(law, u, at=0):  # type: ignore[no-untyped-def]
    """The variate of the law whose table begins at ``law[at]`` for the uniform ``u`` in (0, 1)."""
    if law[at] != MIXTURE:
        return _simple(law, at, u)
    n, i, before = int(law[at + 1]), at + HEAD, 0.0  # rows of (share, where the part's table starts)
    last = i + 2 * (n - 1)
    while i < last and u >= before + law[i]:
        before += law[i]
        i += 2
    v = (u - before) / law[i]
    return _simple(law, at + int(law[i + 1]), min(max(v, 2.0**-53), 1.0 - 2.0**-53))


@compiled
def fill(law, at, out, u):  # type: ignore[no-untyped-def]
    """Many variates at once: ``out[n] = quantile(law, u[n], at)``."""
    if law[at] == EXPONENTIAL:
        for n in range(len(out)):
            out[n] = -law[at + 1] * math.log(1.0 - u[n])
    else:
        for n in range(len(out)):
            out[n] = quantile(law, u[n], at)
