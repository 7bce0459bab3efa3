"""The commands of utils/ as scripts call them: links, PATH, pipes, options both ways, exit status."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv.kaldi import read_scp

REPO = Path(__file__).parents[2]


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A recipe's folder with linked utils, and a directory data/train of 6 utterances of 3 speakers."""
    monkeypatch.chdir(tmp_path)
    Path("utils").symlink_to(REPO / "utils")
    Path("scripts").symlink_to(REPO / "scripts")

    def run(command, ok=True, **more):
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "PATH": f"{tmp_path}/utils:{os.environ['PATH']}",
        }
        environment.pop("PYTHONPATH", None)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            env=environment | more,
            timeout=600,
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if ok else done.stderr

    run("""mkdir -p data/train; cd data/train
        for s in a b c; do for i in 1 2; do echo "$s-$i $s"; done; done > utt2spk
        awk '{print $1 "\\t/n/" $1 ".wav"}' utt2spk > wav.scp
        awk '{print $1, "/c/" $1 ".wav"}' utt2spk > spk1.scp
        awk '{print $1, "HELLO", $2}' utt2spk > text; utt2spk_to_spk2utt.pl utt2spk > spk2utt""")
    return run


def test_inverses(shell):
    assert Path("data/train/spk2utt").read_text() == "a a-1 a-2\nb b-1 b-2\nc c-1 c-2\n"
    shell(
        "utils/utt2spk_to_spk2utt.pl < data/train/utt2spk | utils/spk2utt_to_utt2spk.pl"
        " | cmp - data/train/utt2spk"
    )
    assert "standard input:2: expected 2 fields, got 'b'" in shell(
        "printf 'a x\\nb\\n' | utt2spk_to_spk2utt.pl", ok=False
    )
    assert "standard input:2: 'a' was already given" in shell(
        "printf 'a x\\na y\\n' | utt2spk_to_spk2utt.pl", ok=False
    )


def test_perl_can_be_asked_to_run_them(shell):
    """perl hands a file whose first line names another interpreter to that one."""
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    assert shell("perl utils/utt2spk_to_spk2utt.pl data/train/utt2spk").startswith("a a-1 a-2\n")


def test_filter(shell):
    assert (
        shell("utils/filter_scp.pl <(echo b-1 x; echo a-2) data/train/text") == "a-2 HELLO a\nb-1 HELLO b\n"
    )
    assert shell("utils/filter_scp.pl --exclude data/train/text < data/train/utt2spk") == ""
    assert shell("utils/filter_scp.pl -f 2 <(echo c) data/train/utt2spk") == "c-1 c\nc-2 c\n"
    assert "text:1: no column 9" in shell(
        "utils/filter_scp.pl -f 9 data/train/text data/train/text", ok=False
    )
    assert "no such file" in shell("utils/filter_scp.pl none data/train/text", ok=False).lower()


def test_a_closed_pipe_is_no_error_message(shell):
    done = shell("yes 'a-1 x' | head -500000 | utils/filter_scp.pl data/train/text | head -1; true")
    assert done == "a-1 x\n"


def test_split_scp(shell):
    shell("utils/split_scp.pl data/train/wav.scp 1 2 3 4")
    parts = [Path(name).read_text() for name in "1234"]
    assert [part.count("\n") for part in parts] == [2, 2, 1, 1]
    assert "".join(parts) == Path("data/train/wav.scp").read_text()
    shell("utils/split_scp.pl --utt2spk=data/train/utt2spk data/train/text 1 2")
    assert [Path(name).read_text()[0:1] for name in "12"] == ["a", "b"]
    one = "utils/split_scp.pl -j 4 1 data/train/wav.scp"
    assert shell(one) == shell("utils/split_scp.pl -j 4 2 --one-based data/train/wav.scp -") == parts[1]
    assert "cannot split 6 entries into 7 parts" in shell(
        "utils/split_scp.pl data/train/text 1 2 3 4 5 6 7", ok=False
    )
    assert "--nj" in shell("utils/split_scp.pl data/train/text 1 2 3 4 5 6 7", ok=False)


