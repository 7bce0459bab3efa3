"""Before and after a tile in doubles: from mantissas and exponents to what `scaled.py` needs, and back."""

from llvmlite import ir
from numba.core import cgutils

from espnet_posinv.softdtw.emitter import ROWS
from espnet_posinv.softdtw.scaled import FLOOR, REACH, Pair, number
from espnet_posinv.softdtw.simd import INT32, INT64, Lanes


def begin_tile(pair: Pair, Z_m, Z_e, Z, scratch, top_m, top_e, group, behind, begin, end, inside):
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


def end_tile(pair: Pair, Z_m, Z_e, Z, scratch, out_m, out_e, row, first, group, behind, count):
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
