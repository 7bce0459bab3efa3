"""Score enhanced speech on a task other than recognition: speaker verification, classification, or your own.

speaker: --labels utt2spk; MODEL is ge2e:PATH (the wheel of Resemblyzer) or an SSL model.
classify: --labels of any kind, such as emotions, and --utt2spk; MODEL is an SSL model.
Or the dotted name of a module of yours. Settings follow the model: MODEL,layer=6
"""

import os
import re

from espnet_posinv.cli.arguments import keep_apart, positive


def options(parser):
    parser.add_argument("--task", required=True, help="speaker, classify, or a module")
    parser.add_argument("--model", required=True, metavar="MODEL[,name=value...]", help="see above")
    parser.add_argument("--wav-scp", required=True, help="audio under test, mono, 16 kHz")
    parser.add_argument("--clean-scp", help="the same utterances without noise, for enrolment or training")
    parser.add_argument("--labels", required=True, help="lines of utterance and label")
    parser.add_argument("--utt2spk", help="speakers, for tasks that must separate them")
    parser.add_argument("--output", required=True, help="JSON file")
    parser.add_argument("--nj", type=positive, default=1, help="processes")


def run(args):
    reads = {"--wav-scp": [args.wav_scp], "--clean-scp": [args.clean_scp], "--labels": [args.labels]}
    models = re.split("[:,=]", args.model)  # also files of its settings
    keep_apart({"--output": [args.output]}, {**reads, "--utt2spk": [args.utt2spk], "--model": models})
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one process a core

    from espnet_posinv.tasks.task import build, score

    task = build(args.task, args.model)
    result = score(
        task,
        args.wav_scp,
        args.labels,
        args.output,
        clean_scp=args.clean_scp,
        utt2spk=args.utt2spk,
        nj=args.nj,
    )
    parts = []
    for name, value in result["total"].items():
        interval = "" if value["low"] is None else f" [{value['low']:.3g}, {value['high']:.3g}]"
        parts.append(f"{name} {value['value']:.3g}{interval}")
    undefined = sorted(result.get("undefined", {}).items())
    if undefined:
        parts.append(f"{len(undefined)} utterances undefined ({': '.join(undefined[0])})")
    print(f"{args.output}: {', '.join(parts)}")
    for note in result.get("notes", []):
        print(f"  {note}")
