"""Gather speech and pretrain the mini HuBERT: three iterations of masked prediction.

Run again, it goes on.
"""

from functools import partial
from pathlib import Path

import torch

from espnet_posinv.pretrain.train import Plan, export, train
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import load_encoder


def options(parser):
    """Declare the arguments."""
    parser.add_argument("--speech", type=Path, default=Path("data/speech"), help="streams (made by --gather)")
    parser.add_argument("--gather", action="store_true", help="make --speech from --downloads, then stop")
    parser.add_argument("--downloads", type=Path, default=Path("../downloads"), help="archives")
    parser.add_argument(
        "--archives", type=Path, action="append", default=[], help="own folder, searched first"
    )
    parser.add_argument("--work", type=Path, default=Path("exp/mini_hubert"), help="labels and checkpoints")
    parser.add_argument("--export", type=Path, help="write the trained model to this transformers folder")
    parser.add_argument(
        "--iterations", type=int, nargs="*", default=[1, 2, 3], choices=[1, 2, 3], help="which to run"
    )
    parser.add_argument(
        "--teacher",
        default="whisper:../downloads/whisper-tiny.en",
        help="upstream whose clusters iteration 3 learns",
    )
    parser.add_argument("--teacher-layer", type=int, default=3, help="its layer")
    parser.add_argument("--steps", type=int, default=6000, help="of each iteration")
    parser.add_argument("--minutes", type=float, help="of each iteration, in place of --steps")
    parser.add_argument("--batch", type=int, default=48, help="windows a step")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of everything")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device"
    )


def run(args):
    """Run the command."""
    say = partial(print, flush=True)
    if args.gather:
        # Here, because decoding needs packages that training alone does not
        from espnet_posinv.pretrain.corpus import recordings, write_streams

        hours = write_streams(args.speech, recordings(args.downloads, args.archives, say))
        say(f"{args.speech}: {hours:.1f} h")
        return 0
    if args.iterations:
        from espnet_posinv.pretrain.streams import load

        teacher = None
        if 3 in args.iterations:  # a wrong path is to be told now, not after two iterations
            name = Path(args.teacher.partition(":")[2]).name
            teacher = name, load_encoder(args.teacher, layers=args.teacher_layer)
        plan = Plan(args.steps, args.batch, args.seconds, args.rate, seed=args.seed)
        args.work.mkdir(parents=True, exist_ok=True)
        streams = load(args.speech, round(args.seconds * 50) * 320, args.device)
        say(
            f"{len(streams.names)} streams, {len(streams.audio) / SAMPLE_RATE / 3600:.1f} h with speed copies"
        )
        for iteration in args.iterations:
            train(streams, args.work, iteration, plan, args.minutes, say, teacher=teacher)
    if args.export:
        say(f"{args.export}: {export(args.work, args.export)} parameters")
