"""Pretrain the mini HuBERT: gather speech, masked prediction of a teacher's clusters, export.

Run again, a training goes on.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from espnet_posinv.cli.arguments import Parser, above_zero, positive
from espnet_posinv.device import find_device
from espnet_posinv.sample_rate import SAMPLE_RATE


def options(parser):
    """Declare the arguments."""
    parser.add_argument("what", choices=("gather", "train", "export", "measure"))
    parser.add_argument("--speech", type=Path, default=Path("data/speech"), help="streams, made by gather")
    parser.add_argument("--downloads", type=Path, default=Path("../downloads"), help="archives")
    parser.add_argument(
        "--archives", type=Path, action="append", default=[], help="own folder, searched first"
    )
    parser.add_argument("--work", type=Path, default=Path("exp/mini_hubert"), help="labels and checkpoint")
    parser.add_argument("--positional", action="store_true", help="train the positional twin")
    parser.add_argument(
        "--teacher",
        default="whisper:../downloads/whisper-tiny.en",
        help="upstream whose clusters are learned",
    )
    parser.add_argument("--teacher-layer", type=int, default=4, help="its layer")
    parser.add_argument("--steps", type=positive, default=8000)
    parser.add_argument("--batch", type=positive, default=96, help="windows a step")
    parser.add_argument("--seconds", type=above_zero, default=4.0, help="length of a window")
    parser.add_argument("--rate", type=above_zero, default=1e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of everything")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device"
    )
    parser.add_argument("--upstream", action="append", metavar="NAME=UPSTREAM", help="what is measured")
    parser.add_argument("--output", type=Path, help="write the table of measures there too")
    parser.add_argument("--utterances", type=positive, default=1000, help="prompts of the CER at most")


def run(args) -> None:
    """Do what the first argument says."""
    # What decodes recordings is imported where it is used: training alone needs less
    say = partial(print, flush=True)
    find_device(args.device)
    if args.what == "gather":
        from pretraining.corpus import recordings, write_streams

        hours = write_streams(args.speech, recordings(args.downloads, args.archives, say))
        say(f"{args.speech}: {hours:.1f} h")
    elif args.what == "train":
        from espnet_posinv.ssl import load_encoder
        from espnet_posinv.ssl.marks import marks
        from pretraining.streams import load
        from pretraining.train import Plan, train

        name = Path(args.teacher.partition(":")[2]).name
        dtype = "bfloat16" if args.device.startswith("cuda") else "float32"
        encoder = load_encoder(args.teacher, layers=args.teacher_layer, dtype=dtype)
        plan = Plan(
            args.steps, args.batch, args.seconds, args.rate, seed=args.seed, positional=args.positional
        )
        args.work.mkdir(parents=True, exist_ok=True)
        streams = load(args.speech, plan.length, args.device)
        say(
            f"{len(streams.names)} streams, {len(streams.audio) / SAMPLE_RATE / 3600:.1f} h with speed copies"
        )
        train(streams, args.work, plan, (name, encoder), marks(args.teacher) or [], say)
    elif args.what == "export":
        from pretraining.train import export

        say(f"{args.work}/model: {export(args.work, args.work / 'model')} parameters")
    else:
        from pretraining.quality import measure

        measure(args)


def main(argv: Sequence[str] | None = None) -> None:
    """Run; bad input ends with a message."""
    parser = Parser("pretraining", __doc__)
    options(parser)
    args = parser.parse_args(argv)
    try:
        run(args)
    except (ValueError, OSError) as error:
        sys.exit(f"pretraining {args.what}: {error}")


if __name__ == "__main__":
    main()
