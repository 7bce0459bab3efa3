"""The CUDA kernels compiled for several cards, no card needed: registers, spills, shared memory of each.

    python bench/softdtw_ptx.py [--cc 75 80 90] [--out FOLDER]

numba's forward and backward, and from 80 on Triton's matrix products.  Needs NVVM and ptxas: pip install
nvidia-nvvm nvidia-cuda-nvcc, or a CUDA toolkit.  (On a machine with a card, softdtw_gpu.py asks the driver.)
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from bench_common import make_parser
from numba import cuda

COLUMNS = ("registers", "spill stores", "spill loads", "stack", "shared")


def compile_to_ptx(cc: int) -> dict[str, str]:
    """PTX of both kernels for a card of compute capability `cc`, for instance 90."""
    from numba.cuda import dispatcher

    from espnet_posinv.softdtw.cuda import backward, forward

    capability = divmod(cc, 10)
    # numba types a kernel's device functions for the present card; here there is none.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    modules = {"forward": forward, "backward": backward}
    return {name: cuda.compile_ptx(m.kernel, m.SIGNATURE, cc=capability)[0] for name, m in modules.items()}


def triton_to_ptx(cc: int) -> dict[str, tuple[str, int]]:
    """PTX of the matrix products' kernels and the bytes of shared memory that each is launched with."""
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from espnet_posinv.softdtw.cuda import products as module

    schedule = module.schedule(cc // 10)
    constants = {"ROWS": module.ROWS, "COLUMNS": module.TILE, "TILE": module.TILE}
    constants["STEP"] = schedule.pop("STEP")
    kernels = {  # pieces among the pointers, constants, launch options
        "norms": (module._norms, (), {}, {}),
        "split frames": (module._split, ("parts",), {"SUMS": False}, {}),
        "split E": (module._split, ("parts",), {"SUMS": True}, {}),
        "costs": (module._costs, ("x", "y"), {}, schedule),
        "gradient x": (module._gradient, ("E", "y"), {"TRANSPOSED": False, "other": None}, schedule),
        "gradient y": (module._gradient, ("E", "y"), {"TRANSPOSED": True, "other": None}, schedule),
    }
    result = {}
    for name, (kernel, pieces, special, options) in kernels.items():
        fixed = {key: value for key, value in {**constants, **special}.items() if key in kernel.arg_names}
        types = dict.fromkeys(kernel.arg_names, "*fp32")
        types |= dict.fromkeys(pieces, "*fp16") | dict.fromkeys({"alpha", "own"} & types.keys(), "fp32")
        padded = [key for key in types if key.startswith("padded")]
        types |= dict.fromkeys([*padded, *({"rows", "n", "m", "width"} & types.keys())], "i32")
        types |= dict.fromkeys(fixed, "constexpr")
        # As at a launch: torch's memory begins at multiples of 16 bytes, and pieces are padded to 128.
        even = [i for i, key in enumerate(types) if types[key][0] == "*" or key in padded]
        source = ASTSource(kernel, types, fixed, {(i,): [["tt.divisibility", 16]] for i in even})
        compiled = compile(source, target=GPUTarget("cuda", cc, 32), options=options)
        result[name] = compiled.asm["ptx"], compiled.metadata.shared
    return result


def find_ptxas() -> str | None:
    """ptxas of the toolkit, or the one in torch's CUDA wheels."""
    bundled = Path(torch.__file__).parent / "bin" / "ptxas"
    return shutil.which("ptxas") or (str(bundled) if bundled.exists() else None)


def resources(ptx: str, ptxas: str) -> dict[str, int]:
    """What ptxas -v says of one kernel."""
    arch = re.search(r"^\.target (sm_\w+)", ptx, re.MULTILINE).group(1)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="ascii")
        command = [ptxas, "-v", f"-arch={arch}", "-o", str(source.with_suffix(".cubin")), str(source)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    patterns = {
        "registers": r"Used (\d+) registers",
        "spill stores": r"(\d+) bytes spill stores",
        "spill loads": r"(\d+) bytes spill loads",
        "stack": r"(\d+) bytes stack frame",
        "shared": r"(\d+) bytes smem",  # absent for none
    }
    found = {name: re.search(pattern, said) for name, pattern in patterns.items()}
    return {name: int(match.group(1)) if match else 0 for name, match in found.items()}


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--cc", type=int, nargs="+", default=[75, 80, 90], help="compute capabilities")
    parser.add_argument("--out", type=Path, help="keep the PTX in this folder")
    options = parser.parse_args(argv)
    ptxas = find_ptxas()
    print(f"| card | kernel | {' | '.join(COLUMNS)} | float64 instructions |")
    print("|---|---|---|---|---|---|---|---|")
    for cc in options.cc:
        kernels = {name: (ptx, None) for name, ptx in compile_to_ptx(cc).items()}
        if cc >= 80:
            kernels |= triton_to_ptx(cc)
        for name, (ptx, shared) in kernels.items():
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / f"{name.replace(' ', '_')}_sm{cc}.ptx").write_text(ptx, encoding="ascii")
            numbers = resources(ptx, ptxas) if ptxas else {"registers": "no ptxas"}
            if shared is not None:  # Triton requests it at the launch
                numbers["shared"] = shared
            doubles = len(re.findall(r"^\s*\w+[\w.]*\.f64", ptx, re.MULTILINE))
            cells = [str(numbers.get(key, "")) for key in COLUMNS]
            print(f"| sm_{cc} | {name} | {' | '.join(cells)} | {doubles} |")


if __name__ == "__main__":
    main()
