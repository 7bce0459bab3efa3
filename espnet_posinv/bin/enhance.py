"""Enhance recordings, files or a wav.scp, with a trained model; writes WAV files and their wav.scp."""

import argparse
import sys


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("model", help="experiment folder with config.yaml and a checkpoint")
    parser.add_argument("input", nargs="+", help="audio files, or one wav.scp")
    parser.add_argument("--output-dir", required=True, help="folder for the enhanced files and their wav.scp")
    parser.add_argument("--wet", type=float, default=1.0, help="share of the enhanced signal, 0 to 1")
    parser.add_argument("--checkpoint", help="file in the model's folder (default: the best one)")
    parser.add_argument("--sample-rate", type=int, default=16000, help="of the model, Hz")
    parser.add_argument("--segment", type=float, default=30.0, help="seconds enhanced at once")
    parser.add_argument("--overlap", type=float, default=1.0, help="seconds that pieces are faded over")
    parser.add_argument("--batch-size", type=int, default=1, help="pieces of one recording at once")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    args = parser.parse_args(argv)

    from espnet_posinv.enhance_files import enhance_files
    from espnet_posinv.enhancer import Enhancer

    try:
        enhancer = Enhancer.from_pretrained(
            args.model,
            args.checkpoint,
            device=args.device,
            sample_rate=args.sample_rate,
            segment=args.segment,
            overlap=args.overlap,
            batch_size=args.batch_size,
        )
        enhance_files(enhancer, args.input, args.output_dir, wet=args.wet)
    except (ValueError, OSError) as error:
        sys.exit(f"enhance: {error}")


if __name__ == "__main__":
    main()
