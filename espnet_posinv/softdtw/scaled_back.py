"""A tile of steps in plain doubles, backwards: what `scaled.py` left in memory becomes E (derived there)."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.emitter import BELOW, ROWS
from espnet_posinv.softdtw.scaled import AT_ONCE, Pair, number
from espnet_posinv.softdtw.simd import INT32, INT64, Lanes
from espnet_posinv.softdtw.tiles import prefetch_rows

TINY = 2.0**-1000


@intrinsic
def sweep_scaled_back(
    typing, Z, P, scratch, state, edge, out, E, group, behind, count, ahead, ahead_stride, like
):  # fmt: skip
    """The tile backwards, like `sweep_tile_back`, with what `sweep_scaled` left in Z, P and `scratch`.

    From tile to tile and from strip to strip parts of E are handed on, as there.  q takes the place of z.
    """

    def generate(context, build, signature, arguments):
        if like is not types.float32:
            return context.get_dummy_value()
        pair = Pair(context, build)
        emit, wide, places = pair.emit, pair.wide, pair.places
        Z, P, scratch, state, edge, out, E, group, behind, count, ahead, ahead_stride, _ = arguments
        scales, edge_z = (wide.address(scratch, i * ROWS) for i in (1, 2))
        to_left, to_above, to_diag = (emit.address(state, i * (ROWS + BELOW)) for i in range(3))
        real = wide.fmt.real
        zero = ir.Constant(real, 0.0)
        is_last = build.icmp_signed("==", behind, number(ROWS // pair.group))
        slots = [pair.slot(wide.broadcast(zero)) for _ in range(AT_ONCE)]
        handed = [cgutils.alloca_once_value(build, zero) for _ in range(AT_ONCE)]

        def row(t, offset=0):
            return wide.at(Z, build.add(t, number(offset)), ROWS)

        def first_lane(lanes):
            return build.extract_element(lanes.value, ir.Constant(INT32, 0))

        def steps(t, later, many=1):
            """Steps t, t - 1, ..., `many` of them, of which the tile has `later` behind it (2: or more)."""
            times = [build.sub(t, number(i)) for i in range(many)]
            for k, slot in zip(times, slots, strict=False):
                prefetch_rows(emit, ahead, ahead_stride, k, to_write=True)
                edge_E = build.fpext(emit.load_scalar(edge, k), real)
                z, least = wide.load_scalar(row(k, 2), emit.place(number(ROWS - 1))), ir.Constant(real, TINY)
                z = build.select(build.fcmp_ordered(">", z, least), z, least)
                below = build.select(is_last, build.fdiv(edge_E, z), zero)
                build.store(wide.broadcast(below).value, slot)
            end = build.mul(behind, number(pair.group))
            with cgutils.for_range(build, build.sub(behind, group), intp=INT64) as loop:
                at = build.sub(end, build.mul(build.add(loop.index, number(1)), number(pair.group)))

                def loaded(address):
                    return [wide.load(wide.at(address, at, 1), offset=v) for v in places]

                nothing = [wide.broadcast(zero)] * len(places)
                rights = loaded(row(t, 3)) if later else nothing
                rights_but_one = loaded(row(t, 4)) if later > 1 else nothing
                for k, slot, up in zip(times, slots, handed, strict=False):
                    sums = [q + older for q, older in zip(rights, rights_but_one, strict=True)]
                    scale = loaded(scales)
                    shares = [both * factor for both, factor in zip(sums, scale, strict=True)]
                    carried = Lanes(build, build.load(slot), wide.fmt)
                    build.store(shares[0].value, slot)
                    belows = [*shares[1:], wide.rows_below(shares[0], carried)]
                    b = [below + q for below, q in zip(belows, rights, strict=True)]
                    z = loaded(row(k, 2))
                    if later < 2:
                        parts = given(at, later)
                        b = [
                            both + part / each.larger(TINY)
                            for both, part, each in zip(b, parts, z, strict=True)
                        ]
                    rights_but_one, rights = rights, []
                    for v, b_v, z_v in zip(places, b, z, strict=True):
                        emit.store(pair.floats(z_v * b_v), emit.at(emit.at(E, k, ROWS), at, 1), offset=v)
                        P_v = emit.load(emit.at(emit.at(P, k, ROWS), at, 1), offset=v)
                        rights.append(pair.doubles(P_v) * b_v)
                        wide.store(rights[-1], wide.at(row(k, 2), at, 1), offset=v)
                    build.store(first_lane(rights[0] + rights_but_one[0]), up)
            for k, slot in zip(times, handed, strict=False):
                up = build.fmul(build.load(slot), wide.load_scalar(scales, number(0)))
                up = build.fmul(up, wide.load_scalar(edge_z, build.add(k, number(1))))
                if not later:
                    up = build.fadd(up, build.fpext(emit.load_scalar(to_diag, number(0)), real))
                emit.store_scalar(build.fptrunc(up, emit.fmt.real), out, k)

        def given(at, later):
            """What the tile behind hands to this one's last step (later = 0) or the one before."""
            source = emit.at(to_diag if later else to_above, at, 1)
            firsts = [emit.load(source, offset=v) for v in places]
            following = emit.load(source, offset=pair.group)
            parts = [pair.doubles(part) for part in [*firsts[1:], emit.rows_below(firsts[0], following)]]
            if later:
                return parts
            lefts = [pair.doubles(emit.load(emit.at(to_left, at, 1), offset=v)) for v in places]
            return [part + left for part, left in zip(parts, lefts, strict=True)]

        last = build.sub(count, number(1))
        steps(last, 0)
        with build.if_else(build.icmp_signed(">", count, number(1))) as (more, single):
            with more:
                steps(build.sub(last, number(1)), 1)
            with single, pair.groups(group, behind) as (at, _):
                # The strip's last tile: nothing comes from behind it.
                for v in places:
                    wide.store(wide.broadcast(zero), wide.at(row(number(3)), at, 1), offset=v)
        rest = build.sub(count, number(2))
        whole = build.sub(rest, build.srem(rest, number(AT_ONCE)))
        with cgutils.for_range_slice(build, number(0), whole, number(AT_ONCE), intp=INT64) as (i, _):
            steps(build.sub(build.sub(rest, number(1)), i), 2, AT_ONCE)
        with cgutils.for_range_slice(build, whole, rest, number(1), intp=INT64) as (i, _):
            steps(build.sub(build.sub(rest, number(1)), i), 2)

        # What goes to the steps before the tile: q times z of the cell that receives it.
        edges = [pair.slot(wide.broadcast(wide.load_scalar(edge_z, number(i)))) for i in range(2)]
        with pair.groups(group, behind) as (at, _):
            ups = []
            for i, slot_of_row in enumerate(edges):
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
