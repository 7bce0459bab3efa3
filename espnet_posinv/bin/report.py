"""Write RESULTS.md and its plots from a recipe's scores and experiments."""

import argparse
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", default="RESULTS.md", help="the report; plots go into images/ beside it")
    parser.add_argument("--title", default="Results", help="its heading")
    parser.add_argument(
        "--scores-dir", default="exp/scores", help="<recogniser or signal>/<system>/<set>.json"
    )
    parser.add_argument("--data-dir", default="dump/raw", help="<set>/utt2noise and utt2snr")
    parser.add_argument("--exp-dir", default="exp", help="experiment folders")
    parser.add_argument("--test-sets", required=True, help="names, separated by blanks, in order of columns")
    parser.add_argument("--clean-set", default="", help="the test set without noise")
    parser.add_argument("--pretrained", default="nsnet2", help="the system that fine-tuning started from")
    args = parser.parse_args(argv)

    from espnet_posinv.analysis.report import Places, write_report

    places = Places(
        scores=Path(args.scores_dir),
        data=Path(args.data_dir),
        experiments=Path(args.exp_dir),
        test_sets=args.test_sets.split(),
        clean_set=args.clean_set,
        pretrained=args.pretrained,
    )
    try:
        write_report(places, args.output, title=args.title)
    except (ValueError, OSError) as error:
        sys.exit(f"report: {error}")
    print(f"report: {args.output}")


if __name__ == "__main__":
    main()