def test_split_scp_keeps_equal_lines(shell):
    Path("same").write_text("a-1 x\na-1 x\nb-1 x\n")
    shell("utils/split_scp.pl --utt2spk=data/train/utt2spk same 1 2")
    assert (Path("1").read_text(), Path("2").read_text()) == ("a-1 x\na-1 x\n", "b-1 x\n")


def test_the_life_of_a_directory(shell):
    shell("utils/validate_data_dir.sh --no-feats data/train")
    shell("utils/split_data.sh data/train 3 && utils/split_data.sh --per-utt data/train 2")
    assert Path("data/train/split3/2/spk1.scp").read_text() == "b-1 /c/b-1.wav\nb-2 /c/b-2.wav\n"
    assert len(Path("data/train/split2utt/1/text").read_text().splitlines()) == 3
    shell(
        "utils/copy_data_dir.sh --utt_prefix x- --spk-prefix=x- --validate_opts --non-print data/train data/x"
    )
    shell("utils/combine_data.sh --extra_files '' data/all data/train data/x")
    shell("utils/validate_data_dir.sh --no-feats data/all")
    shell(
        "utils/subset_data_dir.sh --per-spk data/all 1 data/sub"
        " && utils/validate_data_dir.sh --no-feats data/sub"
    )
    assert list(read_scp("data/sub/spk1.scp")) == [
        "a-1",
        "b-1",
        "c-1",
        "x-a-1",
        "x-b-1",
        "x-c-1",
    ]
    shell("utils/subset_data_dir.sh --spk-list <(echo x-b) data/all data/b")
    assert Path("data/b/utt2spk").read_text() == "x-b-1 x-b\nx-b-2 x-b\n"
    shell(
        "utils/perturb_data_dir_speed.sh 0.9 data/b data/b_sp"
        " && utils/validate_data_dir.sh --no-feats data/b_sp"
    )
    assert (
        Path("data/b_sp/spk1.scp").read_text().startswith("sp0.9-x-b-1 sox /c/b-1.wav -t wav - speed 0.9 |\n")
    )


def test_the_checker_fails_and_the_fixer_repairs(shell):
    shell("sed -i 2d data/train/spk1.scp; echo 'z-1 x' >> data/train/text")
    told = shell("utils/validate_data_dir.sh --no-feats data/train", ok=False)
    assert "data/train/spk1.scp: utterance 'a-2' of utt2spk is missing" in told
    assert "data/train/text:7: utterance 'z-1' is not in utt2spk" in told
    assert "2 problems in data/train" in told
    said = shell("utils/fix_data_dir.sh --utt_extra_files 'spk1.scp none' data/train")
    assert "'a-2' dropped: not in spk1.scp" in said
    shell("utils/validate_data_dir.sh --no-feats data/train")
    shell("echo 'b-1 a' >> data/train/utt2spk")
    assert "delete one" in shell("utils/fix_data_dir.sh data/train", ok=False)


def test_what_the_fixer_cannot_decide_fails(shell):
    shell("echo 'a m' > data/train/spk2gender")
    told = shell("utils/fix_data_dir.sh data/train", ok=False)
    assert "speaker 'b' of utt2spk is missing" in told and "need a decision" in told


def test_usage_errors(shell):
    for command in (
        "utils/split_data.sh data/train 0",
        "utils/subset_data_dir.sh data/train data/x",
        "utils/subset_data_dir.sh --first --last data/train 2 data/x",
        "utils/subset_data_dir.sh data/train 7 data/x",
        "utils/perturb_data_dir_speed.sh -1 data/train data/x",
        "utils/copy_data_dir.sh --utt-pre x- data/train data/x",
        "utils/combine_data.sh data/x",
        "utils/split_scp.pl -j 3 3 data/train/text",
        "utils/validate_data_dir.sh none",
    ):
        assert shell(command, ok=False).strip()
        assert not Path("data/x").exists(), command


