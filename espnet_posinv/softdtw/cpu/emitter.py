"""Emits LLVM code for vectors in memory: loads, stores, broadcasts, and the order of a strip's rows.

A vector has the width of the processor's registers: LLVM would split wider ones, and 16 registers would not
suffice for their parts.
"""

from dataclasses import replace

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cpu.vectors import FORMATS, INT32, INT64, Format, Lanes

ROWS = 64  # rows of a strip, lanes of a step: enough to hide a step's latency
SIDE_BYTES = 64  # length of a square's rows (`tiles.py`): a cache line


class Emitter:
    """Loads, stores and broadcasts at raw addresses for one format, in vectors of a register."""

    def __init__(self, context, build, fmt: Format):
        """`fmt`: with any number of lanes; `self.fmt` has the lanes of a register."""
        self.build = build
        triple, _, features = context.codegen().magic_tuple()
        features = features.split(",")
        self.has_fma = "+fma" in features or "x86" not in triple
        register = 64 if "+avx512f" in features else 32 if "+avx2" in features else 16  # bytes
        self.fmt = replace(fmt, lanes=register // fmt.size)
        self.side = SIDE_BYTES // fmt.size  # rows and steps of a square

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
        """Prefetch the cache line at `address`; harmless for an invalid address."""
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

    def place(self, row):
        """Position of row `row` (an int64 value) of a strip among the ROWS numbers of a step.

        In each square, lane k of vector v holds row v + k (number of vectors): the row above is in the same
        lane of the previous vector, and only vector 0 needs a shuffle.
        """
        build, vectors = self.build, self.side // self.fmt.lanes
        within = build.and_(row, ir.Constant(INT64, self.side - 1))
        v = build.and_(row, ir.Constant(INT64, vectors - 1))
        lane = build.lshr(within, ir.Constant(INT64, vectors.bit_length() - 1))
        place = build.add(build.mul(v, ir.Constant(INT64, self.fmt.lanes)), lane)
        return build.add(build.sub(row, within), place)

    def rows_above(self, last: Lanes, before: Lanes) -> Lanes:
        """The rows above those of a square's vector 0: last vectors of this square and of the one above."""
        lanes = self.fmt.lanes
        return self._shuffled(last, before, [2 * lanes - 1, *range(lanes - 1)])

    def rows_below(self, first: Lanes, after: Lanes) -> Lanes:
        """The rows below those of a square's last vector: vectors 0 of this square and of the one below."""
        return self._shuffled(first, after, list(range(1, self.fmt.lanes + 1)))

    def _shuffled(self, low: Lanes, high: Lanes, mask: list[int]) -> Lanes:
        mask = ir.Constant(ir.VectorType(INT32, self.fmt.lanes), mask)
        return Lanes(self.build, self.build.shuffle_vector(low.value, high.value, mask), self.fmt)


@intrinsic
def place(typing, row, like):
    """`Emitter.place` for the format of `like`, any number of it."""

    def generate(context, build, signature, arguments):
        return Emitter(context, build, FORMATS[like]).place(arguments[0])

    return types.int64(types.int64, like), generate


@intrinsic
def address(typing, array):
    """Address of an array.  `array.ctypes.data` gives the same, but counts references at each use."""

    def generate(context, build, signature, arguments):
        data = context.make_array(array)(context, build, arguments[0]).data
        return build.ptrtoint(data, INT64)

    return types.int64(array), generate
