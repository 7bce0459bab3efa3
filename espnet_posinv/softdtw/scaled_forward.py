"""A tile of steps in plain doubles, forwards (derived in `scaled.py`)."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.emitter import ROWS
from espnet_posinv.softdtw.scaled import AT_ONCE, Pair, number
from espnet_posinv.softdtw.scaled_ends import begin_tile, end_tile
from espnet_posinv.softdtw.simd import INT64, Lanes
from espnet_posinv.softdtw.tiles import prefetch_rows


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
                before, last = last, []
                for v, total in zip(pair.places, totals, strict=True):
                    last.append(total * pair.doubles(emit.load(P_at, offset=v)))
                    wide.store(last[-1], rows[i + 2], offset=v)

    whole = build.sub(count, build.srem(count, number(AT_ONCE)))
    with cgutils.for_range_slice(build, number(0), whole, number(AT_ONCE), intp=INT64) as (t, _):
        steps(t, AT_ONCE)
    with cgutils.for_range_slice(build, whole, count, number(1), intp=INT64) as (t, _):
        steps(t, 1)


@intrinsic
def begin_scaled(
    typing, Z_m, Z_e, Z, scratch, top_m, top_e, group, behind, begin, end, inside, like
):  # fmt: skip
    """Fill Z and `scratch` for `sweep_scaled`; 0 if a tile that begins so cannot be swept in doubles.

    Z_m and Z_e are the two steps before the tile.  Groups `group` ... behind - 1 have cells in it, rows
    begin ... end - 1 such before it of which it needs Z; the row above has `inside` more columns.
    """

    def generate(context, build, signature, arguments):
        if like is not types.float32:
            return number(0)
        wrong = begin_tile(Pair(context, build), *arguments[:-1])
        return build.zext(build.icmp_signed("==", wrong, number(0)), INT64)

    return types.int64(*[types.int64] * 11, like), generate


@intrinsic
def sweep_scaled(
    typing, P, Z_m, Z_e, Z, scratch, out_m, out_e, row, first, group, behind, count, ahead, ahead_stride, like
):  # fmt: skip
    """`count` steps like those of `sweep_tile`, but for Z_m and Z_e, which become the last two in the tile.
    0 if that cannot be done; then nothing has changed.

    Z (2 + steps, ROWS) and `scratch` (3, ROWS) are doubles as `begin_scaled` leaves them, P (steps, ROWS) is
    2^(c d).  `out` receives Z of row `row` from step `first` on.
    """

    def generate(context, build, signature, arguments):
        if like is not types.float32:
            return number(0)
        pair = Pair(context, build)
        P, Z_m, Z_e, Z, scratch, *out, group, behind, count, ahead, ahead_stride, _ = arguments
        _steps(pair, P, Z, scratch, group, behind, count, ahead, ahead_stride)
        return end_tile(pair, Z_m, Z_e, Z, scratch, *out, group, behind, count)

    return types.int64(*[types.int64] * 14, like), generate
