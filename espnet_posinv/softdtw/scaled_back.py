"""A tile of steps in plain doubles, backwards: what `scaled.py` left in memory becomes E (derived there)."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cells import prefetch_rows
from espnet_posinv.softdtw.scaled import Pair, number
from espnet_posinv.softdtw.simd import BELOW, INT32, INT64, ROWS, Lanes

TINY = 2.0**-1000


@intrinsic
def sweep_scaled_back(
    typing, Z, P, scratch, state, edge, out, E, group, behind, count, ahead, ahead_stride, like
):  # fmt: skip
    """The tile backwards, like `cells.sweep_tile_back`, with what `sweep_scaled` left in Z, P and `scratch`.

    From tile to tile and from strip to strip parts of E are handed on, as there.  q takes the place of z.
    """

    def generate(context, build, signature, arguments):
        if like is not types.float32:
            return context.get_dummy_value()
        pair = Pair(context, build)
        emit, wide, lanes, places = pair.emit, pair.wide, pair.lanes, pair.places
        Z, P, scratch, state, edge, out, E, group, behind, count, ahead, ahead_stride, _ = arguments
        scales, edge_z = (wide.address(scratch, i * ROWS) for i in (1, 2))
        to_left, to_above, to_diag = (emit.address(state, i * (ROWS + BELOW)) for i in range(3))
        real = wide.fmt.real
        zero = ir.Constant(real, 0.0)
        is_last = build.icmp_signed("==", behind, number(ROWS // pair.group))
        slot = pair.slot(wide.broadcast(zero))
        handed = cgutils.alloca_once_value(build, zero)

        def row(t):
            return wide.at(Z, t, ROWS)

        def first_lane(lanes):
            return build.extract_element(lanes.value, ir.Constant(INT32, 0))

        def step(t, later):
            """Step t, of which the tile has `later` steps behind it (2: or more)."""
            prefetch_rows(emit, ahead, ahead_stride, t, to_write=True)
            edge_E = build.fpext(emit.load_scalar(edge, t), real)
            z = wide.load_scalar(row(build.add(t, number(2))), emit.place(number(ROWS - 1)))
            z = build.select(build.fcmp_ordered(">", z, ir.Constant(real, TINY)), z, ir.Constant(real, TINY))
            below = build.select(is_last, build.fdiv(edge_E, z), zero)
            build.store(wide.broadcast(below).value, slot)
            end = build.mul(behind, number(pair.group))
            with cgutils.for_range(build, build.sub(behind, group), intp=INT64) as loop:
                at = build.sub(end, build.mul(build.add(loop.index, number(1)), number(pair.group)))
                now, right, right_but_one = (wide.at(row(build.add(t, number(i))), at, 1) for i in (2, 3, 4))
                s_at = wide.at(scales, at, 1)
                carried = Lanes(build, build.load(slot), wide.fmt)
                rights = [wide.load(right, offset=v) for v in places] if later else []
                sums = [Lanes(build, ir.Constant(carried.value.type, [0.0] * lanes), wide.fmt)] * len(places)
                if later:
                    sums = rights
                if later > 1:
                    sums = [
                        q + wide.load(right_but_one, offset=v) for v, q in zip(places, rights, strict=True)
                    ]
                shares = [both * wide.load(s_at, offset=v) for v, both in zip(places, sums, strict=True)]
                build.store(shares[0].value, slot)
                belows = [*shares[1:], wide.rows_below(shares[0], carried)]
                given = [[] for _ in places]
                if later < 2:
                    source = emit.at(to_diag if later else to_above, at, 1)
                    firsts = [emit.load(source, offset=v) for v in places]
                    following = emit.load(source, offset=pair.group)
                    for parts, part in zip(
                        given, [*firsts[1:], emit.rows_below(firsts[0], following)], strict=True
                    ):
                        parts.append(part)
                if not later:
                    for parts, v in zip(given, places, strict=True):
                        parts.append(emit.load(emit.at(to_left, at, 1), offset=v))
                for i, v in enumerate(places):
                    z = wide.load(now, offset=v)
                    b = belows[i] + rights[i] if later else belows[i]
                    for part in given[i]:
                        b = b + pair.doubles(part) / z.larger(TINY)
                    emit.store(pair.floats(z * b), emit.at(emit.at(E, t, ROWS), at, 1), offset=v)
                    q = pair.doubles(emit.load(emit.at(emit.at(P, t, ROWS), at, 1), offset=v)) * b
                    wide.store(q, now, offset=v)
                    if v == 0:
                        up = q + rights[0] if later else q
                        build.store(first_lane(up), handed)
            up = build.fmul(build.load(handed), wide.load_scalar(scales, number(0)))
            up = build.fmul(up, wide.load_scalar(edge_z, build.add(t, number(1))))
            if not later:
                up = build.fadd(up, build.fpext(emit.load_scalar(to_diag, number(0)), real))
            emit.store_scalar(build.fptrunc(up, emit.fmt.real), out, t)

        step(build.sub(count, number(1)), 0)
        with build.if_else(build.icmp_signed(">", count, number(1))) as (more, single):
            with more:
                step(build.sub(count, number(2)), 1)
            with single, pair.groups(group, behind) as (at, _):
                # The strip's last tile: nothing comes from behind it.
                for v in places:
                    wide.store(wide.broadcast(zero), wide.at(row(number(3)), at, 1), offset=v)
        rest = build.sub(count, number(2))
        with cgutils.for_range(build, rest, intp=INT64) as loop:
            step(build.sub(build.sub(rest, number(1)), loop.index), 2)

        # What goes to the steps before the tile: q times z of the cell that receives it.
        slots = [pair.slot(wide.broadcast(wide.load_scalar(edge_z, number(i)))) for i in range(2)]
        with pair.groups(group, behind) as (at, _):
            ups = []
            for i, slot_of_row in enumerate(slots):
                z = [wide.load(wide.at(row(number(i)), at, 1), offset=v) for v in places]
                ups.append([wide.rows_above(z[-1], Lanes(build, build.load(slot_of_row), wide.fmt)), *z[:-1]])
                build.store(z[-1].value, slot_of_row)
            for i, v in enumerate(places):
                left, q, right = (wide.load(wide.at(row(number(k)), at, 1), offset=v) for k in (1, 2, 3))
                scale = wide.load(wide.at(scales, at, 1), offset=v)
                up, diag = (q + right) * scale * ups[1][i], q * scale * ups[0][i]
                for address, part in ((to_left, q * left), (to_above, up), (to_diag, diag)):
                    emit.store(pair.floats(part), emit.at(address, at, 1), offset=v)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 12, like), generate