def test_every_command_has_help(shell):
    doors = [p for p in (REPO / "utils").glob("*.*") if 'python3}" -m espnet_posinv data' in p.read_text()]
    assert len(doors) >= 12
    for door in [*doors, REPO / "scripts/audio/format_wav_scp.sh", *(REPO / "utils/data").glob("*.sh")]:
        assert os.access(door, os.X_OK)
        assert "usage: " in shell(f"{door} --help")


def test_commands_without_audio_need_no_packages_and_start_at_once(shell):
    """-S: no site-packages; -X importtime would show torch or numpy."""
    Path("python").write_text(f'#!/bin/sh\nexec {sys.executable} -S -X importtime "$@"\n')
    Path("python").chmod(0o755)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = shell(
        "utils/validate_data_dir.sh --no-feats data/train 2>&1", PYTHON=str(Path("python").absolute())
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    imported = {
        line.rsplit("|", 1)[1].strip() for line in told.splitlines() if line.startswith("import time:")
    }
    assert "espnet_posinv.kaldi.check" in imported
    assert not {name.split(".")[0] for name in imported} & {"numpy", "torch", "soundfile", "espnet2"}


def test_audio_without_the_environment_says_what_to_do(shell):
    Path("python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    Path("python").chmod(0o755)
    told = shell("utils/data/get_utt2dur.sh data/train", ok=False, PYTHON=str(Path("python").absolute()))
    assert "set PYTHON to its python" in told


@pytest.fixture
def wavs(shell):
    """Real files behind data/train."""
    rng = np.random.default_rng(0)
    for kind in ("n", "c"):
        Path(kind).mkdir()
        for utt in read_scp("data/train/utt2spk"):
            soundfile.write(f"{kind}/{utt}.wav", rng.uniform(-0.5, 0.5, 4000), 8000)
    shell("sed -i 's#/n/#n/#' data/train/wav.scp; sed -i 's#/c/#c/#' data/train/spk1.scp")


def test_format(shell, wavs):
    """The calls of an enhancement template: one per signal, into one dump directory."""
    shell("utils/copy_data_dir.sh data/train dump/train && rm dump/train/{wav,spk1}.scp")
    for name in ("spk1", "wav"):
        shell(
            f"scripts/audio/format_wav_scp.sh --nj 2 --out-filename {name}.scp --audio-format flac --fs 16k "
            f"data/train/{name}.scp dump/train dump/train/logs/{name} dump/train/data/{name}"
        )
    assert Path("dump/train/utt2num_samples").read_text().splitlines()[0] == "a-1 8000"
    shell("utils/validate_data_dir.sh --no-feats --check-audio --fs 16k --channels 1 dump/train")
    assert "16000 Hz, not 8000" in shell(
        "utils/validate_data_dir.sh --no-feats --check-audio --fs 8k dump/train", ok=False
    )
    shell("utils/data/get_utt2dur.sh dump/train")
    assert Path("dump/train/utt2dur").read_text().splitlines()[0] == "a-1 0.5"
    for option in ("--fs fast", "--audio-format mp3", "--ref-channels x", "--ref-channels 1", "--nj 0"):
        assert shell(
            f"scripts/audio/format_wav_scp.sh {option} data/train/wav.scp dump/bad", ok=False
        ).strip()
        assert not Path("dump/bad/wav.scp").exists()


def test_format_as_jobs_of_a_launcher(shell, wavs):
    """A launcher stub: JOB=1:n LOG command, each job in turn."""
    Path("launch.sh").write_text(
        'range=${1#JOB=1:}; log=$2; shift 2\nfor j in $(seq "$range"); do\n'
        '"${@//JOB/$j}" > "${log//JOB/$j}" 2>&1 || exit 1\ndone\n'
    )
    cuts = [f"{utt}-{k} {utt} 0.{k} 0.{k + 1}\n" for utt in ("a-1", "c-2") for k in range(4)]
    Path("segments").write_text("".join(cuts))
    call = "scripts/audio/format_wav_scp.sh --fs 16k --segments segments"
    as_jobs = f"{call} --nj 3 --cmd 'bash launch.sh' data/train/wav.scp dump/jobs"
    shell(as_jobs)
    shell(f"{call} data/train/wav.scp dump/here")
    assert len(list(Path("dump/jobs/logs").glob("format_wav_scp.*.log"))) == 3
    assert Path("dump/jobs/utt2num_samples").read_text() == Path("dump/here/utt2num_samples").read_text()
    jobs, here = read_scp("dump/jobs/wav.scp"), read_scp("dump/here/wav.scp")
    assert list(jobs) == list(here) == [cut.split()[0] for cut in cuts]
    for utt, path in jobs.items():
        np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(here[utt])[0])
    told = shell(as_jobs.replace("'bash launch.sh'", "run.pl").replace("dump/jobs", "'dump/$H; (s) & '\\'"))
    odd = Path("dump/$H; (s) & '")
    assert (odd / "utt2num_samples").read_text() == Path("dump/here/utt2num_samples").read_text(), told
    # A launcher that loses its jobs and reports success: what an earlier run left must not stand in.
    assert "part.1" in shell(as_jobs.replace("bash launch.sh", "true"), ok=False)
    shell("rm n/c-2.wav; rm -r dump/jobs/data")
    assert "dump/jobs/logs/format_wav_scp.*.log" in shell(as_jobs, ok=False)


def test_mix_mono(shell):
    Path("ch1.scp").write_text("a x1.wav\nb y1.wav\n")
    Path("ch2.scp").write_text("b y2.wav\na x2.wav\n")  # joined by id, not by line
    assert shell("mix-mono-wav-scp.py ch1.scp ch2.scp") == (
        "a sox -M x1.wav x2.wav -c 2 -t wav - |\nb sox -M y1.wav y2.wav -c 2 -t wav - |\n"
    )
    Path("ch2.scp").write_text("b y2.wav\n")
    assert "ch2.scp: has not the entries of ch1.scp: a" in shell(
        "mix-mono-wav-scp.py ch1.scp ch2.scp", ok=False
    )


def test_byte_order_marks_in_pipes(shell):
    Path("ids").write_text("\ufeffa-1\nc-2\n")
    Path("marked").write_text("\ufeffa-1 a\nb-1 b\n\ufeffc-2 c\n")
    assert shell("filter_scp.pl ids < data/train/utt2spk") == "a-1 a\nc-2 c\n"
    assert shell("filter_scp.pl ids < marked") == "a-1 a\nc-2 c\n"
    assert shell("utt2spk_to_spk2utt.pl marked") == "a a-1\nb b-1\nc c-2\n"
    assert (
        shell("split_scp.pl --utt2spk data/train/utt2spk marked x y z; cat x y z") == "a-1 a\nb-1 b\nc-2 c\n"
    )


def test_apply_map(shell):
    Path("map").write_text("a-1 x-a-1\na-2 y z\nb \n")
    assert shell("head -n 2 data/train/utt2spk | apply_map.pl -f 1 map") == "x-a-1 a\ny z a\n"
    assert shell("printf 'a-1 \\ta-2   b\\n\\n' | apply_map.pl -f 2- map") == "a-1 y z \n\n"
    assert shell("printf 'q a-1\\n' | apply_map.pl --permissive map") == "q x-a-1\n"
    assert "standard input:2: 'q' is not in map" in shell("printf 'a-1\\nq\\n' | apply_map.pl map", ok=False)
    assert "range of columns" in shell("apply_map.pl -f x map < map", ok=False)


def test_lists_of_something_else_go_along_untouched(shell):
    """noises.scp and the like through every command; lists of utterances that only their keys tell follow."""
    others = {
        "noises.scp": "n2 /noise/2.wav\nn1 /noise/1.wav\n",
        "spk2enroll.json": '{"x": [["u", "/e.wav"]]}\n',
        "feats_type": "raw\n",
    }
    for name, content in others.items():
        Path("data/train", name).write_text(content)
    shell("awk '{print $1, \"*\" $1, $2}' data/train/utt2spk > data/train/enroll_spk1.scp")
    Path("data/train/data.ark").write_bytes(b"\0B")  # an archive stays where the lists say that it is
    ids = {
        "utils/copy_data_dir.sh --utt-prefix x- --spk-prefix y- data/train {}": ["x-a-1", "x-a-2", "x-b-1"],
        "utils/subset_data_dir.sh --first data/train 2 {}": ["a-1", "a-2"],
        "utils/perturb_data_dir_speed.sh 0.9 data/train {}": ["sp0.9-a-1", "sp0.9-a-2", "sp0.9-b-1"],
        "utils/combine_data.sh {} data/train data/train_copy0": ["a-1", "a-2", "b-1"],
    }
    for number, (command, first) in enumerate(ids.items()):
        shell(command.format(f"data/train_copy{number}"))
        made = Path(f"data/train_copy{number}")
        assert {name: (made / name).read_text() for name in others} == others, command
        assert not (made / "data.ark").exists()
        if number < 3:  # the two sources of the last have different utterances
            assert list(read_scp(made / "enroll_spk1.scp"))[:3] == first
    assert Path("data/train_copy0/utt2uniq").read_text().startswith("x-a-1 a-1\nx-a-2 a-2\n")

    # What was made for the copy is not overwritten with what it was made from, unless that is newer
    formatted = Path("data/train_copy1/noises.scp")
    formatted.write_text("n1 /formatted/1.wav\n")
    shell("utils/copy_data_dir.sh data/train data/train_copy1")
    assert formatted.read_text() == "n1 /formatted/1.wav\n"
    shell("touch -d tomorrow data/train/noises.scp; utils/copy_data_dir.sh data/train data/train_copy1")
    assert formatted.read_text() == others["noises.scp"]


def test_combining_lists_of_something_else(shell):
    shell("utils/copy_data_dir.sh --utt-prefix x- data/train data/other")
    Path("data/train/noises.scp").write_text("n1 /noise/1.wav\n")
    shell("utils/combine_data.sh data/one data/train data/other")
    assert Path("data/one/noises.scp").read_text() == "n1 /noise/1.wav\n"
    Path("data/other/noises.scp").write_text("n2 /noise/2.wav\n")
    shell("utils/combine_data.sh data/two data/train data/other 2> told")
    assert (
        "noises.scp is left out: data/other/noises.scp is not data/train/noises.scp"
        in Path("told").read_text()
    )
    shell("utils/combine_data.sh --extra-files noises.scp data/both data/train data/other")
    assert Path("data/both/noises.scp").read_text() == "n1 /noise/1.wav\nn2 /noise/2.wav\n"


def test_lists_as_espnets_recipes_have_them(shell):
    """Links among lists (universal_se_v1), paths alone (chime1), lines appended unsorted (mixit)."""
    Path("data/train/dereverb1.scp").symlink_to("spk1.scp")
    Path("data/train/noise_list.scp").write_text("/n/living room.wav\n/n/b.wav\n")
    shell("utils/copy_data_dir.sh --utt-prefix x- --spk-prefix x- data/train data/other")
    extra = "--skip_fix true --extra_files 'spk1.scp dereverb1.scp'"
    shell(f"utils/combine_data.sh {extra} data/both data/train data/other")
    both = read_scp("data/both/dereverb1.scp")
    assert both == read_scp("data/both/spk1.scp") and both["x-a-1"] == both["a-1"] and len(both) == 12
    assert not Path("data/both/dereverb1.scp").is_symlink()
    assert Path("data/both/noise_list.scp").read_text() == "/n/living room.wav\n/n/b.wav\n"
    for name in ("wav.scp", "spk1.scp", "dereverb1.scp", "utt2spk", "utt2uniq", "text"):
        path = Path("data/both", name)
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines, lines[0].replace("a-1", "a-1_single", 1)]) + "\n")
    shell("awk '{print $1, \"2speaker\"}' data/both/utt2spk > data/both/utt2category")
    shell("utils/fix_data_dir.sh --utt_extra_files 'spk1.scp utt2category' data/both")
    assert "a-1_single" in read_scp("data/both/utt2category")
    assert list(read_scp("data/both/wav.scp")) == sorted(read_scp("data/both/wav.scp"))
