"""Position probe of a frozen encoder on real speech: writes probe.json, probe.md and probe.png.

Existing results of the same encoder, audio and options are kept.
"""

from functools import partial
from pathlib import Path

from espnet_posinv.cli.arguments import above_zero, positive


def options(parser):
    parser.add_argument("--upstream", required=True, help="the encoder, e.g. transformers:FOLDER")
    parser.add_argument(
        "--data", required=True, help="data directory: wav.scp and, where there is noise, spk1.scp"
    )
    parser.add_argument("--output-dir", required=True, help="folder for the results")
    parser.add_argument("--utterances", type=positive, default=60, help="segments of speech")
    parser.add_argument("--seconds", type=above_zero, default=4.0, help="length of a segment")
    parser.add_argument(
        "--hops",
        type=positive,
        nargs="+",
        default=[1, 5, 25, 50],
        help="frames by which content is moved, fewer than a segment has",
    )
    parser.add_argument(
        "--criterions", nargs="*", help="to minimise by gradient descent; no name: skip (default: all)"
    )
    parser.add_argument("--steps", type=positive, default=50, help="updates of each gradient descent")
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args):
    from espnet_posinv.device import find_device
    from espnet_posinv.probe.probe import Settings, inputs, probe
    from espnet_posinv.probe.report import read_probe, write_probe

    find_device(args.device)
    options = {"criterions": tuple(args.criterions)} if args.criterions is not None else {}
    settings = Settings(
        utterances=args.utterances,
        seconds=args.seconds,
        hops=tuple(args.hops),
        steps=args.steps,
        seed=args.seed,
        device=args.device,
        **options,
    )
    result = read_probe(args.output_dir, inputs(args.upstream, args.data, settings))
    if result is None:
        result = probe(args.upstream, args.data, settings, partial(print, flush=True))
    write_probe(result, args.output_dir)
    print((Path(args.output_dir) / "probe.md").read_text(encoding="utf-8"))
