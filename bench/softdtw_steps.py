"""Where the time of a soft-DTW on the CPU goes: the pieces of one step of 64 cells, and what they add up to.

    python bench/softdtw_steps.py

The pieces run alone, on data in the caches; the sum of those of tiles in doubles (`scaled.py`), over the
steps of (8, 500, 450), stands beside the time of the kernels in a call, and of the call.  Steps in which not
all rows have cells cost less, and caches more.  "Plain numba" is "forwards" without the intrinsics of
`cell_sweeps.py`, as LLVM vectorises it.  Numba has no bit casts: plain code writes numbers into an array and
reads them through a view of the other type, in a loop each.  It has an easier task: c in one part only, and
no forbidden cells.
"""

import time

import numpy as np
import torch
from numba import njit
from softdtw_common import costs, environment, frames

from espnet_posinv.softdtw import cpu, soft_dtw
from espnet_posinv.softdtw.cell_sweeps import sweep_tile, sweep_tile_back, sweep_tile_with_weights
from espnet_posinv.softdtw.cells import exponent_floor
from espnet_posinv.softdtw.emitter import BELOW, ROWS, place
from espnet_posinv.softdtw.scaled import read_powers
from espnet_posinv.softdtw.scaled_back import sweep_scaled_back
from espnet_posinv.softdtw.scaled_forward import begin_scaled, sweep_scaled
from espnet_posinv.softdtw.simd import FLOAT32
from espnet_posinv.softdtw.tiles import read_tile, write_tile

SHAPE = (8, 500, 450)
STEPS, REPEATS, ROUNDS = 16, 500, 50
MAGIC = np.float32(1.5 * 2.0**23)
MAGIC_BITS = np.float32(MAGIC).view(np.int32)
C = np.float32(-1.4426950408889634 / 0.1)
P0, P1, P2, P3, P4, P5, P6 = (np.float32(c) for c in FLOAT32.exp2_coefficients())
FLOOR = np.int32(exponent_floor(32))
ONE = np.int32(127 << 23)
BEFORE = 16  # places before lane 0, of which "plain numba" uses the last
STRIDE = 4 * SHAPE[2]  # bytes of a row of the matrix from which tiles are read


@njit(fastmath={"contract"})
def plain(repeats, costs, Z_m, Z_e, power, whole, scales, base, total):
    power_bits, scale, total_bits = whole.view(np.int32), scales.view(np.float32), total.view(np.int32)
    mantissa_bits = Z_m.view(np.int32)
    for _ in range(repeats):
        for t in range(STEPS):
            d, e = costs[t], Z_e[t + 2, BEFORE:]
            up_m, up_e = Z_m[t + 1, BEFORE - 1 : -1], Z_e[t + 1, BEFORE - 1 : -1]
            left_m, left_e = Z_m[t + 1, BEFORE:], Z_e[t + 1, BEFORE:]
            diag_m, diag_e = Z_m[t, BEFORE - 1 : -1], Z_e[t, BEFORE - 1 : -1]
            bits = mantissa_bits[t + 2, BEFORE:]
            for r in range(ROWS):
                shifted = d[r] * C + MAGIC
                f = d[r] * C - (shifted - MAGIC)
                whole[r] = shifted
                power[r] = P0 + f * (P1 + f * (P2 + f * (P3 + f * (P4 + f * (P5 + f * P6)))))
            for r in range(ROWS):
                base[r] = max(max(up_e[r], left_e[r]), diag_e[r]) - np.int32(127)
            for r in range(ROWS):
                scales[0, r] = max(up_e[r] - base[r], np.int32(0)) << 23
                scales[1, r] = max(left_e[r] - base[r], np.int32(0)) << 23
                scales[2, r] = max(diag_e[r] - base[r], np.int32(0)) << 23
            for r in range(ROWS):
                sum_of_three = up_m[r] * scale[0, r] + diag_m[r] * scale[2, r] + left_m[r] * scale[1, r]
                total[r] = sum_of_three * power[r]
            for r in range(ROWS):
                bits[r] = (total_bits[r] & np.int32(0x7FFFFF)) | ONE
                e[r] = max(base[r] + (power_bits[r] - MAGIC_BITS) + (total_bits[r] >> 23), FLOOR)


