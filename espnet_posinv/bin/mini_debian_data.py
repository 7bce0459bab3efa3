"""Make the data directories of egs2/mini_debian/enh1: python -m espnet_posinv.bin.mini_debian_data --help."""

import argparse
import sys
from functools import partial
from pathlib import Path

from espnet_posinv.sources.attribution import write_attribution
from espnet_posinv.sources.fetch import FetchError
from espnet_posinv.sources.mini_debian import SIZES, build

ARCHIVES = (
    *(
        f"asterisk-core-sounds-{x}"
        for x in ("en", "en-g722", "fr", "fr-g722", "it", "it-g722", "ru", "ru-g722")
    ),
    *(
        "ufoai-sound",
        "lincity-ng-data",
        "asterisk-moh-opsound-g722",
        "fillets-ng-data-cs",
        "fillets-ng-data-nl",
    ),
)


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Make data/{train,valid,dev,test_clean,test_seen,test_unseen} from recordings that are "
        "fetched when missing. Sets that exist with the same size and seed are kept.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder for the data directories")
    parser.add_argument(
        "--downloads", type=Path, default=Path("../downloads"), help="folder that keeps archives"
    )
    parser.add_argument(
        "--archives", type=Path, action="append", default=[], help="own folder, searched first"
    )
    parser.add_argument("--size", choices=SIZES, default="default", help="of all sets")
    parser.add_argument("--seed", type=int, default=0, help="of noises, SNRs and levels")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    args = get_parser().parse_args(argv)
    try:
        build(args.data, args.downloads, args.size, args.seed, args.archives, partial(print, flush=True))
        write_attribution(args.data / "ATTRIBUTION.md", ARCHIVES)
    except (FetchError, OSError, ValueError) as error:
        sys.exit(f"{Path(__file__).stem}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
