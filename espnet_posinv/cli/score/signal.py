"""PESQ, ESTOI, SI-SDR and DNSMOS of enhanced speech, and SpeechBERTScore if an SSL model is named."""

import os


def options(parser):
    parser.add_argument("--ref-scp", required=True, help="clean speech, mono, 16 kHz")
    parser.add_argument("--inf-scp", required=True, help="enhanced speech, same ids and lengths")
    parser.add_argument("--output", required=True, help="JSON file")
    parser.add_argument(
        "--metrics",
        default="pesq,estoi,si_sdr,dnsmos",
        help="comma-separated; none: only the other options' metrics",
    )
    parser.add_argument(
        "--ssl", default="", help="also SpeechBERTScore by this model, like transformers:NAME"
    )
    parser.add_argument("--ssl-layer", type=int, default=-1, help="its hidden state")
    parser.add_argument("--nj", type=int, default=1, help="processes")


def run(args):
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one process a core

    from espnet_posinv.scoring.signal import score_files, undefined_lines

    metrics = [name for name in args.metrics.replace(",", " ").split() if name != "none"]
    further = {}
    if args.ssl:
        from espnet_posinv.scoring.ssl_similarity import SpeechBERTScore

        further["speech_bert_score"] = SpeechBERTScore(args.ssl, args.ssl_layer)
    total = score_files(args.ref_scp, args.inf_scp, args.output, metrics, nj=args.nj, further=further)
    parts = [
        f"{name} {'undefined' if value['mean'] is None else format(value['mean'], '.3f')}"
        + (f" ({value['undefined']} utterances undefined)" if value["undefined"] else "")
        for name, value in total.items()
    ]
    print(f"{args.output}: {', '.join(parts)}")
    for line in undefined_lines(args.output):
        print(line)
