"""Square tiles of costs and gradients on their way between a matrix and the lanes of a strip.

A tile has 16 x 16 floats or 8 x 8 doubles, so that each of its rows is as long as a cache line.  It is
transposed in blocks as wide as a register; one of which only a part is cells is read and written under masks.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from espnet_posinv.softdtw.simd import FORMATS, INT32, INT64, Emitter, Lanes


def side(size: int) -> int:
    """Rows and steps of a tile of numbers of `size` bytes."""
    return 64 // size


def _transposed(emit: Emitter, rows: list[Lanes]) -> list[Lanes]:
    """A square block transposed: log2(lanes) rounds that swap off-diagonal blocks of size 1, 2, 4, ..."""
    lanes, size = emit.fmt.lanes, 1
    values = [row.value for row in rows]
    while size < lanes:
        low = [k if not k & size else lanes + k - size for k in range(lanes)]
        high = [k + size if not k & size else lanes + k for k in range(lanes)]
        masks = [ir.Constant(ir.VectorType(INT32, lanes), mask) for mask in (low, high)]
        for i in range(lanes):
            if not i & size:
                pair = values[i], values[i + size]
                values[i] = emit.build.shuffle_vector(*pair, masks[0])
                values[i + size] = emit.build.shuffle_vector(*pair, masks[1])
        size *= 2
    return [Lanes(emit.build, value, emit.fmt) for value in values]


def _addresses(emit: Emitter, address, stride, row: int, column: int):
    """Addresses of a block's rows, which lie `stride` bytes apart; its first number is (row, column)."""
    build = emit.build
    start = emit.address(address, column)
    return [build.add(start, build.mul(stride, ir.Constant(INT64, row + i))) for i in range(emit.fmt.lanes)]


def _masks(emit: Emitter, window, step, row: int, column: int):
    """Of a block whose first number is (row, column): which are cells (see `_each_block`)."""
    build, fmt = emit.build, emit.fmt
    counting = ir.Constant(ir.VectorType(fmt.integer, fmt.lanes), list(range(column, column + fmt.lanes)))
    step = build.trunc(step, fmt.integer) if fmt.size < 8 else step
    masks = []
    for i in range(row, row + fmt.lanes):
        places = (ir.Constant(INT64, 2 * i + k) for k in range(2))
        begin, end = (emit.load_scalar(window, k, integer=True) for k in places)
        since = build.add(emit.broadcast(build.sub(step, begin)).value, counting)
        # One unsigned comparison stands for two, since what lies before `begin` is huge.
        masks.append(build.icmp_unsigned("<", since, emit.broadcast(build.sub(end, begin)).value))
    return masks


def _each_block(emit: Emitter, window, step, copy) -> None:
    """Emit copy(row, column, masks) for the blocks of a whole tile (window = 0, no masks) or a part of one.

    Element t of row i is a cell if window[i, 0] <= step + t < window[i, 1] (integers of the format's width).
    """
    build, fmt = emit.build, emit.fmt
    places = range(0, side(fmt.size), fmt.lanes)
    blocks = [(row, column) for row in places for column in places]
    with build.if_else(build.icmp_signed("==", window, ir.Constant(INT64, 0))) as (whole, part):
        with whole:
            for block in blocks:
                copy(*block, [None] * fmt.lanes)
        with part:
            for block in blocks:
                copy(*block, _masks(emit, window, step, *block))


@intrinsic
def read_tile(typing, source, source_stride, target, target_stride, window, step, seen, like):
    """Transpose a tile; +inf where it has no cell (`window`, see `_each_block`).

    Addresses and strides are in bytes, `like` is a number of the tile's type.  Two rows of integers at `seen`
    keep the largest |bits| and the union of all bits.
    """

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[like])
        fmt = emit.fmt
        source, source_stride, target, target_stride, window, step, seen, _ = arguments

        def copy(i, j, masks):
            largest, union = (emit.load(seen, integer=True, offset=at) for at in (0, side(fmt.size)))
            rows = []
            addresses = _addresses(emit, source, source_stride, i, j)
            for address, mask in zip(addresses, masks, strict=True):
                row = emit.load(address) if mask is None else emit.load_where(mask, address)
                bits = row.as_integer()
                largest = largest.maximum(bits & (2 ** (fmt.integer.width - 1) - 1))
                union = union | bits
                rows.append(row if mask is None else row.where(mask, float("inf")))
            emit.store(largest, seen)
            emit.store(union, seen, offset=side(fmt.size))
            addresses = _addresses(emit, target, target_stride, j, i)
            for row, address in zip(_transposed(emit, rows), addresses, strict=True):
                emit.store(row, address)

        _each_block(emit, window, step, copy)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, like), generate


@intrinsic
def write_tile(typing, source, source_stride, target, target_stride, window, step, like):
    """Transpose a tile; only its cells are written (`window`, see `_each_block`)."""

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[like])
        source, source_stride, target, target_stride, window, step, _ = arguments

        def copy(i, j, masks):
            rows = _transposed(emit, [emit.load(a) for a in _addresses(emit, source, source_stride, j, i)])
            addresses = _addresses(emit, target, target_stride, i, j)
            for row, address, mask in zip(rows, addresses, masks, strict=True):
                if mask is None:
                    emit.store(row, address)
                else:
                    emit.store_where(mask, row, address)

        _each_block(emit, window, step, copy)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, like), generate
