"""The sweep of a tile: forward with or without weights, and backward."""

from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cpu.cells import Neighbours, Number, next_cell
from espnet_posinv.softdtw.cpu.emitter import ROWS, Emitter
from espnet_posinv.softdtw.cpu.tiles import prefetch_rows
from espnet_posinv.softdtw.cpu.vectors import FORMATS, INT32, INT64, Lanes
from espnet_posinv.softdtw.exponents import Arithmetic


class Tile(NamedTuple):
    """Input and output of a forward sweep: addresses and numbers.

    costs: (steps, ROWS).  mantissas, exponents: Z (2 + steps, ROWS), the two earlier steps first.  weights:
    offset of this tile's.  above_mantissas, above_exponents: Z of the row above the strip, from the column
    before the first step's.  diagonal: number of the first step in a folded matrix, else far below 0.  ahead:
    row 0 of the tile after the next one, rows `stride` bytes apart, to prefetch some rows in each step.
    """

    costs: int
    mantissas: int
    exponents: int
    weights: int
    above_mantissas: int
    above_exponents: int
    steps: int
    diagonal: int
    ahead: int
    stride: int


class BackTile(NamedTuple):
    """Input and output of a backward sweep: addresses and the number of steps.

    state: (3, ROWS), gradients from the previous step to the left, up (with the diagonal part of the step
    before, which arrives at the same cell) and up-left.  weights: (steps, 2, ROWS).  below: gradients from
    the strip below, for each step.  above: gradients of row 0 for the strip above.  E: (steps, ROWS), the
    result. ahead, stride: position of the next tile of E, as in `Tile`.
    """

    state: int
    weights: int
    below: int
    above: int
    E: int
    steps: int
    ahead: int
    stride: int


def _fields(build, value, kind):
    """A named tuple of LLVM values."""
    return kind(*cgutils.unpack_tuple(build, value, len(kind._fields)))


@intrinsic
def sweep_tile(typing, tile, weights, arithmetic):
    """Compute Z of a tile, and its weights if `weights` is an array (not an empty tuple).

    A cell's predecessors were stored one step ago (left, up) and two steps ago (diagonal).
    """
    keep = isinstance(weights, types.Array)

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[arithmetic.types[0]])
        fmt = emit.fmt
        tile = _fields(build, arguments[0], Tile)
        scalars = _fields(build, arguments[2], Arithmetic)
        constants = Arithmetic(*(emit.broadcast(scalar) for scalar in scalars))
        if keep:
            data = context.make_array(weights)(context, build, arguments[1]).data
            weights_at = build.add(build.ptrtoint(data, INT64), tile.weights)
        one = ir.Constant(INT64, 1)
        with cgutils.for_range(build, tile.steps, intp=INT64) as loop:
            t = loop.index
            prefetch_rows(emit, tile.ahead, tile.stride, t, to_write=False)
            before, last, now = (
                [
                    emit.at(Z, build.add(t, ir.Constant(INT64, i)), ROWS)
                    for Z in (tile.mantissas, tile.exponents)
                ]
                for i in range(3)
            )

            def number(row, v):
                return Number(emit.load(row[0], offset=v), emit.load(row[1], integer=True, offset=v))

            def ups(row, column):
                """The upper neighbours of each vector; `column`: index into the row above the strip."""
                edge = (
                    emit.load_scalar(tile.above_mantissas, column),
                    emit.load_scalar(tile.above_exponents, column, integer=True),
                )
                above = Number(*map(emit.broadcast, edge))
                for v in range(0, ROWS, fmt.lanes):
                    if v % emit.side == 0:
                        lowest = number(row, v + emit.side - fmt.lanes)
                        yield Number(
                            emit.rows_above(lowest.mantissa, above.mantissa),
                            emit.rows_above(lowest.exponent, above.exponent),
                        )
                        above = lowest
                    else:
                        yield number(row, v - fmt.lanes)

            k = build.add(tile.diagonal, t)
            on_diagonal = build.and_(
                build.icmp_unsigned("<", k, ir.Constant(INT64, 2 * ROWS)),
                build.icmp_signed("==", build.and_(k, one), ir.Constant(INT64, 0)),
            )
            row = build.lshr(k, one)
            on_place = emit.place(row)
            below_first = build.icmp_signed(">", k, ir.Constant(INT64, 0))
            with build.if_then(build.and_(on_diagonal, below_first)):
                # Row k/2 is on the diagonal: the upper neighbour replaces the left one, which is forbidden
                # (for row 0 the upper one is outside of the strip: `strips.sweep`).
                for address, integer in zip(last, (False, True), strict=True):
                    upper = emit.load_scalar(address, emit.place(build.sub(row, one)), integer)
                    emit.store_scalar(upper, address, on_place)
            neighbours = zip(ups(before, t), ups(last, build.add(t, one)), strict=True)
            for v, (diag, up) in zip(range(0, ROWS, fmt.lanes), neighbours, strict=True):
                d = emit.load(emit.at(tile.costs, t, ROWS), offset=v)
                z, shares = next_cell(emit, d, Neighbours(up, number(last, v), diag), constants, keep)
                emit.store(z.mantissa, now[0], offset=v)
                emit.store(z.exponent, now[1], offset=v)
                if keep:
                    for i, share in enumerate(shares):
                        emit.store(share, emit.at(weights_at, t, 2 * ROWS), offset=v + i * ROWS)
            if keep:
                with build.if_then(on_diagonal):
                    # The weight of the left neighbour goes to the upper one.
                    w_diag_at = emit.at(weights_at, t, 2 * ROWS)
                    rest = build.fsub(ir.Constant(fmt.real, 1.0), emit.load_scalar(w_diag_at, on_place))
                    emit.store_scalar(rest, emit.address(w_diag_at, ROWS), on_place)
        # Move the last two steps to where the next tile reads them.
        for Z, integer in ((tile.mantissas, False), (tile.exponents, True)):
            for v in range(0, 2 * ROWS, fmt.lanes):
                emit.store(emit.load(Z, integer, offset=emit.side * ROWS + v), Z, offset=v)
        return context.get_dummy_value()

    return types.void(tile, weights, arithmetic), generate


