"""soft-DTW on a CUDA card: errors against float64, times of ours and of the peers, as JSON.

    python bench/softdtw_gpu.py --out softdtw_gpu.json [--peers [NAME ...]]

Times are medians over calls, by CUDA events.  "graph" replays the same work as a CUDA graph: what the
card itself needs.  Peers: pip install -r bench/requirements-softdtw.txt
"""

import json
import time
from functools import partial
from pathlib import Path

import torch
from bench_common import cuda_growth, environment, make_parser
from softdtw_common import costs, exact_alignment, frames, peers
from softdtw_gpu_errors import GAMMA, errors

from espnet_posinv.softdtw import soft_dtw, soft_dtw_divergence

SHAPES = [(8, 250, 250, 64), (32, 500, 500, 768), (16, 1500, 1500, 768), (1, 5000, 5000, 64)]


def median_ms(call, repeats: int = 30) -> float:
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def graph_ms(call) -> float | str:
    """Time of `call` replayed as a CUDA graph."""
    try:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            call()
        return median_ms(graph.replay)
    except Exception as error:
        torch.cuda.synchronize()
        return f"{type(error).__name__}: {error}"[:200]


def times(shape, wanted: list[str] | None) -> dict:
    n = shape[1]
    x, y = frames(*shape)
    cost = costs(x, y).cuda()
    x, y = x.cuda(), y.cuda()

    def both(loss, *inputs):
        leaves = [t.detach().requires_grad_() for t in inputs]
        loss(*leaves).sum().backward()
        return leaves

    def frame_loss(a, b):
        return soft_dtw(a, b, gamma=GAMMA)

    def divergence(a, b):
        return soft_dtw_divergence(a, b.detach(), gamma=GAMMA)

    def cost_loss(c):
        return soft_dtw(cost=c, gamma=GAMMA)

    result = {}
    with torch.no_grad():
        result["dp_forward_ms"] = median_ms(lambda: cost_loss(cost))
    result["dp_ms"] = median_ms(lambda: both(cost_loss, cost))
    result["dp_graph_ms"] = graph_ms(lambda: both(cost_loss, cost))
    result["dp_mib"] = cuda_growth(lambda: both(cost_loss, cost))
    for name, cast in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = x.to(cast), y.to(cast)
        result[f"loss_{name}_ms"] = median_ms(lambda a=a, b=b: both(frame_loss, a, b))
        result[f"loss_{name}_graph_ms"] = graph_ms(lambda a=a, b=b: both(frame_loss, a, b))
        result[f"divergence_{name}_ms"] = median_ms(lambda a=a, b=b: both(divergence, a, b))
    result["peers"] = {}
    E = exact_alignment(cost[:1], GAMMA)[1] if wanted is not None and n <= 1500 else None
    for name, loss in (peers(GAMMA, "cuda") if wanted is not None else {}).items():
        if wanted and name not in wanted:
            continue
        try:
            start = time.time()
            (leaf,) = both(loss, cost)
            torch.cuda.synchronize()
            if time.time() - start > 20:
                raise TimeoutError("first call over 20 s")
            with torch.no_grad():
                forward = median_ms(lambda loss=loss: loss(cost), 5)
            row = {"dp_forward_ms": forward, "dp_ms": median_ms(lambda loss=loss: both(loss, cost), 5),
                   "dp_mib": cuda_growth(lambda loss=loss: both(loss, cost))}  # fmt: skip
            row["ratio"] = row["dp_ms"] / result["dp_ms"]
            if E is not None:
                row["dE"] = (leaf.grad[:1].cpu().double() - E).abs().max().item()
            result["peers"][name] = row
        except Exception as error:
            result["peers"][name] = f"{type(error).__name__}: {error}"[:160]
    return result


def matrix_products(shape) -> dict:
    """Our products and torch's in float32: times as graphs, and largest errors against float64."""
    from espnet_posinv.softdtw import products
    from espnet_posinv.softdtw.cuda import products as cuda_products

    x, y = (t.cuda() for t in frames(*shape))
    E = torch.rand(*shape[:3], generator=torch.Generator().manual_seed(0)).cuda() ** 20
    seed = torch.ones(shape[0], device="cuda")
    result, outcomes = {}, {}
    for name, module in (("ours", cuda_products), ("torch", products), ("exact", products)):
        exact = name == "exact"
        a, b, e, s = (t.double() if exact else t for t in (x, y, E, seed))
        sides = [module.frame_factor(t, False) for t in (a, b)]
        factor = module.alignment_factor(e, s)
        calls = {
            "factor of x": partial(module.frame_factor, a, False),
            "factor of E": partial(module.alignment_factor, e, s),
            "costs": partial(module.frame_costs, *sides, False),
            "gradient of x": partial(module.frame_gradient, [(factor, False, sides[1])], a, False),
            "gradient of y": partial(module.frame_gradient, [(factor, True, sides[0])], b, False),
        }
        outcomes[name] = {what: call() for what, call in calls.items() if "factor" not in what}
        if not exact:
            result[name] = {what: {"ms": graph_ms(call)} for what, call in calls.items()}
    for name in ("ours", "torch"):
        for what, exact in outcomes["exact"].items():
            result[name][what]["error"] = (outcomes[name][what] - exact).abs().max().item()
    return result


