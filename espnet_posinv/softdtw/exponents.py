"""Z as mantissa and exponent: the arithmetic of the kernels, and its limits.

Instead of R the kernels compute Z = exp(-R / gamma), for which the recurrence (`reference.py`) is a plain sum

    Z[i,j] = 2^(c D[i,j]) (Z[i-1,j-1] + Z[i-1,j] + Z[i,j-1]),     c = -log2(e) / gamma.

Z spans thousands of powers of two, so each Z is stored as m 2^e with a mantissa 1 <= m < 2 and an integer e.
To add three such numbers, they are shifted to the largest exponent; to renormalise the sum, its exponent bits
are moved from m to e.  That takes integer arithmetic and a few multiplications, where a softmin of R takes
three exponentials and a logarithm on the critical path.  It is also more exact: rounding is relative to Z, so
the error of R is gamma 2^-24 per step, however large R / gamma is.

2^(c D) is split at the nearest integer n = round(c D): n goes to the exponent and 2^(c D - n), a polynomial,
to the mantissa.  Adding 1.5 2^23 to c D leaves n in the low bits of the sum.  c comes in two parts, c_hi +
c_lo, and c_hi D - n is rounded once (FMA), or the fraction would be noise for small gamma.

The gradient's weights are w_k = Z_k / (Z_diag + Z_up + Z_left).  w_diag and w_up are stored, and the third is
1 minus their sum, so that they sum to one exactly.  The weight of a predecessor with Z = 0 is exactly 0, so
no gradient reaches a forbidden cell.
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LOG2_E = 1.4426950408889634
DONE, UNREACHABLE, INVALID, WIDE = range(4)  # states of a matrix; WIDE: its exponents may not fit


class Arithmetic(NamedTuple):
    """Constants of one gamma in the types of one format.

    one: of the mantissas' type.  floor: of the exponents' type, the exponent of Z = 0.
    c_hi, c_lo: c in two parts.  forbidden: the cost from which a cell counts as forbidden.
    """

    one: np.floating
    floor: np.integer
    c_hi: np.floating
    c_lo: np.floating
    forbidden: np.floating


class Limits(NamedTuple):
    """Limits for `judge`, as floats: the largest |c D|, the range of exponents, and the floor."""

    power: float
    span: float
    floor: float


def exponent_floor(bits: int) -> int:
    """Exponent of Z = 0 for integers of `bits` bits: half the range, so that it can be lowered once more."""
    return -(2 ** (bits - 2)) + 2 ** (bits - 8)


def forbidden_drop(bits: int) -> int:
    """Decrease of a forbidden cell's exponent, which puts it below every reachable cell."""
    return 2 ** (bits - 2)


def limits(bits: int) -> Limits:
    return Limits(
        power=2.0 ** (21 if bits == 32 else 50),
        span=2.0 ** (bits - 2) - 2.0 ** (bits - 7),
        floor=exponent_floor(bits) + 2.0 ** (bits - 9),
    )


@lru_cache
def arithmetic(gamma: float, double: bool) -> Arithmetic:
    """The constants for float32, or with `double` for float64."""
    real, integer, bits = (np.float64, np.int64, 64) if double else (np.float32, np.int32, 32)
    exact = Fraction(-LOG2_E) / Fraction(gamma)
    with np.errstate(over="ignore"):
        c_hi = real(float(exact)) if abs(exact) < 1e300 else real(-np.inf)
        c_lo = real(float(exact - Fraction(float(c_hi)))) if np.isfinite(c_hi) else real(0)
        forbidden = real(2.0 ** (np.finfo(real).nmant - 1)) / -c_hi
    return Arithmetic(real(1), integer(exponent_floor(bits)), c_hi, c_lo, forbidden)


def exp2_coefficients(mantissa_bits: int) -> list[float]:
    """Polynomial for 2^f, |f| <= 1/2, to the precision of a format.

    Taylor's series, economised: Chebyshev polynomials remove its highest terms one by one, with the smallest
    error.  Interpolation would be as good, but solving for its coefficients in float64 gives errors of up to
    16 units in the last place.
    """
    degree = 6 if mantissa_bits == 23 else 12
    series = [math.log(2) ** k / math.factorial(k) for k in range(2 * degree)]
    while len(series) > degree + 1:
        smallest = np.polynomial.Chebyshev.basis(len(series) - 1, domain=[-0.5, 0.5])
        smallest = smallest.convert(kind=np.polynomial.Polynomial).coef
        series = (series - smallest * (series[-1] / smallest[-1]))[:-1]
    return [float(c) for c in series]


def judge(last, extremes, steps, gamma, limits):
    """State and loss of one matrix (plain Python, which numba compiles for both backends).

    last: mantissa and exponent of its last cell.  extremes: its largest -D and largest finite D, both >= 0.
    steps: of a longest path, rows + columns.

    Exponents are between -A and P, where A and P are the sums of the largest positive and negative costs (and
    of log2 3) over a longest path.  A forbidden cell falls by `forbidden_drop` from at most P and can rise
    again by P.  It stays below all reachable cells, and no integer overflows, while A + 2 P < forbidden_drop.
    """
    power = LOG2_E / gamma
    negative, positive = extremes[0] * power, extremes[1] * power
    P, A = steps * (negative + 2.0), steps * positive
    loss = -gamma * (math.log(float(last[0])) + last[1] * 0.6931471805599453)
    if negative == math.inf:
        return INVALID, math.nan
    if not (max(negative, positive) < limits.power and limits.span > A + 2.0 * P):
        return WIDE, math.nan
    if last[1] < limits.floor + 2.0 * P:
        return UNREACHABLE, math.inf
    return DONE, loss