@njit
def forwards(repeats, S, Z_m, Z_e, W, top, limit):
    for _ in range(repeats):
        Z, tops, at = (
            (Z_m.ctypes.data, Z_e.ctypes.data),
            (top[0].ctypes.data, top[1].ctypes.data),
            S.ctypes.data,
        )
        sweep_tile(at, Z[0], Z[1], 0, tops[0], tops[1], STEPS, -(2**32), at, 64, C, np.float32(0), limit)


@njit
def with_weights(repeats, S, Z_m, Z_e, W, top, limit):
    for _ in range(repeats):
        Z, tops, at = (
            (Z_m.ctypes.data, Z_e.ctypes.data),
            (top[0].ctypes.data, top[1].ctypes.data),
            S.ctypes.data,
        )
        sweep_tile_with_weights(
            at, Z[0], Z[1], W.ctypes.data, tops[0], tops[1], STEPS, -(2**32), at, 64, C, np.float32(0), limit
        )


@njit
def powers(repeats, P, matrix, seen):
    for _ in range(repeats):
        for r in range(0, ROWS, STEPS):
            source, target = matrix.ctypes.data + STRIDE * r, P.ctypes.data + 4 * r
            read_powers(source, STRIDE - 4, target, 0, 0, seen.ctypes.data, C, np.float32(0))


@njit
def in_doubles(repeats, P, Z_m, Z_e, Z, scratch, top):
    tops, at = (top[0].ctypes.data, top[1].ctypes.data), P.ctypes.data
    for _ in range(repeats):
        Z_at, work = (Z_m.ctypes.data, Z_e.ctypes.data), (Z.ctypes.data, scratch.ctypes.data)
        ready = begin_scaled(*Z_at, *work, *tops, 0, 4, 0, ROWS, 2 * STEPS, P[0, 0])
        done = sweep_scaled(at, *Z_at, *work, *tops, ROWS - 1, STEPS, 0, 4, STEPS, at, 64, P[0, 0])
        assert ready and done
        Z_m[:2], Z_e[:2] = 1, 0


@njit
def doubles_backwards(repeats, Z, P, scratch, state, edge, E):
    for _ in range(repeats):
        Z[:], state[:] = 1, 1
        sweep_scaled_back(
            Z.ctypes.data, P.ctypes.data, scratch.ctypes.data, state.ctypes.data, edge.ctypes.data,
            edge.ctypes.data, E.ctypes.data, 0, 4, STEPS, E.ctypes.data, 64, E[0, 0],
        )  # fmt: skip


@njit
def backwards(repeats, E, state, W, edge):
    for _ in range(repeats):
        at = edge.ctypes.data
        sweep_tile_back(state.ctypes.data, W.ctypes.data, at, at, E.ctypes.data, STEPS, at, 64, E[0, 0])


@njit
def read(repeats, S, matrix, seen):
    for _ in range(repeats):
        for r in range(0, ROWS, STEPS):
            source, target = matrix.ctypes.data + STRIDE * r, S.ctypes.data + 4 * r
            read_tile(source, STRIDE - 4, target, 0, 0, seen.ctypes.data, S[0, 0])


@njit
def write(repeats, E, matrix):
    for _ in range(repeats):
        for r in range(0, ROWS, STEPS):
            source, target = E.ctypes.data + 4 * r, matrix.ctypes.data + STRIDE * r
            write_tile(source, target, STRIDE - 4, 0, 0, np.float32(1))


@njit
def place_of(row):
    return place(row, np.float32(0))


