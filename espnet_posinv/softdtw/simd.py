"""Vector arithmetic for numba: operations on 16 floats (8 doubles) that its own loops cannot express.

Numba widens int32 to int64 and has no bit casts, so the mantissa/exponent arithmetic of `cells.py` is
written as LLVM vectors.  `Lanes` lets that arithmetic read as formulas: each operator appends one
instruction.  LLVM maps the vectors to whatever the processor has: AVX-512, AVX2, SSE2 or NEON registers.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INT32, INT64 = ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Format:
    """A floating-point format: LLVM types, stored mantissa bits, and the numbers in a vector (64 bytes)."""

    real: ir.Type
    integer: ir.IntType
    mantissa_bits: int
    bias: int
    lanes: int

    @property
    def size(self) -> int:
        return self.integer.width // 8

    def exp2_coefficients(self) -> list[float]:
        """Polynomial for 2^f, |f| <= 1/2, to the precision of the format (Chebyshev interpolation)."""
        degree = 6 if self.mantissa_bits == 23 else 12
        fit = np.polynomial.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
        return [float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef]


FLOAT32 = Format(ir.FloatType(), INT32, 23, 127, 16)
FLOAT64 = Format(ir.DoubleType(), INT64, 52, 1023, 8)
FORMATS = {types.float32: FLOAT32, types.float64: FLOAT64}


class Lanes:
    """A vector of numbers while LLVM code is written; Python numbers on the right are broadcast."""

    def __init__(self, build, value, fmt: Format):
        self.build, self.value, self.fmt = build, value, fmt
        self.name = f"v{fmt.lanes}{'f' if self.is_real else 'i'}{fmt.integer.width}"

    @property
    def is_real(self) -> bool:
        return self.value.type.element == self.fmt.real

    def _new(self, value) -> "Lanes":
        return Lanes(self.build, value, self.fmt)

    def same(self, number) -> "Lanes":
        """`number` in every lane, in this vector's type."""
        if isinstance(number, Lanes):
            return number
        number = float(number) if self.is_real else int(number)
        return self._new(ir.Constant(self.value.type, [number] * self.fmt.lanes))

    def _binary(self, real, integer, other):
        operation = real if self.is_real else integer
        return self._new(operation(self.value, self.same(other).value))

    def __add__(self, other):
        return self._binary(self.build.fadd, self.build.add, other)

    def __sub__(self, other):
        return self._binary(self.build.fsub, self.build.sub, other)

    def __mul__(self, other):
        return self._binary(self.build.fmul, self.build.mul, other)

    def __truediv__(self, other):
        return self._binary(self.build.fdiv, None, other)

    def __and__(self, other):
        return self._binary(None, self.build.and_, other)

    def __or__(self, other):
        return self._binary(None, self.build.or_, other)

    def __lshift__(self, count):
        return self._binary(None, self.build.shl, count)

    def __rshift__(self, count):
        return self._binary(None, self.build.lshr, count)

    def __neg__(self):
        return self._new(self.build.fneg(self.value))

    def _call(self, name, *others):
        arguments = [self.value, *(self.same(other).value for other in others)]
        function_type = ir.FunctionType(self.value.type, [self.value.type] * len(arguments))
        function = cgutils.get_or_insert_function(
            self.build.module, function_type, f"llvm.{name}.{self.name}"
        )
        return self._new(self.build.call(function, arguments))

    def maximum(self, other) -> "Lanes":
        """Larger of two signed integers."""
        return self._call("smax", other)

    def fma(self, factor, term) -> "Lanes":
        """self * factor + term with one rounding, whatever that costs."""
        return self._call("fma", factor, term)

    def multiply_add(self, factor, term) -> "Lanes":
        """self * factor + term, with one rounding where the processor has FMA and two where it has not."""
        return self._call("fmuladd", factor, term)

    def as_integer(self) -> "Lanes":
        return self._new(self.build.bitcast(self.value, ir.VectorType(self.fmt.integer, self.fmt.lanes)))

    def as_real(self) -> "Lanes":
        return self._new(self.build.bitcast(self.value, ir.VectorType(self.fmt.real, self.fmt.lanes)))

    def as_double(self) -> "Lanes":
        """Float lanes widened to double (for processors without FMA)."""
        double = ir.VectorType(ir.DoubleType(), self.fmt.lanes)
        return Lanes(
            self.build,
            self.build.fpext(self.value, double),
            Format(ir.DoubleType(), INT64, 52, 1023, self.fmt.lanes),
        )

    def where(self, mask, other) -> "Lanes":
        """self where the mask is true, else other."""
        return self._new(self.build.select(mask, self.value, self.same(other).value))

    def where_less(self, left, right, other) -> "Lanes":
        """self where left < right, else other; a NaN on either side selects other."""
        condition = self.build.fcmp_ordered("<", left.value, left.same(right).value)
        return self.where(condition, other)

    def where_equal(self, left, right, other) -> "Lanes":
        """self where left == right, else other."""
        condition = self.build.fcmp_ordered("==", left.value, left.same(right).value)
        return self.where(condition, other)


