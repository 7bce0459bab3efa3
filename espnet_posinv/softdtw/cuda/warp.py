"""Operations on numbers and within a warp, for a GPU and for numba's CUDA simulator.

The simulator (NUMBA_ENABLE_CUDASIM=1) runs kernels as Python functions, one thread for each lane.  It has
neither bit casts nor shuffles; numpy and shared memory replace them, and all other code is the same.  Numba
widens integer sums to int64, hence the np.int32 around them; Python's floats are float64 and are not used.
"""

import numpy as np
from numba import config, cuda, float64, types

if not hasattr(np, "row_stack"):
    np.row_stack = np.vstack  # removed in NumPy 2.5, but numba-cuda 0.30 uses it

SIMULATED = bool(config.ENABLE_CUDASIM)
WARP = 32
ALL = 0xFFFFFFFF


def device(function):
    return cuda.jit(device=True)(function) if SIMULATED else cuda.jit(device=True, forceinline=True)(function)


if SIMULATED:

    @device
    def bits(x):
        return np.float32(x).view(np.int32)

    @device
    def from_bits(n):
        return np.int32(n).view(np.float32)

    @device
    def maximum(a, b):
        return np.int32(max(a, b))

    @device
    def minimum(a, b):
        return np.int32(min(a, b))

    @device
    def largest_unsigned(a, b):
        return max(a, b, key=lambda x: int(x) & 0xFFFFFFFF)

    @device
    def multiply_add(a, b, c):
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))

    @device
    def reciprocal(x):
        return np.float32(1) / x

    @device
    def behind(array, i):
        return array[i:]

    @device
    def peek(words, i):
        return words[i]

    @device
    def prefetch(words, i):
        pass

    @device
    def of_lane(x, lane):
        slots = cuda.shared.array(WARP, float64)
        slots[cuda.threadIdx.x] = x
        cuda.syncthreads()
        got = type(x)(slots[lane])
        cuda.syncthreads()
        return got

    @device
    def lane_below(x):
        return of_lane(x, max(cuda.threadIdx.x - 1, 0))

    @device
    def lane_above(x):
        return of_lane(x, min(cuda.threadIdx.x + 1, WARP - 1))

    @device
    def together():
        cuda.syncthreads()

    @device
    def anywhere(condition):  # each lane is a thread and can wait by itself
        return condition

else:
    from llvmlite import ir
    from numba.cuda import libdevice
    from numba.cuda.extending import intrinsic

    @device
    def bits(x):
        return libdevice.float_as_int(x)

    @device
    def from_bits(n):
        return libdevice.int_as_float(n)

    @device
    def maximum(a, b):
        return libdevice.max(np.int32(a), np.int32(b))

    @device
    def minimum(a, b):
        return libdevice.min(np.int32(a), np.int32(b))

    @device
    def largest_unsigned(a, b):
        return libdevice.umax(a, b)

    @device
    def multiply_add(a, b, c):
        return libdevice.fmaf(a, b, c)

    @intrinsic
    def reciprocal(typing, x):
        """1 / x to an ulp or two, for numbers in the middle of the range: one instruction."""

        def emit(context, builder, signature, args):
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()])
            return builder.call(ir.InlineAsm(kind, "rcp.approx.ftz.f32 $0, $1;", "=f,f"), args)

        return types.float32(types.float32), emit

    @intrinsic
    def behind(typing, pointer, i):
        """The address of element i, in global memory.

        An access relative to it, with a 32-bit index, needs one instruction for its address, not four.  The
        assembler code hides the sum from the compiler, which would add i to the index again.
        """

        def emit(context, builder, signature, args):
            generic = builder.gep(args[0], [args[1]])
            kind = ir.FunctionType(ir.IntType(64), [generic.type])
            code = ir.InlineAsm(kind, "cvta.to.global.u64 $0, $1;", "=l,l")
            own = ir.PointerType(generic.type.pointee, addrspace=1)
            return builder.addrspacecast(builder.inttoptr(builder.call(code, [generic]), own), generic.type)

        return pointer(pointer, i), emit

    @intrinsic
    def peek(typing, words, i):
        """Read a word of global memory that another warp may be writing, never from a register."""
        bits = words.dtype.bitwidth

        def emit(context, builder, signature, args):
            address = builder.gep(args[0], [args[1]])
            kind = ir.FunctionType(ir.IntType(bits), [address.type])
            code = f"ld.relaxed.gpu.global.b{bits} $0, [$1];"
            constraint = "=l,l" if bits == 64 else "=r,l"
            return builder.call(ir.InlineAsm(kind, code, constraint, side_effect=True), [address])

        return words.dtype(words, i), emit

    @intrinsic
    def prefetch(typing, words, i):
        """Prefetch a cache line into the second-level cache, without waiting."""

        def emit(context, builder, signature, args):
            address = builder.gep(args[0], [args[1]])
            kind = ir.FunctionType(ir.VoidType(), [address.type])
            builder.call(ir.InlineAsm(kind, "prefetch.global.L2 [$0];", "l", side_effect=True), [address])
            return context.get_dummy_value()

        return types.void(words, i), emit

    @device
    def of_lane(x, lane):
        return cuda.shfl_sync(ALL, x, lane)

    @device
    def lane_below(x):
        return cuda.shfl_up_sync(ALL, x, 1)

    @device
    def lane_above(x):
        return cuda.shfl_down_sync(ALL, x, 1)

    @device
    def together():
        cuda.syncwarp()

    @device
    def anywhere(condition):
        return cuda.any_sync(ALL, condition)
