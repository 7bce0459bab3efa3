"""Enhance recordings with a trained model; writes 16-bit WAV files and their wav.scp.

A recording that cannot be read is reported and skipped; the exit status is then 1.
"""

from espnet_posinv.cli.arguments import above_zero
from espnet_posinv.sample_rate import SAMPLE_RATE


def options(parser):
    parser.add_argument("model", help="experiment folder with config.yaml and a checkpoint")
    parser.add_argument("input", nargs="+", help="audio files, folders of them, wav.scp files, or - (stdin)")
    parser.add_argument("--output-dir", required=True, help="folder for the enhanced files and their wav.scp")
    parser.add_argument("--channel", type=int, help="enhance only this one, from 1 (default: each)")
    parser.add_argument("--wet", type=float, default=1.0, help="share of the enhanced signal, 0 to 1")
    parser.add_argument("--checkpoint", help="file in the model's folder (default: the best one)")
    parser.add_argument("--sample-rate", type=int, default=SAMPLE_RATE, help="of the model, Hz")
    parser.add_argument(
        "--segment", type=above_zero, default=30.0, help="seconds; longer recordings are enhanced in pieces"
    )
    parser.add_argument("--overlap", type=float, default=1.0, help="seconds of the cross-fade between pieces")
    parser.add_argument("--batch-size", type=int, default=1, help="pieces of a recording in one batch")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")


def run(args):
    from espnet_posinv.espnet_compat import quiet_imports

    with quiet_imports():  # the lines that are ours should be seen
        import espnet2.tasks.enh  # noqa: F401

        from espnet_posinv.enh.enhance_files import enhance_files
        from espnet_posinv.enh.enhancer import Enhancer

    enhancer = Enhancer.from_pretrained(
        args.model,
        args.checkpoint,
        device=args.device,
        sample_rate=args.sample_rate,
        segment=args.segment,
        overlap=args.overlap,
        batch_size=args.batch_size,
    )
    failed = enhance_files(enhancer, args.input, args.output_dir, wet=args.wet, channel=args.channel)
    if failed:
        raise ValueError(f"{len(failed)} recordings were not enhanced: {' '.join(failed)}")
