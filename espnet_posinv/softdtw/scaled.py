"""A tile of steps in plain doubles: the recurrence of `cells.py`, where the costs of the tile allow it.

A double has exponents of its own, from -1022 to 1023.  If no cost of a tile of 16 steps multiplies Z by less
than 2^-58, nothing that matters leaves this range within the tile, and a row needs only one exponent, that of
its Z before the tile: row r holds Z = z 2^e[r], 1 <= z < 2 at first, and with P = 2^(c d)

    z[r, t] = P[r, t] (z[r, t-1] + 2^(e[r-1] - e[r]) (z[r-1, t-1] + z[r-1, t-2])),

three operations a cell instead of some thirty.  Mantissas and exponents of the last two steps are what the
next tile starts from, whichever way it is computed.  The gradient needs no weights and no divisions:
E[r, t] = z[r, t] b[r, t], where b runs the recurrence the other way,

    q[r, t] = P[r, t] b[r, t],    b[r, t] = q[r, t+1] + 2^(e[r] - e[r+1]) (q[r+1, t+1] + q[r+1, t+2]).

Why that loses nothing: a cell's z is at least P times its left neighbour's, so that z stays above 2^-928 in a
row that has begun; one that begins takes over the exponent of the row above.  As |e[r-1] - e[r]| <= 900 is
asked for, what becomes 0 is smaller by 2^-94 than what it would be added to.  What grows too large becomes
infinite and remains so; then, and where these conditions fail, the tile is computed as in `cells.py`.  Where
the strip has no cell, P is 0.

Rows come in groups of a tile's height.  Those groups of a strip that have no cell in a tile are left out.
`scaled_ends.py` is what comes before and after a tile, `scaled_forward.py` and `scaled_back.py` its steps.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cells import exponent_floor, power_of_two
from espnet_posinv.softdtw.emitter import Emitter
from espnet_posinv.softdtw.simd import FORMATS, INT64, Lanes
from espnet_posinv.softdtw.tiles import emit_reading, side

LOWEST = 928  # bits that the costs of a tile may take off
AT_ONCE = 2  # steps whose numbers stay in registers
REACH = 900  # bits between one row and the next
FLOOR = exponent_floor(32)


def number(n: int):
    return ir.Constant(INT64, n)


class Pair:
    """Floats, and as many doubles, of one tile."""

    def __init__(self, context, build):
        self.build = build
        self.emit = Emitter(context, build, FORMATS[types.float32])
        self.wide = self.emit.widened()
        self.lanes = self.emit.fmt.lanes
        self.group = side(4)
        self.places = range(0, self.group, self.lanes)  # of the vectors of a group

    def doubles(self, lanes: Lanes) -> Lanes:
        fmt = self.wide.fmt
        return Lanes(self.build, self.build.fpext(lanes.value, ir.VectorType(fmt.real, fmt.lanes)), fmt)

    def floats(self, lanes: Lanes) -> Lanes:
        fmt = self.emit.fmt
        return Lanes(self.build, self.build.fptrunc(lanes.value, ir.VectorType(fmt.real, fmt.lanes)), fmt)

    def two_to(self, exponent: Lanes) -> Lanes:
        """2^exponent as doubles, for -1023 < exponent < 1024."""
        fmt = self.wide.fmt
        exponent = Lanes(self.build, self.build.sext(exponent.value, ir.VectorType(INT64, fmt.lanes)), fmt)
        return ((exponent + fmt.bias) << fmt.mantissa_bits).as_real()

    def less(self, a: Lanes, b):
        return self.build.icmp_signed("<", a.value, a.same(b).value)

    def any(self, masks: list):
        """Whether a lane of a mask is true, as 0 or more."""
        mask = masks[0]
        for other in masks[1:]:
            mask = self.build.or_(mask, other)
        bits = self.build.bitcast(mask, ir.IntType(self.lanes))
        return self.build.zext(bits, INT64)

    def slot(self, lanes: Lanes):
        return cgutils.alloca_once_value(self.build, lanes.value)

    def groups(self, first, behind):
        """Loop over the numbers at which groups begin."""
        first, end = (self.build.mul(g, number(self.group)) for g in (first, behind))
        return cgutils.for_range_slice(self.build, first, end, number(self.group), intp=INT64)


@intrinsic
def read_powers(typing, source, source_stride, P, window, step, seen, c_hi, c_lo):
    """P = 2^(c d) for the costs of one tile, 0 where it has no cell (`tiles.emit_reading`)."""

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[c_hi])
        *tile, c_hi_value, c_lo_value = arguments
        c = emit.broadcast(c_hi_value), emit.broadcast(c_lo_value)

        def power(costs):
            fraction, whole = power_of_two(emit, costs, *c)
            return (fraction.as_integer() + (whole << emit.fmt.mantissa_bits)).as_real()

        emit_reading(emit, *tile, 0.0, power)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, c_hi, c_lo), generate