class Emitter:
    """Loads, stores and broadcasts at raw addresses for one format."""

    def __init__(self, context, build, fmt: Format):
        self.build, self.fmt = build, fmt
        features = context.codegen().magic_tuple()[2]
        self.has_fma = "+fma" in features.split(",") or "x86" not in context.codegen().magic_tuple()[0]

    def address(self, base, offset):
        """base + offset elements; the offset a Python int."""
        return self.build.add(base, ir.Constant(INT64, offset * self.fmt.size)) if offset else base

    def load(self, address, integer=False, offset=0) -> Lanes:
        element = self.fmt.integer if integer else self.fmt.real
        pointer = ir.VectorType(element, self.fmt.lanes).as_pointer()
        value = self.build.load(self.build.inttoptr(self.address(address, offset), pointer))
        value.align = self.fmt.size
        return Lanes(self.build, value, self.fmt)

    def store(self, lanes: Lanes, address, offset=0) -> None:
        pointer = self.build.inttoptr(self.address(address, offset), lanes.value.type.as_pointer())
        self.build.store(lanes.value, pointer).align = self.fmt.size

    def _masked(self, name, mask, value, address, returns, *arguments):
        """LLVM's masked load or store: lanes whose mask is false touch no memory."""
        pointer = self.build.inttoptr(address, value.type.as_pointer())
        arguments = [*arguments, pointer, ir.Constant(INT32, self.fmt.size), mask]
        if returns:
            arguments.append(value)
        function_type = ir.FunctionType(value.type if returns else ir.VoidType(), [a.type for a in arguments])
        name = f"llvm.masked.{name}.v{self.fmt.lanes}f{self.fmt.integer.width}.p0"
        function = cgutils.get_or_insert_function(self.build.module, function_type, name)
        return self.build.call(function, arguments)

    def load_where(self, mask, address) -> Lanes:
        """The real numbers at `address` where the mask is true, else 0."""
        zero = ir.Constant(ir.VectorType(self.fmt.real, self.fmt.lanes), [0.0] * self.fmt.lanes)
        return Lanes(self.build, self._masked("load", mask, zero, address, True), self.fmt)

    def store_where(self, mask, lanes: Lanes, address) -> None:
        self._masked("store", mask, lanes.value, address, False, lanes.value)

    def prefetch(self, address, to_write: bool) -> None:
        """Ask for the cache line at `address`; harmless where there is no memory."""
        byte_pointer = ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(self.build.module, function_type, "llvm.prefetch.p0")
        pointer = self.build.inttoptr(address, byte_pointer)
        keep_close, data = 3, 1
        kinds = [ir.Constant(INT32, k) for k in (int(to_write), keep_close, data)]
        self.build.call(function, [pointer, *kinds])

    def broadcast(self, scalar) -> Lanes:
        vector = ir.VectorType(scalar.type, self.fmt.lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.build.insert_element(undefined, scalar, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, self.fmt.lanes), [0] * self.fmt.lanes)
        return Lanes(self.build, self.build.shuffle_vector(first, undefined, zeros), self.fmt)

    def at(self, address, index, width):
        """Address of row `index` (an int64 value) of an array of `width` columns."""
        return self.build.add(address, self.build.mul(index, ir.Constant(INT64, width * self.fmt.size)))

    def load_scalar(self, address, index, integer=False):
        element = self.fmt.integer if integer else self.fmt.real
        return self.build.load(self.build.inttoptr(self.at(address, index, 1), element.as_pointer()))

    def store_scalar(self, scalar, address, index) -> None:
        self.build.store(scalar, self.build.inttoptr(self.at(address, index, 1), scalar.type.as_pointer()))

    def _shuffle(self, first: Lanes, second: Lanes, mask) -> Lanes:
        mask = ir.Constant(ir.VectorType(INT32, self.fmt.lanes), list(mask))
        return Lanes(self.build, self.build.shuffle_vector(first.value, second.value, mask), self.fmt)

    def shifted_up(self, vectors: list[Lanes], edge: Lanes) -> list[Lanes]:
        """Every lane takes its lower neighbour's number, the first one `edge`."""
        lanes = self.fmt.lanes
        return [
            self._shuffle(low, high, range(lanes - 1, 2 * lanes - 1))
            for low, high in zip([edge, *vectors[:-1]], vectors, strict=True)
        ]

    def shifted_down(self, vectors: list[Lanes], edge: Lanes) -> list[Lanes]:
        """Every lane takes its upper neighbour's number, the last one `edge`."""
        return [
            self._shuffle(low, high, range(1, self.fmt.lanes + 1))
            for low, high in zip(vectors, [*vectors[1:], edge], strict=True)
        ]

    def increment_lane(self, vectors: list[Lanes], lane) -> list[Lanes]:
        """Integers `vectors`, the one in `lane` (an int64 value) larger by 1."""
        integer, lanes = self.fmt.integer, self.fmt.lanes
        wanted = self.broadcast(self.build.trunc(lane, integer) if integer.width < 64 else lane)
        result = []
        for v, numbers in enumerate(vectors):
            position = ir.Constant(ir.VectorType(integer, lanes), [v * lanes + i for i in range(lanes)])
            here = self.build.icmp_signed("==", wanted.value, position)
            one = self.build.zext(here, ir.VectorType(integer, lanes))
            result.append(numbers + Lanes(self.build, one, self.fmt))
        return result

    def choose(self, vectors: list[Lanes], index) -> Lanes:
        """The vector number `index` (an int64 value)."""
        value = vectors[0].value
        for v, lanes in enumerate(vectors[1:], 1):
            here = self.build.icmp_signed("==", index, ir.Constant(INT64, v))
            value = self.build.select(here, lanes.value, value)
        return Lanes(self.build, value, self.fmt)

    def transposed(self, rows: list[Lanes]) -> list[Lanes]:
        """A square tile transposed: log2(lanes) rounds that swap off-diagonal blocks of size 1, 2, 4, ..."""
        lanes, size = self.fmt.lanes, 1
        values = [row.value for row in rows]
        while size < lanes:
            low = [k if not k & size else lanes + k - size for k in range(lanes)]
            high = [k + size if not k & size else lanes + k for k in range(lanes)]
            masks = [ir.Constant(ir.VectorType(INT32, lanes), mask) for mask in (low, high)]
            for i in range(lanes):
                if not i & size:
                    pair = values[i], values[i + size]
                    values[i] = self.build.shuffle_vector(*pair, masks[0])
                    values[i + size] = self.build.shuffle_vector(*pair, masks[1])
            size *= 2
        return [Lanes(self.build, value, self.fmt) for value in values]


