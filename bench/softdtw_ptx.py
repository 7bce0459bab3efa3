"""The CUDA kernels compiled for several cards, no card needed: registers, spills, shared memory of each.

    python bench/softdtw_ptx.py [--cc 75 80 90] [--out FOLDER]

Needs NVVM and ptxas: pip install nvidia-nvvm nvidia-cuda-nvcc, or a CUDA toolkit.  (On a machine with a card,
softdtw_gpu.py asks the driver.)
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from numba import cuda


def compile_to_ptx(cc: int) -> dict[str, str]:
    """PTX of both kernels for a card of compute capability `cc`, for instance 90."""
    from numba.cuda import dispatcher

    from espnet_posinv.softdtw import cuda_backward, cuda_forward

    capability = divmod(cc, 10)
    # numba types a kernel's device functions for the card at hand; here none is.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    modules = {"forward": cuda_forward, "backward": cuda_backward}
    return {name: cuda.compile_ptx(m.kernel, m.SIGNATURE, cc=capability)[0] for name, m in modules.items()}


def find_ptxas() -> str | None:
    """ptxas of the toolkit, or the one that comes with torch's CUDA wheels."""
    bundled = Path(torch.__file__).parent / "bin" / "ptxas"
    return shutil.which("ptxas") or (str(bundled) if bundled.exists() else None)


def resources(ptx: str, cc: int, ptxas: str) -> dict[str, int]:
    """What ptxas -v says of one kernel."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="ascii")
        command = [ptxas, "-v", f"-arch=sm_{cc}", "-o", str(source.with_suffix(".cubin")), str(source)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    patterns = {
        "registers": r"Used (\d+) registers",
        "spill stores": r"(\d+) bytes spill stores",
        "spill loads": r"(\d+) bytes spill loads",
        "stack": r"(\d+) bytes stack frame",
        "shared": r"(\d+) bytes smem",
    }
    return {name: int(re.search(pattern, said).group(1)) for name, pattern in patterns.items()}


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cc", type=int, nargs="+", default=[75, 80, 90], help="compute capabilities")
    parser.add_argument("--out", type=Path, help="keep the PTX in this folder")
    options = parser.parse_args(argv)
    ptxas = find_ptxas()
    print(
        "| card | kernel | registers | spill stores | spill loads | stack | shared | float64 instructions |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for cc in options.cc:
        for name, ptx in compile_to_ptx(cc).items():
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / f"{name}_sm{cc}.ptx").write_text(ptx, encoding="ascii")
            numbers = resources(ptx, cc, ptxas).values() if ptxas else ["no ptxas"] + [""] * 4
            doubles = len(re.findall(r"^\s*\w+[\w.]*\.f64", ptx, re.MULTILINE))
            print(f"| sm_{cc} | {name} | {' | '.join(map(str, numbers))} | {doubles} |")


if __name__ == "__main__":
    main()
