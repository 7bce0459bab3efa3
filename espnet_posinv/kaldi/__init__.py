"""Kaldi data directories: read, check, fix, split, subset, combine, copy; formatting their audio.

Everything here but the audio modules needs the standard library only, so that the commands in utils/
start at once and work outside the project's environment.
"""

from espnet_posinv.kaldi.check import Problem, check_data_dir
from espnet_posinv.kaldi.datadir import DataDir, Segment, read_segments, spk2utt, write_data_dirs
from espnet_posinv.kaldi.fix import fix_data_dir
from espnet_posinv.kaldi.scp import DataError, entries, read_scp, write_scp
from espnet_posinv.kaldi.split import split_data_dir

__all__ = [
    "DataDir",
    "DataError",
    "Problem",
    "Segment",
    "check_data_dir",
    "entries",
    "fix_data_dir",
    "read_scp",
    "read_segments",
    "spk2utt",
    "split_data_dir",
    "write_data_dirs",
    "write_scp",
]
