"""Processor operations that numba lacks: atomic counters, and flushing of denormal numbers to 0."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from espnet_posinv.softdtw.cpu.vectors import INT32, INT64


@intrinsic
def fetch_add(typing, address):
    """Atomically take the next number of the int64 counter at `address`."""

    def generate(context, build, signature, arguments):
        pointer = build.inttoptr(arguments[0], INT64.as_pointer())
        return build.atomic_rmw("add", pointer, ir.Constant(INT64, 1), "monotonic")

    return types.int64(types.int64), generate


@intrinsic
def publish(typing, address, value):
    """Store an int64 with release order: readers of it see everything stored before."""

    def generate(context, build, signature, arguments):
        pointer = build.inttoptr(arguments[0], INT64.as_pointer())
        build.store_atomic(arguments[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def read_published(typing, address):
    """Load an int64 that another thread published, with acquire order."""

    def generate(context, build, signature, arguments):
        pointer = build.inttoptr(arguments[0], INT64.as_pointer())
        return build.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64), generate


@intrinsic
def yield_processor(typing):
    """POSIX sched_yield: let another thread run."""

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
    """Treat denormal numbers as 0 on this thread; returns the argument of `restore_denormals`.

    Gradients become tiny over many cells, and on x86 an operation on a denormal number takes 100 cycles or
    more.
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