def _tile(build, address, stride, count):
    """Addresses of `count` rows that lie `stride` bytes apart."""
    return [build.add(address, build.mul(stride, ir.Constant(INT64, i))) for i in range(count)]


def _whole_or_part(emit, window, step, copy) -> None:
    """Emit copy(masks) for a whole tile (window = 0, no masks), and for one of which only a part is cells.

    Element t of row i is one if window[i, 0] <= step + t < window[i, 1] (integers of the format's width).
    """
    build, fmt = emit.build, emit.fmt
    with build.if_else(build.icmp_signed("==", window, ir.Constant(INT64, 0))) as (whole, part):
        with whole:
            copy([None] * fmt.lanes)
        with part:
            steps = ir.Constant(ir.VectorType(fmt.integer, fmt.lanes), list(range(fmt.lanes)))
            first = emit.broadcast(build.trunc(step, fmt.integer) if fmt.size < 8 else step)
            steps = (Lanes(build, steps, fmt) + first).value
            masks = []
            for i in range(fmt.lanes):
                places = (ir.Constant(INT64, 2 * i + k) for k in range(2))
                begin, end = (emit.broadcast(emit.load_scalar(window, k, integer=True)).value for k in places)
                after = build.icmp_signed(">=", steps, begin)
                masks.append(build.and_(after, build.icmp_signed("<", steps, end)))
            copy(masks)


