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
infinite and remains so; then, and where these conditions fail, the tile is computed as in `cells.py`.

Rows come in groups of a tile's height.  Those groups of a strip that have no cell in a tile are left out.
The way back is in `scaled_back.py`.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cells import exponent_floor, power_of_two, prefetch_rows
from espnet_posinv.softdtw.simd import FORMATS, INT32, INT64, ROWS, Emitter, Lanes
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


def _begin(pair: Pair, Z_m, Z_e, Z, scratch, top_m, top_e, group, behind, begin, end, inside):
    """z before the tile, exponents and scales of rows, z of the row above; 0 if all went well."""
    build, emit, wide, less = pair.build, pair.emit, pair.wide, pair.less
    wrong = cgutils.alloca_once_value(build, number(0))

    def note(masks):
        build.store(build.or_(build.load(wrong), pair.any(masks)), wrong)

    last_m, last_e = (emit.address(address, ROWS) for address in (Z_m, Z_e))
    zero = ir.Constant(INT32, FLOOR // 2)  # an exponent below it means 0
    some = build.icmp_signed("<", begin, end)
    e_up, e_diag = (emit.load_scalar(top_e, number(i), integer=True) for i in (1, 0))
    of_first = emit.load_scalar(last_e, emit.place(begin), integer=True)
    last = build.select(some, build.sub(end, number(1)), begin)
    of_last = emit.load_scalar(last_e, emit.place(last), integer=True)
    of_edge = build.select(build.icmp_signed(">", e_up, zero), e_up, e_diag)
    edge_is = build.and_(build.icmp_signed(">", of_edge, zero), build.icmp_signed(">", inside, number(0)))
    of_edge = build.select(edge_is, of_edge, build.select(some, of_first, ir.Constant(INT32, 0)))
    # Rows that are done or have not begun hold 0 and take over the exponent of the row beside them.
    of_done = emit.broadcast(build.select(some, of_first, of_edge))
    of_new = emit.broadcast(build.select(some, of_last, of_edge))
    begins, ends, insides = (emit.broadcast(build.trunc(a, INT32)) for a in (begin, end, inside))
    above = pair.slot(
        emit.broadcast(build.select(build.icmp_signed("==", group, number(0)), of_edge, of_first))
    )
    with pair.groups(group, behind) as (at, _):
        exponents = []
        for v in pair.places:
            rows = list(range(v // pair.lanes, pair.group, pair.group // pair.lanes))
            rows = Lanes(build, ir.Constant(ir.VectorType(INT32, pair.lanes), rows), emit.fmt)
            rows = rows + emit.broadcast(build.trunc(at, INT32))
            before, new = less(rows, begins), build.not_(less(rows, ends))
            lives = build.not_(build.or_(before, new))
            here = [emit.at(address, at, 1) for address in (Z_m, Z_e, last_m, last_e)]
            own = emit.load(here[3], integer=True, offset=v)
            exponent = of_done.where(before, of_new.where(new, own))
            older = emit.load(here[1], integer=True, offset=v) - exponent
            note([build.and_(lives, build.or_(less(own, FLOOR // 2), less(older.same(REACH), older)))])
            z = pair.doubles(emit.load(here[2], offset=v))
            wide.store(z.where(lives, 0), wide.at(wide.address(Z, ROWS), at, 1), offset=v)
            z = pair.doubles(emit.load(here[0], offset=v)) * pair.two_to(older.maximum(-1022))
            wide.store(z.where(lives, 0), wide.at(Z, at, 1), offset=v)
            emit.store(exponent, emit.at(scratch, at, 1), offset=v)
            exponents.append(exponent)
        carried = Lanes(build, build.load(above), emit.fmt)
        build.store(exponents[-1].value, above)
        ups = [emit.rows_above(exponents[-1], carried), *exponents[:-1]]
        for v, own, up in zip(pair.places, exponents, ups, strict=True):
            apart = up - own
            note([less(apart, -REACH), less(apart.same(REACH), apart)])
            wide.store(pair.two_to(apart), wide.at(wide.address(scratch, ROWS), at, 1), offset=v)
    for i in range(0, pair.group + 1, pair.lanes):
        columns = Lanes(
            build, ir.Constant(ir.VectorType(INT32, pair.lanes), list(range(i, i + pair.lanes))), emit.fmt
        )
        own = emit.load(top_e, integer=True, offset=i)
        apart = own - emit.broadcast(of_edge)
        absent = [less(insides, columns), less(own, FLOOR // 2), less(apart, -1000)]
        lives = build.not_(build.or_(build.or_(absent[0], absent[1]), absent[2]))
        note([build.and_(lives, less(apart.same(REACH), apart))])
        z = pair.doubles(emit.load(top_m, offset=i)) * pair.two_to(apart.where(lives, 0))
        wide.store(z.where(lives, 0), wide.address(scratch, 2 * ROWS), offset=i)
    return build.load(wrong)


def _steps(pair: Pair, P, Z, scratch, group, behind, count, ahead, ahead_stride):
    build, emit, wide = pair.build, pair.emit, pair.wide
    scales, edge = (wide.address(scratch, i * ROWS) for i in (1, 2))
    is_first = build.icmp_signed("==", group, number(0))
    zero = ir.Constant(wide.fmt.real, 0.0)
    slots = [pair.slot(wide.broadcast(zero)) for _ in range(AT_ONCE)]

    def steps(t, many):
        """Steps t ... t + many - 1 of each group: what they hand on to one another stays in registers."""
        for i, slot in enumerate(slots[:many]):
            k = build.add(t, number(i))
            prefetch_rows(emit, ahead, ahead_stride, k, to_write=False)
            above = build.fadd(wide.load_scalar(edge, k), wide.load_scalar(edge, build.add(k, number(1))))
            build.store(wide.broadcast(build.select(is_first, above, zero)).value, slot)
        with pair.groups(group, behind) as (at, _):
            rows = [wide.at(wide.at(Z, build.add(t, number(i)), ROWS), at, 1) for i in range(many + 2)]
            before, last = ([wide.load(row, offset=v) for v in pair.places] for row in rows[:2])
            s_at = wide.at(scales, at, 1)
            for i, slot in enumerate(slots[:many]):
                P_at = emit.at(emit.at(P, build.add(t, number(i)), ROWS), at, 1)
                sums = [z + older for z, older in zip(last, before, strict=True)]
                ups = [wide.rows_above(sums[-1], Lanes(build, build.load(slot), wide.fmt)), *sums[:-1]]
                build.store(sums[-1].value, slot)
                totals = [
                    up.multiply_add(wide.load(s_at, offset=v), left)
                    for v, up, left in zip(pair.places, ups, last, strict=True)
                ]
                before, last = (
                    last,
                    [
                        total * pair.doubles(emit.load(P_at, offset=v))
                        for v, total in zip(pair.places, totals, strict=True)
                    ],
                )
                for v, z in zip(pair.places, last, strict=True):
                    wide.store(z, rows[i + 2], offset=v)

    whole = build.sub(count, build.srem(count, number(AT_ONCE)))
    with cgutils.for_range_slice(build, number(0), whole, number(AT_ONCE), intp=INT64) as (t, _):
        steps(t, AT_ONCE)
    with cgutils.for_range_slice(build, whole, count, number(1), intp=INT64) as (t, _):
        steps(t, 1)


def _end(pair: Pair, Z_m, Z_e, Z, scratch, out_m, out_e, row, first, group, behind, count):
    """Mantissas and exponents of the last two steps, and of `row`; 0 if something had become infinite."""
    build, emit, wide = pair.build, pair.emit, pair.wide
    wrong = cgutils.alloca_once_value(build, number(0))
    done = cgutils.alloca_once_value(build, number(0))
    mantissa_mask, one = (1 << 52) - 1, 1023 << 52
    behind_steps = wide.at(Z, count, ROWS)
    with pair.groups(group, behind) as (at, _):
        for v in pair.places:
            bits = wide.load(wide.at(wide.address(behind_steps, ROWS), at, 1), integer=True, offset=v)
            infinite = build.icmp_signed("==", ((bits >> 52) & 2047).value, bits.same(2047).value)
            build.store(build.or_(build.load(wrong), pair.any([infinite])), wrong)
    with build.if_then(build.icmp_signed("==", build.load(wrong), number(0))):
        build.store(number(1), done)
        with pair.groups(group, behind) as (at, _):
            for i in range(2):
                for v in pair.places:
                    bits = wide.load(
                        wide.at(wide.address(behind_steps, i * ROWS), at, 1), integer=True, offset=v
                    )
                    field = build.trunc((bits >> 52).value, ir.VectorType(INT32, pair.lanes))
                    field = Lanes(build, field, emit.fmt)
                    own = emit.load(emit.at(scratch, at, 1), integer=True, offset=v)
                    is_zero = build.icmp_signed("==", field.value, field.same(0).value)
                    exponent = own.same(FLOOR).where(is_zero, own + field - 1023)
                    mantissa = pair.floats(((bits & mantissa_mask) | one).as_real())
                    emit.store(mantissa, emit.at(emit.address(Z_m, i * ROWS), at, 1), offset=v)
                    emit.store(exponent, emit.at(emit.address(Z_e, i * ROWS), at, 1), offset=v)
        place = emit.place(row)
        own = build.sub(emit.load_scalar(scratch, place, integer=True), ir.Constant(INT32, 1023))
        with cgutils.for_range_slice(build, first, count, number(1), intp=INT64) as (t, _):
            bits = wide.load_scalar(wide.at(Z, build.add(t, number(2)), ROWS), place, integer=True)
            field = build.trunc(build.lshr(bits, number(52)), INT32)
            is_zero = build.icmp_signed("==", field, ir.Constant(INT32, 0))
            exponent = build.select(is_zero, ir.Constant(INT32, FLOOR), build.add(own, field))
            bits = build.or_(build.and_(bits, number(mantissa_mask)), number(one))
            emit.store_scalar(build.fptrunc(build.bitcast(bits, wide.fmt.real), emit.fmt.real), out_m, t)
            emit.store_scalar(exponent, out_e, t)
    return build.load(done)


@intrinsic
def sweep_scaled(
    typing, P, Z_m, Z_e, Z, scratch, top_m, top_e, out_m, out_e, row, first, group, behind, begin, end,
    inside, count, ahead, ahead_stride, like
):  # fmt: skip
    """`count` steps like those of `cells.sweep_tile`, but for Z_m and Z_e: the two steps before the tile, and
    then the last two in it.  0 if that cannot be done; then nothing has changed.

    Z (2 + steps, ROWS) and `scratch` (3, ROWS) are doubles to work with, P (steps, ROWS) is 2^(c d).  Groups
    `group` ... behind - 1 have cells in the tile, rows begin ... end - 1 such before it of which it needs Z;
    the row above has `inside` more columns.  `out` receives Z of row `row` from step `first` on.
    """

    def generate(context, build, signature, arguments):
        if like is not types.float32:
            return number(0)
        pair = Pair(context, build)
        (P, Z_m, Z_e, Z, scratch, top_m, top_e, out_m, out_e, row, first, group, behind, begin, end, inside,
         count, ahead, ahead_stride, _) = arguments  # fmt: skip
        done = cgutils.alloca_once_value(build, number(0))
        wrong = _begin(pair, Z_m, Z_e, Z, scratch, top_m, top_e, group, behind, begin, end, inside)
        with build.if_then(build.icmp_signed("==", wrong, number(0))):
            _steps(pair, P, Z, scratch, group, behind, count, ahead, ahead_stride)
            build.store(
                _end(pair, Z_m, Z_e, Z, scratch, out_m, out_e, row, first, group, behind, count), done
            )
        return build.load(done)

    return types.int64(*[types.int64] * 19, like), generate
