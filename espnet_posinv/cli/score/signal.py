"""PESQ, ESTOI, SI-SDR and DNSMOS of enhanced speech, and SpeechBERTScore if an SSL model is named."""

import os

from espnet_posinv.cli.arguments import keep_apart, positive


def options(parser):
    parser.add_argument(
        "--ref-scp",
        required=True,
        action="append",
        help="clean speech, mono, 16 kHz; repeat this option and the next two for more sets",
    )
    parser.add_argument(
        "--inf-scp", required=True, action="append", help="enhanced speech, same ids and lengths"
    )
    parser.add_argument("--output", required=True, action="append", help="JSON file")
    parser.add_argument(
        "--metrics",
        default="pesq,estoi,si_sdr,dnsmos",
        help="comma-separated; none: only the other options' metrics",
    )
    parser.add_argument(
        "--ssl", default="", help="also SpeechBERTScore by this model, like transformers:NAME"
    )
    parser.add_argument("--ssl-layer", type=int, default=-1, help="its hidden state")
    parser.add_argument("--nj", type=positive, default=1, help="processes")


def run(args):
    if not len(args.ref_scp) == len(args.inf_scp) == len(args.output):
        args.error(
            f"{len(args.ref_scp)} --ref-scp, {len(args.inf_scp)} --inf-scp and {len(args.output)} --output; "
            "they go together"
        )
    names = args.metrics.replace(",", " ").split()
    if not names:
        args.error(f"--metrics {args.metrics!r}: no metric; write none for only the other options' metrics")
    keep_apart({"--output": args.output}, {"--ref-scp": args.ref_scp, "--inf-scp": args.inf_scp})
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one process a core

    from espnet_posinv.scoring.signal import score_files, undefined_lines

    metrics = [name for name in names if name != "none"]
    further = {}
    if args.ssl:
        from espnet_posinv.scoring.ssl_similarity import SpeechBERTScore

        further["speech_bert_score"] = SpeechBERTScore(args.ssl, args.ssl_layer)
    for ref, inf, output in zip(args.ref_scp, args.inf_scp, args.output, strict=True):
        total = score_files(ref, inf, output, metrics, nj=args.nj, further=further)
        parts = [
            f"{name} {'undefined' if value['mean'] is None else format(value['mean'], '.3f')}"
            + (f" ({value['undefined']} utterances undefined)" if value["undefined"] else "")
            for name, value in total.items()
        ]
        print(f"{output}: {', '.join(parts)}")
        for line in undefined_lines(output):
            print(line)