@intrinsic
def read_tile(typing, source, source_stride, target, target_stride, window, step, seen, like):
    """Transpose a square tile; +inf where it has no cell (`window`, see `_whole_or_part`).

    Addresses and strides are in bytes, `like` is a number of the tile's type.  Two integer vectors at `seen`
    keep the largest |bits| and the union of all bits.
    """
    fmt = FORMATS[like]

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, fmt)
        source, source_stride, target, target_stride, window, step, seen, _ = arguments

        def copy(masks):
            largest, union = emit.load(seen, integer=True), emit.load(seen, integer=True, offset=fmt.lanes)
            rows = []
            for address, mask in zip(_tile(build, source, source_stride, fmt.lanes), masks, strict=True):
                row = emit.load(address) if mask is None else emit.load_where(mask, address)
                bits = row.as_integer()
                largest = largest.maximum(bits & (2 ** (fmt.integer.width - 1) - 1))
                union = union | bits
                rows.append(row if mask is None else row.where(mask, float("inf")))
            emit.store(largest, seen)
            emit.store(union, seen, offset=fmt.lanes)
            addresses = _tile(build, target, target_stride, fmt.lanes)
            for row, address in zip(emit.transposed(rows), addresses, strict=True):
                emit.store(row, address)

        _whole_or_part(emit, window, step, copy)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7, like), generate


@intrinsic
def write_tile(typing, source, source_stride, target, target_stride, window, step, like):
    """Transpose a square tile; only its cells are written (`window`, see `_whole_or_part`)."""
    fmt = FORMATS[like]

    def generate(context, build, signature, arguments):
        emit = Emitter(context, build, fmt)
        source, source_stride, target, target_stride, window, step, _ = arguments

        def copy(masks):
            rows = emit.transposed([emit.load(a) for a in _tile(build, source, source_stride, fmt.lanes)])
            addresses = _tile(build, target, target_stride, fmt.lanes)
            for row, address, mask in zip(rows, addresses, masks, strict=True):
                if mask is None:
                    emit.store(row, address)
                else:
                    emit.store_where(mask, row, address)

        _whole_or_part(emit, window, step, copy)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6, like), generate


@intrinsic
def fetch_add(typing, address):
    """Atomically take the next number of the int64 counter at `address`."""

    def generate(context, build, signature, arguments):
        pointer = build.inttoptr(arguments[0], INT64.as_pointer())
        return build.atomic_rmw("add", pointer, ir.Constant(INT64, 1), "monotonic")

    return types.int64(types.int64), generate


@intrinsic
def publish(typing, address, value):
    """Store an int64 so that whoever reads it sees everything stored before (release)."""

    def generate(context, build, signature, arguments):
        pointer = build.inttoptr(arguments[0], INT64.as_pointer())
        build.store_atomic(arguments[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def read_published(typing, address):
    """Load an int64 that another thread published (acquire)."""

    def generate(context, build, signature, arguments):
        pointer = build.inttoptr(arguments[0], INT64.as_pointer())
        return build.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def yield_processor(typing):
    """POSIX sched_yield: let another thread run while this one waits."""

    def generate(context, build, signature, arguments):
        function = cgutils.get_or_insert_function(build.module, ir.FunctionType(INT32, []), "sched_yield")
        build.call(function, [])
        return context.get_dummy_value()

    return types.void(), generate


def _control_word(context, build, name, pointer):
    """Store ("st") or load ("ld") the x86 control word of vector arithmetic, on x86."""
    if "x86" in context.codegen().magic_tuple()[0]:
        byte_pointer = ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer])
        function = cgutils.get_or_insert_function(build.module, function_type, f"llvm.x86.sse.{name}mxcsr")
        build.call(function, [build.bitcast(pointer, byte_pointer)])


@intrinsic
def flush_denormals(typing):
    """Let numbers below the smallest normal one be 0 on this thread; returns what `restore_denormals` takes.

    Gradients fade out over many cells; on x86 each operation on a denormal number costs 100 cycles and more.
    """

    def generate(context, build, signature, arguments):
        old = cgutils.alloca_once_value(build, ir.Constant(INT32, 0))
        _control_word(context, build, "st", old)
        word = build.load(old)
        flush_to_zero, denormals_are_zero = 1 << 15, 1 << 6
        new = cgutils.alloca_once_value(
            build, build.or_(word, ir.Constant(INT32, flush_to_zero | denormals_are_zero))
        )
        _control_word(context, build, "ld", new)
        return word

    return types.int32(), generate


@intrinsic
def restore_denormals(typing, word):
    """Undo `flush_denormals`."""

    def generate(context, build, signature, arguments):
        _control_word(context, build, "ld", cgutils.alloca_once_value(build, arguments[0]))
        return context.get_dummy_value()

    return types.void(types.int32), generate
