"""The recurrence of `exponents.py` for a vector of cells, as LLVM instructions."""

from dataclasses import dataclass

from espnet_posinv.softdtw.cpu.emitter import Emitter
from espnet_posinv.softdtw.cpu.vectors import Lanes
from espnet_posinv.softdtw.exponents import Arithmetic, exp2_coefficients, exponent_floor, forbidden_drop


@dataclass(frozen=True)
class Number:
    """Z = mantissa 2^exponent in every lane."""

    mantissa: Lanes
    exponent: Lanes


@dataclass(frozen=True)
class Neighbours:
    """The three predecessors of a cell."""

    up: Number
    left: Number
    diag: Number


def power_of_two(emit: Emitter, d: Lanes, constants: Arithmetic) -> tuple[Lanes, Lanes]:
    """2^(c d) as (2^(c d - n), n), n the nearest integer to c d."""
    c_hi, c_lo = constants.c_hi, constants.c_lo
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
    coefficients = exp2_coefficients(fmt.mantissa_bits)
    power = fraction.same(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        power = power.multiply_add(fraction, coefficient)
    return power, shifted.as_integer() - magic_bits


def next_cell(emit: Emitter, d: Lanes, from_cells: Neighbours, constants: Arithmetic, weights: bool):
    """Z of the cells with costs d, and their weights (w_diag, w_up) if `weights`, else None.

    `constants`: `exponents.Arithmetic`, each number in all lanes.
    """
    fmt, up, left, diag = emit.fmt, from_cells.up, from_cells.left, from_cells.diag
    width = fmt.integer.width
    power, whole = power_of_two(emit, d, constants)
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
    step = whole.where_less(d, constants.forbidden, -forbidden_drop(width))
    exponent = (base + step + (bits >> fmt.mantissa_bits)).maximum(exponent_floor(width))
    if not weights:
        return Number(mantissa, exponent), None
    inverse = total.same(1) / total
    w_diag = total.same(1).where_equal(from_diag, total, from_diag * inverse)
    w_up = (total.same(1) - w_diag).where_equal(from_left, 0, from_up * inverse)
    return Number(mantissa, exponent), (w_diag, w_up)
