"""Demucs-64's LSTM on a GPU, forward and backward: two layers in one call of cuDNN, or one after another.

python bench/lstm.py              # 16 utterances of 1000 frames (16 s)
python bench/lstm.py --device cpu --frames 20 --size 128    # a try
"""

import torch
from bench_common import environment, make_parser

from espnet_posinv.enh.half_lstm import half_lstm


def milliseconds(call, device: str, times: int = 5) -> float:
    """Mean time of a call, after two others."""
    for _ in range(2):
        call()
    if device == "cpu":
        return float("nan")
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(times):
        call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / times


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    for name, number in (("batch", 16), ("frames", 1000), ("size", 1024)):
        parser.add_argument(f"--{name}", type=int, default=number)
    args = parser.parse_args(argv)
    print(environment())
    print("| LSTM | forward, ms | both ways, ms |\n|---|---:|---:|")
    for name, dtype in (("two layers", "float32"), ("two layers", "bfloat16"), ("half_lstm", "float32")):
        kind = getattr(torch, dtype)
        lstm = torch.nn.LSTM(args.size, args.size, 2, batch_first=True).to(args.device, kind)
        x = torch.randn(args.batch, args.frames, args.size, device=args.device, dtype=kind)
        run = (lambda x, m=lstm: half_lstm(m, x)) if name == "half_lstm" else (lambda x, m=lstm: m(x)[0])
        leaf = x.clone().requires_grad_()

        def both(run=run, leaf=leaf):
            y = run(leaf)
            y.backward(torch.ones_like(y))

        with torch.no_grad():
            forward = milliseconds(lambda run=run, x=x: run(x), args.device)
        print(f"| {name}, {dtype} | {forward:.1f} | {milliseconds(both, args.device):.1f} |", flush=True)


if __name__ == "__main__":
    main()
