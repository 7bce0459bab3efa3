"""The recurrence of `exponents.py` for one lane of a warp: Z, weights, extreme costs."""

import numpy as np

from espnet_posinv.softdtw.cuda.strips import ONE, ZERO
from espnet_posinv.softdtw.cuda.warp import (
    bits,
    device,
    from_bits,
    lane_below,
    maximum,
    minimum,
    multiply_add,
    reciprocal,
)
from espnet_posinv.softdtw.exponents import exp2_coefficients, exponent_floor, forbidden_drop

FLOOR = np.int32(exponent_floor(32))
DROP = np.int32(forbidden_drop(32))
INFINITE = np.int32(0x7F800000)  # the bits of infinity
INFINITY = np.float32(np.inf)
MAGIC, MAGIC_BITS = np.float32(1.5 * 2**23), np.int32(0x4B400000)
P0, P1, P2, P3, P4, P5, P6 = (np.float32(c) for c in exp2_coefficients(23))


@device
def _aligned(m, e, base):
    return m * from_bits(np.int32(maximum(np.int32(e - base), np.int32(0)) << 23))


@device
def power_of(d, c_hi, c_lo, forbidden):
    """2^(c d) as a number about 1 and a whole exponent; see `cpu/cells.py`."""
    shifted = multiply_add(d, c_hi, MAGIC)
    f = multiply_add(d, c_lo, multiply_add(d, c_hi, MAGIC - shifted))
    power = multiply_add(multiply_add(multiply_add(P6, f, P5), f, P4), f, P3)
    power = multiply_add(multiply_add(multiply_add(power, f, P2), f, P1), f, P0)
    return power, np.int32(bits(shifted) - MAGIC_BITS) if d < forbidden else np.int32(-DROP)


@device
def next_cell(state, edge_m, edge_e, first, diagonal, power, whole):
    """The next Z of a lane and its weights (w_diag, w_up); see `cpu/cells.py`.

    The state is (m, e) of the left and of the upper left neighbour, and the weights.  The first lane's upper
    neighbour is (edge_m, edge_e); on the diagonal of a folded matrix the upper neighbour counts twice.
    """
    left_m, left_e, diag_m, diag_e = state[0], state[1], state[2], state[3]
    up_m, up_e = lane_below(left_m), lane_below(left_e)
    up_m, up_e = (edge_m, edge_e) if first else (up_m, up_e)
    twice = np.int32(up_e + 1) if diagonal else up_e
    base = np.int32(maximum(maximum(left_e, diag_e), twice) - 127)
    left, diag, up = (
        _aligned(left_m, left_e, base),
        _aligned(diag_m, diag_e, base),
        _aligned(up_m, twice, base),
    )
    total = diag + left + up
    z = bits(total * power)
    m = from_bits(np.int32((z & 0x7FFFFF) | 0x3F800000))
    e = maximum(np.int32(base + whole + (z >> 23)), FLOOR)
    inverse = reciprocal(total)
    w_diag = ONE if diag == total else diag * inverse
    w_up = ONE - w_diag if left == ZERO else up * inverse
    return m, e, up_m, up_e, w_diag, w_up


@device
def weights_of(state):
    """w_diag and w_up as one word: one instruction less to store and one less to load."""
    return (np.int64(bits(state[5])) << 32) | (np.int64(bits(state[4])) & 0xFFFFFFFF)


@device
def extremes(lowest, highest):
    """The largest -D (infinite also for a NaN) and the largest finite D, both at least 0, as bits.

    The bits of floats have the order of the floats: as unsigned integers the most negative float is the
    largest, as signed integers the most positive one; a NaN is beyond the infinity of its sign.
    """
    negative = np.int32(lowest & 0x7FFFFFFF) if lowest < 0 else np.int32(0)
    return minimum(INFINITE if highest > INFINITE else negative, INFINITE), highest
