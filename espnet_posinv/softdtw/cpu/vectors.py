"""Vector arithmetic for numba: operations on vectors that its own loops cannot express.

Numba widens int32 to int64 and has no bit casts, so the arithmetic of `cells.py` is emitted as LLVM vector
instructions.  With `Lanes` it is written as formulas: each operator appends one instruction.  `emitter.py`
loads and stores vectors.
"""

from dataclasses import dataclass

from llvmlite import ir
from numba import types
from numba.core import cgutils

INT32, INT64 = ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Format:
    """A floating-point format: LLVM types, stored mantissa bits, exponent bias, numbers in a vector."""

    real: ir.Type
    integer: ir.IntType
    mantissa_bits: int
    bias: int
    lanes: int

    @property
    def size(self) -> int:
        return self.integer.width // 8


FLOAT32 = Format(ir.FloatType(), INT32, 23, 127, 16)
FLOAT64 = Format(ir.DoubleType(), INT64, 52, 1023, 8)
FORMATS = {types.float32: FLOAT32, types.float64: FLOAT64}


class Lanes:
    """A vector in emitted LLVM code; Python numbers on the right of an operator are broadcast."""

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

    def maximum_unsigned(self, other) -> "Lanes":
        return self._call("umax", other)

    def fma(self, factor, term) -> "Lanes":
        """self * factor + term with one rounding, even without FMA in the processor (slow)."""
        return self._call("fma", factor, term)

    def multiply_add(self, factor, term) -> "Lanes":
        """self * factor + term, with one rounding if the processor has FMA, else two."""
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
