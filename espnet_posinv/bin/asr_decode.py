"""Recognise the utterances of one or several wav.scp files; write a Kaldi text for each."""

import argparse
import sys


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--wav-scp", required=True, action="append", help="mono, 16 kHz; repeat, with --output-dir, for more"
    )
    parser.add_argument("--output-dir", required=True, action="append", help="gets text and decode.json")
    parser.add_argument("--backend", choices=["whisper"], default="whisper")
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--language", default="en", help="language spoken")
    parser.add_argument("--beam-size", type=int, default=1, help="1: greedy")
    parser.add_argument(
        "--window",
        type=float,
        default=30.0,
        help="seconds that Whisper's encoder sees of utterances at least 2 s shorter; 15 is 3 times faster",
    )
    parser.add_argument("--compute-type", default="int8", help="arithmetic of CTranslate2")
    parser.add_argument("--nj", type=int, default=1, help="processes")
    args = parser.parse_args(argv)
    if len(args.wav_scp) != len(args.output_dir):
        parser.error(
            f"{len(args.wav_scp)} --wav-scp for {len(args.output_dir)} --output-dir; they go in pairs"
        )

    from espnet_posinv.asr.decode import decode
    from espnet_posinv.asr.whisper import Whisper

    try:
        recogniser = Whisper(args.model, args.language, args.beam_size, args.window, args.compute_type)
        count = decode(recogniser, list(zip(args.wav_scp, args.output_dir, strict=True)), nj=args.nj)
    except (ValueError, OSError) as error:
        sys.exit(f"asr_decode: {error}")
    print(f"asr_decode: {count} utterances recognised, texts in {', '.join(args.output_dir)}")


if __name__ == "__main__":
    main()
