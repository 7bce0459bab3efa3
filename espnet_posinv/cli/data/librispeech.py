"""Make a data directory of clean speech from parts of LibriSpeech; missing parts are fetched from OpenSLR."""

from pathlib import Path

from espnet_posinv.cli.arguments import positive


def options(parser):
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--parts", nargs="+", required=True, help="like train-clean-100")
    parser.add_argument("--lexicon", action="store_true", help="also fetch the pronouncing dictionary")
    parser.add_argument("--librispeech", default="", help="your own folder with the parts or their tarballs")
    parser.add_argument("--downloads", type=Path, default=Path("downloads"), help="folder for downloads")
    parser.add_argument("--every", type=positive, default=1, help="keep every N-th utterance only")


def run(args) -> None:
    from espnet_posinv.corpora.librispeech import PARTS, find_lexicon, find_part, write_set

    own = Path(args.librispeech) if args.librispeech else None
    folders = [find_part(part, own, args.downloads) for part in args.parts]
    if args.lexicon:
        find_lexicon(args.downloads)
    count = write_set(folders, args.data_dir, every=args.every)
    published = sum(-(-PARTS[part].utterances // args.every) for part in args.parts)
    note = "" if count == published else f"; {' and '.join(args.parts)} as published would give {published}"
    print(f"{args.data_dir}: {count} utterances{note}")
