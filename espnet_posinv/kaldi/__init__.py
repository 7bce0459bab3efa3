"""Kaldi data directories: read, check, fix, split, subset, combine, copy; formatting their audio.

All modules except those for audio need the standard library only, so that the commands in utils/ start fast
and work outside of the project's environment.

>>> import tempfile
>>> folder = tempfile.mkdtemp()
>>> speakers, texts = {"a1": "a", "a2": "a", "b1": "b"}, {"a1": "HELLO", "a2": "YES", "b1": "NO"}
>>> write_data_dirs([folder], [("utt2spk", [speakers]), ("text", [texts])])
>>> read_scp(f"{folder}/spk2utt") == spk2utt(DataDir(folder).utt2spk)
True
>>> [str(problem).removeprefix(folder) for problem in check_data_dir(folder)]
['/wav.scp: no such file; make it, or give --no-wav']
>>> [list(DataDir(part).utts) for part in split_data_dir(DataDir(folder), 2)]
[['a1', 'a2'], ['b1']]
>>> write_scp(f"{folder}/segments", {"a1": "call 0 1.5", "a2": "call 2 3", "b1": "call 3 -1"})
>>> read_segments(f"{folder}/segments")["a1"]
Segment(reco='call', start=0.0, end=1.5)
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
