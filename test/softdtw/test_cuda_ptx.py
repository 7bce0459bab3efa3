"""The CUDA kernels compile for several generations of cards, without a card (bench/softdtw_ptx.py)."""

import pytest

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


def test_both_kernels_for_three_generations(run_python, tmp_path):
    reason = missing()
    if reason:
        pytest.skip(reason)
    table = run_python(COMPILE.format(folder=str(tmp_path)))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[:2] for row in rows] == [
        [f"sm_{cc}", kernel] for cc in (75, 80, 90) for kernel in ("forward", "backward")
    ]
    for row in rows:
        ptx = (tmp_path / f"{row[1]}_{row[0].replace('_', '')}.ptx").read_text()
        assert f".target {row[0]}" in ptx and ".visible .entry" in ptx
        assert "shfl.sync" in ptx
        assert row[1] == "forward" or ".f64" not in ptx  # forward: the loss, once for each pair
        if row[2] != "no ptxas":
            registers, *spills, stack, _shared = map(int, row[2:7])
            assert registers <= 255 and spills == [0, 0] and stack == 0
