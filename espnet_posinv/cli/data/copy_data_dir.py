"""Copy a data directory; utterances and speakers can get other ids."""

from itertools import chain
from pathlib import Path

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.datadir import DataDir, write_data_dir
from espnet_posinv.kaldi.rename import affix, renamed
from espnet_posinv.kaldi.scp import entries


def options(parser):
    parser.add_argument("src_dir")
    parser.add_argument("dest_dir")
    for option in ("--utt-prefix", "--utt-suffix", "--spk-prefix", "--spk-suffix"):
        parser.add_argument(option, default="", help=f"{option[6:]} put to {option[2:5]} ids")
    parser.add_argument("--validate-opts", default="", help="accepted for compatibility")


def run(args):
    data = DataDir(args.src_dir)
    utt, spk = affix(args.utt_prefix, args.utt_suffix), affix(args.spk_prefix, args.spk_suffix)
    tables = renamed(data, utt=utt, spk=spk)
    if (args.utt_prefix or args.utt_suffix) and "utt2uniq" not in data.names:
        tables = chain(tables, [("utt2uniq", {utt(name): name for name in data.utts})])
    dest = Path(args.dest_dir)
    tables = ((name, t) for name, t in tables if not _made_there(data, name, t, dest / name))
    write_data_dir(dest, tables, verbatim=data.verbatim)
    print(f"copy_data_dir.sh: copied {args.src_dir} to {args.dest_dir}")


def _made_there(data: DataDir, name: str, table: dict[str, str], there: Path) -> bool:
    """Whether the copy has a newer list of its own, like one of formatted audio."""
    if schema.keyed_by(name, segmented=False) or not there.exists():
        return False
    newer = there.stat().st_mtime_ns >= (data.path / name).stat().st_mtime_ns
    return newer and {key for _, key, _ in entries(there)} == table.keys()
