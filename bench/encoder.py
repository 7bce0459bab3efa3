"""A frozen encoder beside transformers' own: milliseconds, memory and error, full and ragged batches.

    python bench/encoder.py --device cuda     # HuBERT-base's sizes, random weights; 16 x 8 s, 16 of 4 to 15 s
    python bench/encoder.py --tiny            # a try on the CPU
    python bench/encoder.py --upstream transformers:FOLDER --dtypes float32 --batch 8 --seconds 4 2 8  # yours

Forward without gradient / forward and backward to the waveform, medians of rounds in which all programs take
turns within one process.  Peak memory is what a forward and backward pass adds to weights and waveforms.
Errors are ||x - y|| / ||y|| of the last layer's frames and of the waveform's gradient, y being ours in
float32; those of transformers in a ragged batch are mostly what padding does to its frames.  On the CPU one
thread's time counts.
"""

import contextlib
import time
from functools import partial
from statistics import median

import torch
from bench_common import cuda_growth, make_parser

from espnet_posinv.ssl import SSLEncoder, load_encoder
from espnet_posinv.ssl.transformers import from_model

RATE = 16000
GFLOP = 4.9 + 8.5  # convolutions and layers of HuBERT-base, a second of audio, forwards
TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "conv_dim": (32,) * 7,
}


def ragged(batch, shortest, longest):
    """Seconds of utterances from the shortest to the longest, more of them short: 38 % padding of 4 to 15."""
    return [shortest + (longest - shortest) * (i / (batch - 1)) ** 1.1 for i in range(batch)]


@contextlib.contextmanager
def float32_products(precision):
    """PyTorch's own switches, for what does not ask for a precision itself."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    yield
    torch.set_float32_matmul_precision("highest")


class Ours:
    def __init__(self, model, dtype, device):
        self.name, self.dtype = f"ours, {dtype}", dtype
        if isinstance(model, str):
            encoder = load_encoder(model, dtype=dtype)
        else:
            encoder = SSLEncoder(from_model(model, {}, "memory")[0], label="HuBERT", dtype=dtype)
        self.encoder = encoder.to(device)

    def __call__(self, wav, lengths):
        return self.encoder(wav, lengths)[0]


class Transformers:
    def __init__(self, model, dtype, device, autocast=False):
        half = dtype == "bfloat16" and not autocast
        self.name = f"transformers, {dtype}{' autocast' * autocast}{' weights' * half}"
        self.dtype, self.autocast = dtype, autocast
        self.weights = torch.bfloat16 if half else torch.float32
        self.model = type(model)(model.config)
        self.model.load_state_dict(model.state_dict())
        self.model = self.model.to(device, self.weights).eval().requires_grad_(False)

    def __call__(self, wav, lengths):
        mask = None
        if lengths.min() < wav.shape[1]:
            mask = torch.arange(wav.shape[1])[None] < lengths[:, None]
            mask = mask.long().to(wav.device)
        with torch.autocast(wav.device.type, torch.bfloat16, enabled=self.autocast):
            return self.model(wav.to(self.weights), attention_mask=mask).last_hidden_state.float()


def gradient(program, wav, lengths, weight):
    wav = wav.detach().requires_grad_()
    feats = program(wav, lengths)
    (feats * weight).sum().backward()
    return feats.detach(), wav.grad


def clock(function, device):
    if device.type != "cuda":
        start = time.process_time()
        function()
        return 1000 * (time.process_time() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def measure(programs, seconds, rounds, device):
    """For each program: milliseconds forwards, both ways, MiB, errors of features and gradient."""
    torch.manual_seed(0)
    lengths = torch.tensor([round(s * RATE) for s in seconds])
    inside = (torch.arange(lengths.max()) < lengths[:, None]).float()
    wav = (0.1 * torch.randn(len(lengths), lengths.max()) * inside).to(device)
    frames = (lengths - 400) // 320 + 1
    valid = (torch.arange(frames.max()) < frames[:, None]).float()[..., None].to(device)
    with torch.no_grad():
        weight = valid * torch.randn(programs[0](wav, lengths).shape).to(device)
    exact = gradient(programs[0], wav, lengths, weight)
    found = []
    for program in programs:
        with float32_products(program.dtype):
            for _ in range(2):
                got = gradient(program, wav, lengths, weight)
            errors = [
                ((x - y) * m).norm() / (y * m).norm() for x, y, m in zip(got, exact, (valid, 1), strict=True)
            ]
            del got
            both = partial(gradient, program, wav, lengths, weight)
            memory = cuda_growth(both) if device.type == "cuda" else 0.0
        found.append(([], [], memory, *(e.item() for e in errors)))
    for _ in range(rounds):
        for program, (forward, both, *_) in zip(programs, found, strict=True):
            with float32_products(program.dtype):
                with torch.no_grad():
                    forward.append(clock(lambda p=program: p(wav, lengths), device))
                both.append(clock(lambda p=program: gradient(p, wav, lengths, weight), device))
    return [(median(forward), median(both), *rest) for forward, both, *rest in found]


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds (20)")
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "tf32", "bfloat16"], help="of all programs"
    )
    parser.add_argument("--upstream", help="ours with this model, without transformers")
    parser.add_argument("--batch", type=int, default=16, help="utterances (16)")
    parser.add_argument(
        "--seconds", type=float, nargs=3, default=[8, 4, 15], help="of all; of shortest and longest (8 4 15)"
    )
    parser.add_argument("--ours-only", action="store_true", help="without transformers")
    parser.add_argument("--tiny", action="store_true", help="a small model and short utterances")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    device, model, seconds = torch.device(args.device), args.upstream, args.seconds
    torch.manual_seed(0)
    if model is None:
        from transformers import HubertConfig, HubertModel

        model = HubertModel(HubertConfig(**(TINY if args.tiny else {}), attn_implementation="sdpa")).eval()
    programs = [Ours(model, dtype, device) for dtype in args.dtypes]
    if not args.ours_only and not args.upstream:
        programs += [Transformers(model, dtype, device) for dtype in args.dtypes]
        if "bfloat16" in args.dtypes:
            programs.append(Transformers(model, "bfloat16", device, autocast=True))
    if args.tiny:
        seconds = [0.1 * s for s in seconds]
    device_name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    for batch in ([seconds[0]] * args.batch, ragged(args.batch, *seconds[1:])):
        audio, padded = sum(batch), len(batch) * max(batch)
        print(
            f"\n{len(batch)} utterances of {min(batch):g} to {max(batch):g} s, "
            f"{(padded - audio) / padded:.0%} padding, {device_name}, torch {torch.__version__}, "
            f"medians of {args.rounds} rounds"
        )
        print("| | forward, ms | both ways, ms | TFLOP/s | MiB | error | of the gradient | peer / ours |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        figures = measure(programs, batch, args.rounds, device)
        ours = {p.dtype: f[1] for p, f in zip(programs, figures, strict=True) if isinstance(p, Ours)}
        for program, (forward, both, memory, error, of_gradient) in zip(programs, figures, strict=True):
            rate = "" if args.tiny or args.upstream else f"{2 * GFLOP * audio / both:.0f}"
            ratio = "" if isinstance(program, Ours) else f"{both / ours[program.dtype]:.2f}"
            print(
                f"| {program.name} | {forward:.1f} | {both:.1f} | {rate} | {memory:.0f} | {error:.1e} | "
                f"{of_gradient:.1e} | {ratio} |"
            )


if __name__ == "__main__":
    main()
