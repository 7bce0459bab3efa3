"""Paths with blanks, ids of any script, directories without content: the same from start to end."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv.kaldi import read_scp, write_scp

REPO = Path(__file__).parents[2]
UTTS = [f"спк日-ü{k}" for k in range(4)]


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A folder with a blank and an umlaut in its name, data directory and files alike."""
    folder = tmp_path / "größe und"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("utils", "scripts"):
        Path(name).symlink_to(REPO / name)
    random = np.random.default_rng(0)
    for k in range(4):
        soundfile.write(f"é {k}.wav", 0.1 * random.standard_normal(8000), 16000, subtype="PCM_16")
    write_scp("da ta/wav.scp", {utt: f"{folder}/é {k}.wav" for k, utt in enumerate(UTTS)})
    write_scp("da ta/text", dict.fromkeys(UTTS, "Grüße  zwei\u3000три"))
    write_scp("da ta/utt2spk", dict.fromkeys(UTTS, "спк日"))

    def run(*commands):
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", "\n".join(commands)],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHON": sys.executable, "LC_ALL": "C"},
            timeout=600,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    return run


def test_blanks_and_unicode(shell):
    code, said = shell(
        "utils/utt2spk_to_spk2utt.pl 'da ta/utt2spk' > 'da ta/spk2utt'",
        "utils/validate_data_dir.sh --no-feats --check-audio 'da ta'",
        "utils/fix_data_dir.sh 'da ta'",
        "utils/split_data.sh --per-utt 'da ta' 2",
        "utils/subset_data_dir.sh 'da ta' 2 'su b'",
        "utils/copy_data_dir.sh --utt-prefix ä- 'da ta' 'co py'",
        "utils/combine_data.sh 'bo th' 'su b' 'co py'",
        "utils/data/get_utt2dur.sh 'bo th'",
        "utils/validate_data_dir.sh --no-feats --no-spk-sort 'bo th'",
        "scripts/audio/format_wav_scp.sh --nj 2 --cmd utils/run.pl --fs 8k 'bo th/wav.scp' 'du mp'",
    )
    assert code == 0, said
    assert list(read_scp("da ta/split2utt/2/wav.scp")) == UTTS[2:]
    text = read_scp("bo th/text")
    assert sorted(text) == sorted([*UTTS[1::2], *(f"ä-{utt}" for utt in UTTS)])
    assert set(text.values()) == {"Grüße  zwei\u3000три"}
    formatted = read_scp("du mp/wav.scp")
    assert set(formatted) == set(text)
    for path in formatted.values():
        samples, rate = soundfile.read(path)
        assert rate == 8000 and len(samples) == 4000


def test_blanks_and_unicode_behind_sox(shell):
    code, said = shell(
        "command -v sox >/dev/null || exit 77",
        "utils/perturb_data_dir_speed.sh 0.9 'da ta' 'sp eed'",
        "scripts/audio/format_wav_scp.sh --nj 2 'sp eed/wav.scp' 'du mp'",
    )
    if code == 77:
        pytest.skip("sox is not installed")
    assert code == 0, said
    assert {abs(int(n) - 8000 / 0.9) < 2 for n in read_scp("du mp/utt2num_samples").values()} == {True}


@pytest.mark.parametrize(
    "command",
    ["fix_data_dir.sh none", "split_data.sh none 2", "copy_data_dir.sh none new", "combine_data.sh new none"],
)
def test_nothing_in_it(shell, command):
    Path("none").mkdir()
    code, said = shell(f"utils/{command}")
    assert code == 1 and "none/utt2spk: no such file; write a line" in said
    Path("none/utt2spk").touch()
    code, said = shell(f"utils/{command}")
    assert code == 1 and "none/utt2spk: the file is empty" in said
    assert not Path("new").exists()


def test_nothing_to_split_and_nothing_to_find(shell):
    assert shell("utils/split_scp.pl /dev/null a b") == (
        1,
        "posinv data split-scp: /dev/null: cannot split into 2 parts what has no entries (--nj)\n",
    )
    assert shell("utils/filter_scp.pl /dev/null 'da ta/text'") == (0, "")
    code, said = shell("utils/validate_data_dir.sh --no-feats --no-text none")
    assert code == 1 and "no such directory" in said
