"""Word error rate of a Kaldi text against another, joined by id, with counts and an interval."""

import argparse
import sys


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--ref", required=True, help="text with the transcripts")
    parser.add_argument("--hyp", required=True, help="text with the recogniser's output")
    parser.add_argument("--output", required=True, help="JSON file")
    parser.add_argument("--language", default="en", help="rules of text normalisation")
    parser.add_argument(
        "--missing",
        choices=["error", "deletions"],
        default="error",
        help="what an utterance without hypothesis is",
    )
    args = parser.parse_args(argv)

    from espnet_posinv.scoring.wer import score_files

    try:
        total = score_files(args.ref, args.hyp, args.output, language=args.language, missing=args.missing)
    except (ValueError, OSError) as error:
        sys.exit(f"score_wer: {error}")
    interval = total["interval95"]
    print(
        f"{args.output}: WER {total['wer']:.1f} % [{interval['low']:.1f}, {interval['high']:.1f}], "
        f"{total['S']} S {total['D']} D {total['I']} I of {total['N']} words, "
        f"{total['utterances']} utterances"
    )


if __name__ == "__main__":
    main()
