"""Copies squares of costs and gradients between a matrix and the lanes of a strip.

A square has 16 x 16 floats or 8 x 8 doubles, so that each of its rows has the length of a cache line; the
squares of 64 rows make a tile.  A square is transposed in blocks as wide as a register, whose rows are those
of a vector (`emitter.Emitter.place`).  Rows that are cells only in part are read and written with masks.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from espnet_posinv.softdtw.cpu.emitter import ROWS, Emitter
from espnet_posinv.softdtw.cpu.vectors import FORMATS, INT32, INT64, Lanes


def prefetch_rows(emit: Emitter, address, stride, t, to_write: bool) -> None:
    """Prefetch step t's share of the 64 rows of a tile, `stride` bytes apart."""
    build, share = emit.build, ROWS // emit.side
    for v in range(share):
        row = build.add(build.mul(t, ir.Constant(INT64, share)), ir.Constant(INT64, v))
        emit.prefetch(build.add(address, build.mul(row, stride)), to_write)


def _transposed(emit: Emitter, rows: list[Lanes]) -> list[Lanes]:
    """A block transposed: log2(lanes) rounds that swap off-diagonal blocks of size 1, 2, 4, ..."""
    lanes, size = emit.fmt.lanes, 1
    values = [row.value for row in rows]
    while size < lanes:
        low = [k if not k & size else lanes + k - size for k in range(lanes)]
        high = [k + size if not k & size else lanes + k for k in range(lanes)]
        masks = [ir.Constant(ir.VectorType(INT32, lanes), mask) for mask in (low, high)]
        for i in range(lanes):
            if not i & size:
                two = values[i], values[i + size]
                values[i] = emit.build.shuffle_vector(*two, masks[0])
                values[i + size] = emit.build.shuffle_vector(*two, masks[1])
        size *= 2
    return [Lanes(emit.build, value, emit.fmt) for value in values]


def _rows(emit: Emitter, v: int) -> list[int]:
    """The rows of a square in its vector v (see `emitter.Emitter.place`)."""
    vectors = emit.side // emit.fmt.lanes
    return [v + k * vectors for k in range(emit.fmt.lanes)]


def _each_block(emit: Emitter, window, step, copy) -> None:
    """Emit copy(v, column, cells) for a square's blocks: a vector's rows, as many steps from `column` on.

    cells(row) returns, for a row's steps in this block, whether all are cells, whether some are, and a mask;
    for a square of cells only (window = 0), `cells` is None.  Step t of row i is a cell if window[i, 0] <=
    step + t < window[i, 1] (integers of the format's width).
    """
    build, fmt = emit.build, emit.fmt

    def cells_from(column):
        first = build.add(step, ir.Constant(INT64, column))
        first = build.trunc(first, fmt.integer) if fmt.size < 8 else first
        after = build.add(first, ir.Constant(fmt.integer, fmt.lanes))
        counting = ir.Constant(ir.VectorType(fmt.integer, fmt.lanes), list(range(fmt.lanes)))
        steps = build.add(emit.broadcast(first).value, counting)

        def cells(row):
            places = (ir.Constant(INT64, 2 * row + k) for k in range(2))
            begin, end = (emit.load_scalar(window, place, integer=True) for place in places)
            less = build.icmp_signed
            every = build.and_(less("<=", begin, first), less("<=", after, end))
            some = build.and_(less("<", begin, after), less("<", first, end))
            begins, ends = (emit.broadcast(scalar).value for scalar in (begin, end))
            mask = build.and_(less("<", steps, ends), build.not_(less("<", steps, begins)))
            return every, some, mask

        return cells

    with build.if_else(build.icmp_signed("==", window, ir.Constant(INT64, 0))) as branches:
        for branch, part in zip(branches, (False, True), strict=True):
            with branch:
                for v in range(emit.side // fmt.lanes):
                    for column in range(0, emit.side, fmt.lanes):
                        copy(v, column, cells_from(column) if part else None)


@intrinsic
def read_square(typing, source, source_stride, target, window, step, seen, like):
    """Read the costs of a square from rows `source_stride` bytes apart into (steps, ROWS).

    +inf outside of the cells (`window`: see `_each_block`).  The vector of integers at `seen` keeps the
    largest bits as unsigned integers, in which negative, infinite and NaN costs are largest.  `like`: a
    number of the costs' type.
    """

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[like])
        fmt = emit.fmt
        source, source_stride, target, window, step, seen, _ = arguments

        def copy(v, column, cells):
            values = []
            largest = emit.load(seen, integer=True)
            for row in _rows(emit, v):
                address = build.add(
                    emit.address(source, column), build.mul(source_stride, ir.Constant(INT64, row))
                )
                mask = cells(row)[2] if cells else None
                costs = emit.load_where(mask, address) if cells else emit.load(address)
                largest = largest.maximum_unsigned(costs.as_integer())
                values.append(costs.where(mask, float("inf")) if cells else costs)
            emit.store(largest, seen)
            for t, lanes in enumerate(_transposed(emit, values)):
                emit.store(lanes, target, offset=(column + t) * ROWS + v * fmt.lanes)

        _each_block(emit, window, step, copy)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, like), generate


@intrinsic
def write_square(typing, source, target, target_stride, window, step, factor):
    """Write `factor` times the cells (`window`) of a square to rows `target_stride` bytes apart."""

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[factor])
        fmt = emit.fmt
        source, target, target_stride, window, step, factor_value = arguments
        times = emit.broadcast(factor_value)

        def copy(v, column, cells):
            places = [(column + t) * ROWS + v * fmt.lanes for t in range(fmt.lanes)]
            steps = [emit.load(source, offset=place) for place in places]
            for row, lanes in zip(_rows(emit, v), _transposed(emit, steps), strict=True):
                lanes = lanes * times
                address = build.add(
                    emit.address(target, column), build.mul(target_stride, ir.Constant(INT64, row))
                )
                if cells is None:
                    emit.store(lanes, address)
                    continue
                every, some, mask = cells(row)
                with build.if_then(some), build.if_else(every) as (whole, part):
                    with whole:
                        emit.store(lanes, address)
                    with part:
                        emit.store_where(mask, lanes, address)

        _each_block(emit, window, step, copy)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5, factor), generate
