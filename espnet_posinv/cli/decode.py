"""Recognise the utterances of one or several wav.scp files; write a Kaldi text for each.

The back ends and what MODEL is for each:
whisper (folder of faster-whisper), whisper_transformers (folder or hub name), espnet (folder of a trained or
unpacked ASR model, or its name on the hub), ssl_ctc (folder that posinv train-ctc made), or the dotted name
of a module of yours. Settings of one recogniser follow its model: MODEL,beam_size=5,lm=words.arpa
"""

import os
import sys

from espnet_posinv.cli.arguments import above_zero, positive

RECOGNISER_OPTIONS = ("backend", "model", "language", "beam_size", "window", "compute_type")


def options(parser):
    parser.add_argument(
        "--wav-scp", required=True, action="append", help="mono, 16 kHz; repeat, with --output-dir, for more"
    )
    parser.add_argument("--output-dir", required=True, action="append", help="gets text and decode.json")
    parser.add_argument("--backend", default="whisper", help="see above")
    parser.add_argument("--model", required=True, metavar="MODEL[,name=value...]", help="see above")
    parser.add_argument("--language", default="en", help="language spoken, for back ends that need it")
    parser.add_argument("--beam-size", type=positive, help="1: greedy (default: the back end's)")
    parser.add_argument(
        "--window",
        type=above_zero,
        help="seconds that Whisper's encoder processes of utterances at least 2 s shorter (default: 30); "
        "15 is 3 times faster",
    )
    parser.add_argument("--compute-type", help="arithmetic of CTranslate2 (default: float32; int8 is faster)")
    parser.add_argument("--nj", type=positive, default=1, help="processes, or jobs of --cmd")
    parser.add_argument("--cmd", default="", help="run as jobs of this launcher, like utils/slurm.pl")


def run(args):
    if len(args.wav_scp) != len(args.output_dir):
        args.error(f"{len(args.wav_scp)} --wav-scp for {len(args.output_dir)} --output-dir; they go in pairs")
    pairs = list(zip(args.wav_scp, args.output_dir, strict=True))

    from espnet_posinv.asr.backend import build
    from espnet_posinv.asr.decode import decode
    from espnet_posinv.asr.decode_jobs import decode_by_jobs

    given = {name: getattr(args, name) for name in RECOGNISER_OPTIONS}
    options = {name: value for name, value in given.items() if name not in ("backend", "model")}
    recogniser, unused = build(args.backend, args.model, **options)
    if unused := [name for name in unused if name != "language"]:
        names = ", ".join("--" + name.replace("_", "-") for name in unused)
        print(f"posinv decode: {names}: not used by back end {args.backend}", file=sys.stderr)
    if args.cmd:
        words = [
            word
            for name, value in given.items()
            if value is not None
            for word in ("--" + name.replace("_", "-"), str(value))
        ]
        count = decode_by_jobs(recogniser, words, pairs, command=args.cmd, nj=args.nj)
    else:
        count = decode(recogniser, pairs, nj=args.nj)
    print(f"posinv decode: {count} utterances recognised, texts in {os.path.commonpath(args.output_dir)}")
