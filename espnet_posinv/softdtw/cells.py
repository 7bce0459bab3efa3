"""One step of the recurrence for a vector of cells: the arithmetic that makes soft-DTW fast and exact.

Instead of R the kernels carry Z = exp(-R / gamma), in which the recurrence (see `reference.py`) is a
plain sum

    Z[i,j] = 2^(c D[i,j]) (Z[i-1,j-1] + Z[i-1,j] + Z[i,j-1]),     c = -log2(e) / gamma.

Z spans thousands of powers of two, so each Z is m 2^e with a mantissa 1 <= m < 2 of its own and an integer e.
Adding three such numbers means shifting them to the largest exponent; renormalising the sum means moving its
exponent bits from m to e.  That is integer arithmetic and a handful of multiplications, where a softmin in R
takes three exponentials and a logarithm on the critical path.  It is also exact where R is not: rounding is
relative to Z, so R errs by gamma 2^-24 per step, however large R / gamma has grown.

2^(c D) is split at the nearest integer n = round(c D): n goes to the exponent and 2^(c D - n), a
polynomial, to the mantissa.  Adding 1.5 2^23 (`MAGIC`) to c D leaves n in the low bits of the sum.  c
comes in two parts, c_hi + c_lo, and c_hi D - n is rounded once (FMA), or the fraction would be noise for
small gamma.

The gradient's weights are w_k = Z_k / (Z_diag + Z_up + Z_left).  They are stored as w_diag and w_up, and the
third is their complement, so that they sum to one without drift; where a predecessor vanishes, its weight is
exactly 0, so no gradient leaks into a forbidden cell.
"""

from dataclasses import dataclass

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.simd import BELOW, FORMATS, INT32, INT64, ROWS, Emitter, Format, Lanes
from espnet_posinv.softdtw.tiles import side


@dataclass(frozen=True)
class Number:
    """Z = mantissa 2^exponent in every lane."""

    mantissa: Lanes
    exponent: Lanes


def exponent_floor(bits: int) -> int:
    """Exponent of Z = 0 for integers of `bits` bits: half the range, so that a floor may fall once more."""
    return -(2 ** (bits - 2)) + 2 ** (bits - 8)


def forbidden_drop(bits: int) -> int:
    """What a forbidden cell takes off the exponent, to be below every reachable cell."""
    return 2 ** (bits - 2)


def power_of_two(emit: Emitter, d: Lanes, c_hi: Lanes, c_lo: Lanes) -> tuple[Lanes, Lanes]:
    """2^(c d) as (2^(c d - n), n)."""
    fmt = emit.fmt
    magic = 1.5 * 2.0**fmt.mantissa_bits
    magic_bits = (fmt.bias + fmt.mantissa_bits << fmt.mantissa_bits) + (1 << fmt.mantissa_bits - 1)
    shifted = d.multiply_add(c_hi, magic)
    nearest = shifted - magic
    if emit.has_fma or fmt.mantissa_bits != 23:
        fraction = d.fma(c_lo, d.fma(c_hi, -nearest))
    else:
        wide = d.as_double() * c_hi.as_double() - nearest.as_double()
        narrow = emit.build.fptrunc(wide.value, d.value.type)
        fraction = d.multiply_add(c_lo, Lanes(emit.build, narrow, fmt))
    coefficients = fmt.exp2_coefficients()
    power = fraction.same(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        power = power.multiply_add(fraction, coefficient)
    return power, shifted.as_integer() - magic_bits


def next_cell(
    emit: Emitter,
    d: Lanes,
    c: tuple[Lanes, Lanes],
    limit: Lanes,
    up: Number,
    left: Number,
    diag: Number,
    weights: bool,
):
    """Z of the cells with costs d, and the gradient's (w_diag, w_up) if wanted."""
    fmt: Format = emit.fmt
    width = fmt.integer.width
    power, whole = power_of_two(emit, d, *c)
    top = up.exponent.maximum(left.exponent).maximum(diag.exponent)
    base = top - fmt.bias

    def aligned(number: Number) -> Lanes:
        scale = (number.exponent - base).maximum(0) << fmt.mantissa_bits  # the bits of 2^(e - top), or of 0
        return number.mantissa * scale.as_real()

    from_up, from_left, from_diag = aligned(up), aligned(left), aligned(diag)
    total = from_up + from_diag + from_left
    bits = (total * power).as_integer()
    one = fmt.bias << fmt.mantissa_bits
    mantissa = ((bits & (1 << fmt.mantissa_bits) - 1) | one).as_real()
    step = whole.where_less(d, limit, -forbidden_drop(width))
    exponent = (base + step + (bits >> fmt.mantissa_bits)).maximum(exponent_floor(width))
    if not weights:
        return Number(mantissa, exponent), None
    inverse = total.same(1) / total
    w_diag = total.same(1).where_equal(from_diag, total, from_diag * inverse)
    w_up = (total.same(1) - w_diag).where_equal(from_left, 0, from_up * inverse)
    return Number(mantissa, exponent), (w_diag, w_up)


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


def prefetch_rows(emit: Emitter, address, stride, t, to_write: bool) -> None:
    """Step t's share of the 64 rows of a tile, `stride` bytes apart."""
    build, share = emit.build, ROWS // side(emit.fmt.size)
    for v in range(share):
        row = build.add(build.mul(t, ir.Constant(INT64, share)), ir.Constant(INT64, v))
        emit.prefetch(build.add(address, build.mul(row, stride)), to_write)


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
