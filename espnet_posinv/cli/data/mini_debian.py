"""Make the data directories of egs2/mini_debian/enh1.

Writes data/{train,valid,dev,test_clean,test_seen,test_unseen}. Missing recordings are downloaded. Sets that
exist with the same size and seed are kept.
"""

from functools import partial
from pathlib import Path

from espnet_posinv.cli.arguments import add_downloads
from espnet_posinv.corpora.attribution import write_attribution
from espnet_posinv.corpora.espeak import Lexicon
from espnet_posinv.corpora.mini_debian import SIZES, build

ARCHIVES = (
    *(f"asterisk-core-sounds-{x}{y}" for x in ("en", "es", "fr", "it", "ru") for y in ("", "-g722")),
    *("fillets-ng-data", "fillets-ng-data-cs", "fillets-ng-data-nl"),
    *("ufoai-sound", "lincity-ng-data", "asterisk-moh-opsound-g722"),
    *("megaglest-data", "endless-sky-data", "sonic-pi-samples"),
)


def options(parser):
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder for the data directories")
    add_downloads(parser, "../downloads")
    parser.add_argument("--size", choices=SIZES, default="default", help="of all sets")
    parser.add_argument("--seed", type=int, default=0, help="of noises, SNRs and levels")
    parser.add_argument("--lexicon", type=Path, help="pronunciations: the sets get a file text_phones")


def run(args):
    lexicon = Lexicon.read(args.lexicon) if args.lexicon else None
    say = partial(print, flush=True)
    build(args.data, args.downloads, args.size, args.seed, args.archives, say, lexicon)
    write_attribution(args.data / "ATTRIBUTION.md", ARCHIVES)