def pieces() -> dict[str, float]:
    """Seconds a step of each."""
    random = np.random.default_rng(0)
    S = random.random((STEPS, ROWS), np.float32)
    by_row = [place_of(row) for row in range(ROWS)]
    W = random.random((STEPS, 2, ROWS), np.float32) / 3
    matrix = np.zeros((ROWS + STEPS, STRIDE // 4), np.float32)
    limit = np.float32(1e6)

    def diagonals():
        return np.ones((STEPS + 2, ROWS), np.float32), np.zeros((STEPS + 2, ROWS), np.int32)

    def plain_diagonals():
        shape = STEPS + 2, BEFORE + ROWS
        return np.ones(shape, np.float32), np.zeros(shape, np.int32)

    top, edge = (np.ones(ROWS, np.float32), np.zeros(ROWS, np.int32)), np.zeros(STEPS, np.float32)
    state, P = np.ones(3 * (ROWS + BELOW), np.float32), np.ones_like(S)
    work = np.ones((STEPS + 2, ROWS)), np.ones((3, ROWS))
    scratch = [np.empty(ROWS, np.float32), np.empty(ROWS, np.float32), np.empty((3, ROWS), np.int32)]
    scratch += [np.empty(ROWS, np.int32), np.empty(ROWS, np.float32)]
    calls = {
        "plain numba": (plain, np.ascontiguousarray(S[:, by_row]), *plain_diagonals(), *scratch),
        "forwards": (forwards, S, *diagonals(), W, top, limit),
        "with weights": (with_weights, S, *diagonals(), W.copy(), top, limit),
        "backwards": (backwards, S.copy(), state, W, np.ones(STEPS, np.float32)),
        "read powers": (powers, P, matrix, np.zeros(2 * STEPS, np.int32)),
        "in doubles": (in_doubles, P, *diagonals(), *work, top),
        "doubles backwards": (doubles_backwards, work[0], P, work[1], state.copy(), edge, S.copy()),
        "read a tile": (read, S.copy(), matrix, np.zeros(2 * STEPS, np.int32)),
        "write a tile": (write, S.copy(), matrix),
    }
    best = dict.fromkeys(calls, float("inf"))
    for function, *arguments in calls.values():
        function(1, *arguments)
    rows = calls["plain numba"][2][2:, BEFORE:], calls["forwards"][2][2:, by_row]
    difference = np.abs(rows[0] - rows[1]).max()
    assert difference < 1e-5, difference
    for _ in range(ROUNDS):
        for name, (function, *arguments) in calls.items():
            start = time.process_time()
            function(REPEATS, *arguments)
            best[name] = min(best[name], (time.process_time() - start) / REPEATS / STEPS)
    return best


def call_and_kernels(shape) -> tuple[float, float]:
    """Seconds of forward and backward pass, and of the kernels in it."""
    cost = costs(*frames(*shape, 64))
    run, spent, best = cpu._run, [], [float("inf")] * 2

    def timed(*arguments):
        start = time.process_time()
        run(*arguments)
        spent.append(time.process_time() - start)

    cpu._run = timed
    for _ in range(ROUNDS):
        spent.clear()
        start = time.process_time()
        soft_dtw(cost=cost.detach().requires_grad_(), gamma=0.1).sum().backward()
        best = [min(best[0], time.process_time() - start), min(best[1], sum(spent))]
    cpu._run = run
    return best


def main():
    torch.set_num_threads(1)
    print(environment())
    best = pieces()
    for name, seconds in best.items():
        print(f"{name}: {1e9 * seconds:.1f} ns a step")
    print(f"plain numba / intrinsics: {best['plain numba'] / best['forwards']:.2f}")
    batch, n, m = SHAPE
    strips = batch * -(-n // ROWS)
    steps, cells = strips * (m + ROWS - 1), batch * n * m
    print(f"{SHAPE}: {cells} cells, {steps} steps, {100 * (1 - cells / steps / ROWS):.1f}% of the lanes idle")
    both_ways = ("read powers", "in doubles")
    total = 2 * sum(best[name] for name in both_ways) + best["doubles backwards"] + best["write a tile"]
    total *= steps
    call, kernels = call_and_kernels(SHAPE)
    nothing, _ = call_and_kernels((batch, 1, 1))
    print(f"all pieces: {1e3 * total:.2f} ms; kernels {1e3 * kernels:.2f} ms; call {1e3 * call:.2f} ms")
    print(f"a call for {(batch, 1, 1)}: {1e3 * nothing:.2f} ms")


if __name__ == "__main__":
    main()
