"""Make noise lists for training, validation and tests from DEMAND, fetched from Zenodo if need be."""

import sys
from functools import partial
from pathlib import Path

from espnet_posinv.kaldi.cli import Parser, positive, run


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = Parser("demand_data", __doc__)
    parser.add_argument("noise_dir", type=Path)
    parser.add_argument("--demand", default="", help="your own folder with environments or their zips")
    parser.add_argument("--downloads", type=Path, default=Path("downloads"), help="keeps what was fetched")
    parser.add_argument("--channel", type=positive, default=1, help="microphone, 1 to 16")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: _make(args))


def _make(args) -> None:
    from espnet_posinv.corpora.demand import find_recording, write_noises
    from espnet_posinv.kaldi.scp import DataError
    from espnet_posinv.sources.fetch import FetchError

    own = Path(args.demand) if args.demand else None
    find = partial(find_recording, own=own, downloads=args.downloads, channel=args.channel)
    try:
        minutes = write_noises(find, args.noise_dir)
    except FetchError as error:
        raise DataError(str(error)) from error
    print(f"{args.noise_dir}: {', '.join(f'{part} {x:.1f} min' for part, x in minutes.items())}")


if __name__ == "__main__":
    sys.exit(main())
