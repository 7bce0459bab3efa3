"""Word error rate of a Kaldi text against another, joined by id, with counts and an interval."""

from pathlib import Path

from espnet_posinv.cli.arguments import keep_apart


def options(parser):
    parser.add_argument("--ref", required=True, help="text with the transcripts")
    parser.add_argument("--hyp", required=True, help="text with the recogniser's output")
    parser.add_argument("--output", required=True, help="JSON file")
    parser.add_argument("--language", default="en", help="rules of text normalisation")
    parser.add_argument(
        "--normalizer",
        default="",
        metavar="FILE.py:FUNCTION",
        help="your function instead of the language's rules: takes a text, returns words between blanks",
    )
    parser.add_argument(
        "--missing",
        choices=["error", "deletions"],
        default="error",
        help="how an utterance without hypothesis counts",
    )
    parser.add_argument(
        "--unit",
        choices=["words", "characters", "phones"],
        help="of WER, CER or PER (default: words, or phones for a recogniser of phones)",
    )
    parser.add_argument(
        "--lexicon",
        default="",
        help="pronunciations of the transcripts: a file, or g2p_en (default: the recogniser's; if there is "
        "none, --ref holds phones)",
    )
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="JSON",
        help="scores of another system on the same set, to compare with by paired tests; repeatable",
    )
    parser.add_argument(
        "--sclite", action="store_true", help="also score with NIST's sclite and compare the counts"
    )


def run(args):
    beside = [Path(args.hyp).with_name(name) for name in ("decode.json", "cut_off")]
    reads = {"--ref": [args.ref], "--hyp": [args.hyp, *beside], "--against": args.against}
    others = {"--lexicon": [args.lexicon], "--normalizer": [args.normalizer.rpartition(":")[0]]}
    keep_apart({"--output": [args.output]}, {**reads, **others})

    from espnet_posinv.scoring.wer import UNITS, score_files

    result = score_files(
        args.ref,
        args.hyp,
        args.output,
        language=args.language,
        missing=args.missing,
        unit=args.unit,
        lexicon=args.lexicon,
        normalizer=args.normalizer,
        against=args.against,
        sclite=args.sclite,
    )
    unit, total, interval = result["unit"], result["total"], result["total"]["interval95"]
    rate = f"{UNITS[unit]} {total['wer']:.1f} % [{interval['low']:.1f}, {interval['high']:.1f}]"
    print(
        f"{args.output}: {rate}, {total['S']} S {total['D']} D {total['I']} I of {total['N']} {unit}, "
        f"{total['utterances']} utterances"
    )
    for note in result["notes"]:
        print(f"  {note}")
    for name, other in result.get("comparisons", {}).items():
        interval = other["interval95"]
        p = [f"{other[test]['p']:.3g} ({test})" for test in ("matched_pairs", "permutation")]
        rate = f"{other['difference']:+.1f} [{interval['low']:+.1f}, {interval['high']:+.1f}]"
        print(f"  against {name}: {rate}, p {', '.join(p)}")
    if found := result.get("sclite"):
        print(f"  sclite: {found['S']} S {found['D']} D {found['I']} I of {found['N']}, {found['report']}")
