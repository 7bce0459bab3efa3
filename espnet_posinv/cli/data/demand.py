"""Make noise lists for training, validation and tests from DEMAND; missing zips are fetched from Zenodo."""

from functools import partial
from pathlib import Path

from espnet_posinv.cli.arguments import positive


def options(parser):
    parser.add_argument("noise_dir", type=Path)
    parser.add_argument("--demand", default="", help="your own folder with environments or their zips")
    parser.add_argument("--downloads", type=Path, default=Path("downloads"), help="folder for downloads")
    parser.add_argument("--channel", type=positive, default=1, help="microphone, 1 to 16")


def run(args) -> None:
    from espnet_posinv.corpora.demand import find_recording, origin_of, write_noises

    own = Path(args.demand) if args.demand else None
    find = partial(find_recording, own=own, downloads=args.downloads, channel=args.channel)
    origin = partial(origin_of, own=own, channel=args.channel)
    minutes = write_noises(find, args.noise_dir, origin=origin)
    print(f"{args.noise_dir}: {', '.join(f'{part} {x:.1f} min' for part, x in minutes.items())}")