class _Diagonal:
    """The 64 lanes of a step in registers (allocas, which LLVM promotes), loaded from `address`."""

    def __init__(self, emit: Emitter, address):
        self.emit = emit
        self.addresses = [emit.address(address, v) for v in range(0, ROWS, emit.fmt.lanes)]
        self.slots = [cgutils.alloca_once_value(emit.build, emit.load(a).value) for a in self.addresses]

    def get(self) -> list[Lanes]:
        return [Lanes(self.emit.build, self.emit.build.load(slot), self.emit.fmt) for slot in self.slots]

    def set(self, vectors: list[Lanes]) -> None:
        for slot, lanes in zip(self.slots, vectors, strict=True):
            self.emit.build.store(lanes.value, slot)

    def save(self) -> None:
        for lanes, address in zip(self.get(), self.addresses, strict=True):
            self.emit.store(lanes, address)


@intrinsic
def sweep_tile_back(typing, tile, like):
    """Compute E of a tile: each cell distributes its E by its weights, to the left, up and up-left."""

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[like])
        fmt = emit.fmt
        tile = _fields(build, arguments[0], BackTile)
        to_left, to_above, to_diag = (_Diagonal(emit, emit.address(tile.state, i * ROWS)) for i in range(3))
        one = ir.Constant(INT64, 1)
        with cgutils.for_range(build, tile.steps, intp=INT64) as loop:
            t = build.sub(build.sub(tile.steps, one), loop.index)
            prefetch_rows(emit, tile.ahead, tile.stride, t, to_write=True)
            above = to_above.get()
            following = [*above, emit.broadcast(emit.load_scalar(tile.below, t))]
            vectors = emit.side // fmt.lanes
            from_below = [
                emit.rows_below(above[v + 1 - vectors], following[v + 1])
                if (v + 1) % vectors == 0
                else above[v + 1]
                for v in range(len(above))
            ]
            weights_at, handed = emit.at(tile.weights, t, 2 * ROWS), ([], [], [])
            for v, (below, right, diag) in enumerate(
                zip(from_below, to_left.get(), to_diag.get(), strict=True)
            ):
                gradient = below + right
                w_diag = emit.load(weights_at, offset=v * fmt.lanes)
                w_up = emit.load(weights_at, offset=v * fmt.lanes + ROWS)
                handed[0].append(gradient * ((w_diag.same(1) - w_diag) - w_up))
                handed[1].append(gradient.multiply_add(w_up, diag))
                handed[2].append(gradient * w_diag)
                emit.store(gradient, emit.at(tile.E, t, ROWS), offset=v * fmt.lanes)
            for diagonal, vectors in zip((to_left, to_above, to_diag), handed, strict=True):
                diagonal.set(vectors)
            first = build.extract_element(handed[1][0].value, ir.Constant(INT32, 0))
            emit.store_scalar(first, tile.above, t)
        for diagonal in (to_left, to_above, to_diag):
            diagonal.save()
        return context.get_dummy_value()

    return types.void(tile, like), generate
