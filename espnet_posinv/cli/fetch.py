"""Fetch archives and pretrained models from the registries of Debian and Python.

Needs no root and installs nothing. Hashes are checked, and existing files are kept. Prints `NAME PATH` for
each name.
"""

import sys
from pathlib import Path

from espnet_posinv.cli.arguments import add_downloads
from espnet_posinv.corpora.catalogue import ARCHIVES
from espnet_posinv.corpora.fetch import fetch
from espnet_posinv.corpora.models import WHISPER, nsnet2, whisper

MODELS = [*(f"whisper-{size}" for size in WHISPER), "nsnet2"]


def options(parser):
    parser.add_argument("names", nargs="+", metavar="NAME", help="model or archive, see below")
    add_downloads(parser, "downloads")
    for size in WHISPER:
        parser.add_argument(
            f"--whisper-{size.replace('.', '-')}", type=Path, help=f"your own faster-whisper {size} folder"
        )
    parser.add_argument("--nsnet2-onnx", type=Path, help="your own nsnet2-20ms-baseline.onnx")


def run(args):
    if unknown := [n for n in args.names if n not in MODELS and n not in ARCHIVES]:
        sys.exit(f"unknown name {unknown[0]}; known: {' '.join([*MODELS, *ARCHIVES])}")
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
