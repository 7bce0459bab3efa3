"""Write report.html: one file with word errors, sound, spectrograms, curves, tables. It needs no network."""

import argparse
import os
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--output", default="report.html", help="the page")
    parser.add_argument("--title", default="Results", help="its heading")
    parser.add_argument(
        "--scores-dir", default="exp/scores", help="<recogniser or signal>/<system>/<set>.json"
    )
    parser.add_argument(
        "--data-dir", default="dump/raw", help="<set>/{wav.scp,spk1.scp,text,utt2noise,utt2snr}"
    )
    parser.add_argument(
        "--exp-dir",
        default="exp",
        help="experiment folders; also <system>/enhanced/<set>/spk1.scp, convergence/convergence.json and "
        "*/{probe,ablation,cost}.md, as far as they are there",
    )
    parser.add_argument("--test-sets", required=True, help="names, separated by blanks, in order of columns")
    parser.add_argument("--clean-set", default="", help="the test set without noise")
    parser.add_argument("--pretrained", default="nsnet2", help="the system that fine-tuning started from")
    parser.add_argument("--utterances", type=int, default=3, help="to listen to, of each set with noise")
    parser.add_argument("--add", action="append", default=[], help="a further Markdown file with pictures")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    from espnet_posinv.analysis.report import Places
    from espnet_posinv.analysis.report_html import write_html_report

    places = Places(
        scores=Path(args.scores_dir),
        data=Path(args.data_dir),
        experiments=Path(args.exp_dir),
        test_sets=args.test_sets.split(),
        clean_set=args.clean_set,
        pretrained=args.pretrained,
    )
    try:
        write_html_report(places, args.output, title=args.title, utterances=args.utterances, add=args.add)
    except (ValueError, OSError) as error:
        sys.exit(f"report_html: {error}")
    print(f"report_html: {args.output}, {Path(args.output).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