def resources() -> dict:
    """Registers, spilled bytes and shared bytes of the kernels, as the driver loaded them."""
    from cuda.bindings import driver

    from espnet_posinv.softdtw.cuda import backward, forward
    from espnet_posinv.softdtw.cuda import kernels as launcher

    wanted = {
        "registers": driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_NUM_REGS,
        "local": driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES,
        "shared": driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
    }
    result = {}
    for name, module in (("forward", forward), ("backward", backward)):
        function = launcher._compiled(module, torch.cuda.current_device())[0]
        result[name] = {
            key: launcher._check(driver.cuFuncGetAttribute(attribute, function))
            for key, attribute in wanted.items()
        }
    return result


def table(report: dict) -> str:
    """Markdown: our times with the goals' shapes as rows, then the peers'."""
    columns = {
        **{"dp_forward_ms": "DP fwd", "dp_ms": "DP fwd+bwd", "dp_graph_ms": "as a graph"},
        **{"loss_fp32_graph_ms": "loss fp32, graph", "loss_bf16_graph_ms": "loss bf16, graph"},
        "divergence_fp32_ms": "divergence fp32",
    }
    lines = [
        f"{report['card']}, torch {report['torch']}, numba {report['numba']}, revision "
        f"{report['revision'] or '-'}, copy {report['copy_TBps']:.2f} TB/s; milliseconds\n",
        f"| (B, N, M, D) | {' | '.join(columns.values())} | DP MiB |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for shape, row in report["times"].items():
        cells = [f"{row[key]:.2f}" if isinstance(row[key], float) else "failed" for key in columns]
        lines.append(f"| {shape} | {' | '.join(cells)} | {row['dp_mib']:.0f} |")
    lines += [
        "",
        "| (B, N, M, D) | peer | DP fwd | DP fwd+bwd | times ours | largest dE | DP MiB |",
        "|---" * 7 + "|",
    ]
    for shape, row in report["times"].items():
        for name, peer in row["peers"].items():
            if isinstance(peer, str):
                lines.append(f"| {shape} | {name} | {peer.split(':')[0]} | | | | |")
                continue
            error = f"{peer['dE']:.0e}" if "dE" in peer else "-"
            lines.append(f"| {shape} | {name} | {peer['dp_forward_ms']:.2f} | {peer['dp_ms']:.2f} | "
                         f"{peer['ratio']:.1f} | {error} | {peer['dp_mib']:.0f} |")  # fmt: skip
    heads = ("(B, N, M, D)", "product", "ours", "torch, fp32", "largest error, ours", "torch, fp32")
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for shape, row in report["products"].items():
        for what, ours in row["ours"].items():
            sides = ours, row["torch"][what]
            cells = [f"{side['ms']:.3f}" for side in sides]
            cells += [f"{side['error']:.1e}" if "error" in side else "" for side in sides]
            lines.append(f"| {shape} | {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--out", default="softdtw_gpu.json")
    parser.add_argument(
        "--peers", nargs="*", metavar="NAME", help="measure installed peers too; all, or these"
    )
    parser.add_argument("--show", type=Path, help="only print the table of an earlier run's JSON")
    options = parser.parse_args(argv)
    if options.show:
        print(table(json.loads(options.show.read_text(encoding="utf-8"))))
        return
    large = torch.randn(1 << 28, device="cuda")
    copy = torch.empty_like(large)
    report = {"card": torch.cuda.get_device_name(), **environment()}
    report["copy_TBps"] = 2 * large.numel() * 4 / median_ms(lambda: copy.copy_(large), 10) / 1e9
    large = copy = None
    report["errors"] = errors()
    for row in report["errors"]:
        print(row, flush=True)
    report["times"] = {}
    for shape in SHAPES:
        report["times"][str(shape)] = times(shape, options.peers)
        print(shape, json.dumps(report["times"][str(shape)]), flush=True)
        Path(options.out).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    report["products"] = {str(shape): matrix_products(shape) for shape in SHAPES if shape[3] == 768}
    report["resources"] = resources()
    print(report["resources"], flush=True)
    Path(options.out).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(report))


if __name__ == "__main__":
    main()
