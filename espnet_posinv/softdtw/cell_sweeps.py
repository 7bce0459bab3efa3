"""A tile of steps by mantissas and exponents (`cells.py`), forwards, with or without weights, and back."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cells import Number, next_cell
from espnet_posinv.softdtw.emitter import BELOW, ROWS, Emitter
from espnet_posinv.softdtw.simd import FORMATS, INT32, INT64, Lanes
from espnet_posinv.softdtw.tiles import prefetch_rows


class Diagonal:
    """An anti-diagonal's 64 lanes in registers (allocas, which LLVM promotes); `address` is their home."""

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


def _sweep_tile(weights: bool):
    """Make the intrinsic that sweeps one tile of steps, with or without the gradient's weights."""

    @intrinsic
    def sweep_tile(
        typing, costs, Z_m, Z_e, W, top_m, top_e, count, mirror, ahead, ahead_stride, c_hi, c_lo, limit
    ):  # fmt: skip
        """`count` steps: costs (steps, ROWS), Z (2 + steps, ROWS) behind two rows of the steps before.

        A cell finds its neighbours in what was stored one step ago (left, up) and two steps ago (diagonal).
        `top`: Z of the row above the strip, from the column before the first step's on.
        `mirror` is the first step's number in a symmetric problem, else far below 0.  `ahead` is where the
        next tile's row 0 lies: cache lines that are asked for a few at each step arrive while it computes.
        """

        def generate(context, build, signature, arguments):
            emit = Emitter(context, build, FORMATS[c_hi])
            fmt = emit.fmt
            costs, Z_m, Z_e, W, top_m, top_e, count, mirror, ahead, ahead_stride, *constants = arguments
            *c, largest = (emit.broadcast(constant) for constant in constants)
            one = ir.Constant(INT64, 1)
            with cgutils.for_range(build, count, intp=INT64) as loop:
                t = loop.index
                prefetch_rows(emit, ahead, ahead_stride, t, to_write=False)
                before, last, now = (
                    [emit.at(Z, build.add(t, ir.Constant(INT64, i)), ROWS) for Z in (Z_m, Z_e)]
                    for i in range(3)
                )

                def number(row, v):
                    return Number(emit.load(row[0], offset=v), emit.load(row[1], integer=True, offset=v))

                def ups(row, column):
                    """The upper neighbours of each vector; `column` is that of the row above the strip."""
                    edge_m, edge_e = (
                        emit.load_scalar(top_m, column),
                        emit.load_scalar(top_e, column, integer=True),
                    )
                    before = Number(emit.broadcast(edge_m), emit.broadcast(edge_e))
                    for v in range(0, ROWS, fmt.lanes):
                        if v % emit.group == 0:
                            last = number(row, v + emit.group - fmt.lanes)
                            yield Number(
                                emit.rows_above(last.mantissa, before.mantissa),
                                emit.rows_above(last.exponent, before.exponent),
                            )
                            before = last
                        else:
                            yield number(row, v - fmt.lanes)

                k = build.add(mirror, t)
                on_diagonal = build.and_(
                    build.icmp_unsigned("<", k, ir.Constant(INT64, 2 * ROWS)),
                    build.icmp_signed("==", build.and_(k, one), ir.Constant(INT64, 0)),
                )
                row = build.lshr(k, one)
                on_place = emit.place(row)
                below_first = build.icmp_signed(">", k, ir.Constant(INT64, 0))
                with build.if_then(build.and_(on_diagonal, below_first)):
                    # Row k/2 is on the diagonal: its left neighbour, forbidden, becomes the upper one
                    # (which is outside of the strip for row 0: `strips.sweep`).
                    for address, integer in zip(last, (False, True), strict=True):
                        upper = emit.load_scalar(address, emit.place(build.sub(row, one)), integer)
                        emit.store_scalar(upper, address, on_place)
                W_at = emit.at(W, t, 2 * ROWS)
                neighbours = zip(ups(before, t), ups(last, build.add(t, one)), strict=True)
                for v, (diag, up) in zip(range(0, ROWS, fmt.lanes), neighbours, strict=True):
                    d = emit.load(emit.at(costs, t, ROWS), offset=v)
                    left = number(last, v)
                    z, w_pair = next_cell(emit, d, c, largest, up, left, diag, weights)
                    emit.store(z.mantissa, now[0], offset=v)
                    emit.store(z.exponent, now[1], offset=v)
                    if weights:
                        emit.store(w_pair[0], W_at, offset=v)
                        emit.store(w_pair[1], W_at, offset=v + ROWS)
                if weights:
                    with build.if_then(on_diagonal):
                        # What that one would get goes up instead.
                        w_diag = emit.load_scalar(W_at, on_place)
                        rest = build.fsub(ir.Constant(fmt.real, 1.0), w_diag)
                        emit.store_scalar(rest, emit.address(W_at, ROWS), on_place)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10, c_hi, c_lo, limit), generate

    return sweep_tile


sweep_tile = _sweep_tile(weights=False)
sweep_tile_with_weights = _sweep_tile(weights=True)


@intrinsic
def sweep_tile_back(typing, state, W, edge, out, E, count, ahead, ahead_stride, like):
    """`count` steps backwards; E (steps, 64) receives the gradient.

    Each cell hands its E on by its own weights: to the left, up and up-left.  state (3, ROWS + BELOW) holds
    what the last diagonal handed to the left, to the row above (both of its parts, which arrive at the same
    time) and up-left. edge[t] is what lane 63 gets from the strip below at step t, out[t] what lane 0
    hands to the strip above.  `ahead`: as in `sweep_tile`, where the next tile of E will be written.
    """

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, FORMATS[like])
        fmt = emit.fmt
        state, W, edge, out, E, count, ahead, ahead_stride, _ = arguments
        to_left, to_above, to_diag = (
            Diagonal(emit, emit.address(state, i * (ROWS + BELOW))) for i in range(3)
        )
        one = ir.Constant(INT64, 1)
        with cgutils.for_range(build, count, intp=INT64) as loop:
            t = build.sub(build.sub(count, one), loop.index)
            prefetch_rows(emit, ahead, ahead_stride, t, to_write=True)
            above = to_above.get()
            behind = [*above, emit.broadcast(emit.load_scalar(edge, t))]
            vectors = emit.group // fmt.lanes
            from_below = [
                emit.rows_below(above[v + 1 - vectors], behind[v + 1])
                if (v + 1) % vectors == 0
                else above[v + 1]
                for v in range(len(above))
            ]
            handed = [], [], []
            for v, (below, right, diag) in enumerate(
                zip(from_below, to_left.get(), to_diag.get(), strict=True)
            ):
                gradient = below + right
                w_diag = emit.load(emit.at(W, t, 2 * ROWS), offset=v * fmt.lanes)
                w_up = emit.load(emit.at(W, t, 2 * ROWS), offset=v * fmt.lanes + ROWS)
                handed[0].append(gradient * ((w_diag.same(1) - w_diag) - w_up))
                handed[1].append(gradient.multiply_add(w_up, diag))
                handed[2].append(gradient * w_diag)
                emit.store(gradient, emit.at(E, t, ROWS), offset=v * fmt.lanes)
            for diagonal, vectors in zip((to_left, to_above, to_diag), handed, strict=True):
                diagonal.set(vectors)
            emit.store_scalar(build.extract_element(handed[1][0].value, ir.Constant(INT32, 0)), out, t)
        for diagonal in (to_left, to_above, to_diag):
            diagonal.save()
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8, like), generate
