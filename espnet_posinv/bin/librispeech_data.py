"""Make a data directory of clean speech from parts of LibriSpeech, fetched from OpenSLR if need be."""

import sys
from pathlib import Path

from espnet_posinv.kaldi.cli import Parser, positive, run


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = Parser("librispeech_data", __doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--parts", nargs="+", required=True, help="like train-clean-100")
    parser.add_argument("--librispeech", default="", help="your own folder with the parts or their tarballs")
    parser.add_argument("--downloads", type=Path, default=Path("downloads"), help="keeps what was fetched")
    parser.add_argument("--every", type=positive, default=1, help="keep one of so many utterances")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: _make(args))


def _make(args) -> None:
    from espnet_posinv.corpora.librispeech import PARTS, find_part, write_set
    from espnet_posinv.kaldi.scp import DataError
    from espnet_posinv.sources.fetch import FetchError

    own = Path(args.librispeech) if args.librispeech else None
    try:
        folders = [find_part(part, own, args.downloads) for part in args.parts]
    except FetchError as error:
        raise DataError(str(error)) from error
    count = write_set(folders, args.data_dir, every=args.every)
    published = sum(-(-PARTS[part].utterances // args.every) for part in args.parts)
    note = "" if count == published else f"; {' and '.join(args.parts)} as published would give {published}"
    print(f"{args.data_dir}: {count} utterances{note}")


if __name__ == "__main__":
    sys.exit(main())
