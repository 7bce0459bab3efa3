"""The CUDA kernels compile for several generations of cards, without a card (bench/softdtw_ptx.py)."""

import pytest

CELLS = ["forward", "backward"]
PRODUCTS = ["norms", "split frames", "split E", "costs", "gradient x", "gradient y"]
COMPILE = """
import sys
sys.path.insert(0, "bench")
from softdtw_ptx import main
main(["--out", {folder!r}])
"""


def missing() -> str:
    """Why nothing can be compiled here, or nothing."""
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:
        return f"no NVVM (pip install 'numba-cuda[cu13]', or a CUDA toolkit): {type(error).__name__}: {error}"
    return ""


def test_all_kernels_for_three_generations(run_python, tmp_path):
    reason = missing()
    if reason:
        pytest.skip(reason)
    table = run_python(COMPILE.format(folder=str(tmp_path)))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        [f"sm_{cc}", kernel] for cc in (75, 80, 90) for kernel in (CELLS if cc < 80 else CELLS + PRODUCTS)
    ]
    for row in rows:
        ptx = (tmp_path / f"{row[1].replace(' ', '_')}_{row[0].replace('_', '')}.ptx").read_text()
        assert f".target {row[0]}" in ptx and ".visible .entry" in ptx
        assert row[1] == "forward" or ".f64" not in ptx  # forward: the loss, once for each pair
        if row[1] in CELLS:
            assert "shfl.sync" in ptx
        if row[1] in PRODUCTS[-3:]:
            assert ("wgmma.mma_async" if row[0] == "sm_90" else "mma.sync") in ptx
        if row[2] != "no ptxas":
            registers, *spills, stack, shared = map(int, row[2:7])
            assert registers <= 255 and shared <= (227 if row[0] == "sm_90" else 99) << 10
            if "gradient" not in row[1]:  # theirs spill, at their ends
                assert spills == [0, 0] and stack == 0
