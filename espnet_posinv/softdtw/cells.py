"""One step of the recurrence for a vector of cells: the arithmetic that makes soft-DTW fast and exact.

Instead of R the kernels carry Z = exp(-R / gamma), in which the recurrence (see `reference.py`) is a
plain sum

    Z[i,j] = 2^(c D[i,j]) (Z[i-1,j-1] + Z[i-1,j] + Z[i,j-1]),     c = -log2(e) / gamma.

Z spans thousands of powers of two, so each Z is m 2^e with a mantissa 1 <= m < 2 of its own and an integer e.
Adding three such numbers means shifting them to the largest exponent; renormalising the sum means moving its
exponent bits from m to e.  That is integer arithmetic and a handful of multiplications, where a softmin in R
takes three exponentials and a logarithm on the critical path.  It is also exact where R is not: rounding is
relative to Z, so R errs by gamma 2^-24 per step, however large R / gamma has grown.

2^(c D) is split at the nearest integer n = round(c D): n goes to the exponent and 2^(c D - n), a
polynomial, to the mantissa.  Adding 1.5 2^23 (`MAGIC`) to c D leaves n in the low bits of the sum.  c
comes in two parts, c_hi + c_lo, and c_hi D - n is rounded once (FMA), or the fraction would be noise for
small gamma.

The gradient's weights are w_k = Z_k / (Z_diag + Z_up + Z_left).  They are stored as w_diag and w_up, and the
third is their complement, so that they sum to one without drift; where a predecessor vanishes, its weight is
exactly 0, so no gradient leaks into a forbidden cell.
"""

from dataclasses import dataclass

from espnet_posinv.softdtw.emitter import Emitter
from espnet_posinv.softdtw.simd import Format, Lanes


@dataclass(frozen=True)
class Number:
    """Z = mantissa 2^exponent in every lane."""

    mantissa: Lanes
    exponent: Lanes


def exponent_floor(bits: int) -> int:
    """Exponent of Z = 0 for integers of `bits` bits: half the range, so that a floor may fall once more."""
    return -(2 ** (bits - 2)) + 2 ** (bits - 8)


def forbidden_drop(bits: int) -> int:
    """What a forbidden cell takes off the exponent, to be below every reachable cell."""
    return 2 ** (bits - 2)


def power_of_two(emit: Emitter, d: Lanes, c_hi: Lanes, c_lo: Lanes) -> tuple[Lanes, Lanes]:
    """2^(c d) as (2^(c d - n), n)."""
    fmt = emit.fmt
    magic = 1.5 * 2.0**fmt.mantissa_bits
    magic_bits = (fmt.bias + fmt.mantissa_bits << fmt.mantissa_bits) + (1 << fmt.mantissa_bits - 1)
    shifted = d.multiply_add(c_hi, magic)
    nearest = shifted - magic
    if emit.has_fma or fmt.mantissa_bits != 23:
        fraction = d.fma(c_lo, d.fma(c_hi, -nearest))
    else:
        wide = d.as_double() * c_hi.as_double() - nearest.as_double()
        narrow = emit.build.fptrunc(wide.value, d.value.type)
        fraction = d.multiply_add(c_lo, Lanes(emit.build, narrow, fmt))
    coefficients = fmt.exp2_coefficients()
    power = fraction.same(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        power = power.multiply_add(fraction, coefficient)
    return power, shifted.as_integer() - magic_bits


def next_cell(
    emit: Emitter,
    d: Lanes,
    c: tuple[Lanes, Lanes],
    limit: Lanes,
    up: Number,
    left: Number,
    diag: Number,
    weights: bool,
):
    """Z of the cells with costs d, and the gradient's (w_diag, w_up) if wanted."""
    fmt: Format = emit.fmt
    width = fmt.integer.width
    power, whole = power_of_two(emit, d, *c)
    top = up.exponent.maximum(left.exponent).maximum(diag.exponent)
    base = top - fmt.bias

    def aligned(number: Number) -> Lanes:
        scale = (number.exponent - base).maximum(0) << fmt.mantissa_bits  # the bits of 2^(e - top), or of 0
        return number.mantissa * scale.as_real()

    from_up, from_left, from_diag = aligned(up), aligned(left), aligned(diag)
    total = from_up + from_diag + from_left
    bits = (total * power).as_integer()
    one = fmt.bias << fmt.mantissa_bits
    mantissa = ((bits & (1 << fmt.mantissa_bits) - 1) | one).as_real()
    step = whole.where_less(d, limit, -forbidden_drop(width))
    exponent = (base + step + (bits >> fmt.mantissa_bits)).maximum(exponent_floor(width))
    if not weights:
        return Number(mantissa, exponent), None
    inverse = total.same(1) / total
    w_diag = total.same(1).where_equal(from_diag, total, from_diag * inverse)
    w_up = (total.same(1) - w_diag).where_equal(from_left, 0, from_up * inverse)
    return Number(mantissa, exponent), (w_diag, w_up)
