"""What a product was made from: any change of an input is seen, what is no change is not."""

import json
import os
import shutil
import time

import pytest

from espnet_posinv import cli
from espnet_posinv.recipe import contents as module
from espnet_posinv.recipe.contents import Contents
from espnet_posinv.recipe.made_from import MAKE, REFUSED, THERE, begin, drop_stale, paths_in, stale


@pytest.fixture(autouse=True)
def old_enough(monkeypatch):
    """Files of a test are young; let the cache keep them."""
    monkeypatch.setattr(module, "YOUNG", -1.0)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data directory of two recordings, a pipe and an archive."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("data")
    for name in "abcd":
        (tmp_path / f"{name}.wav").write_bytes(name.encode() * 1000)
    (tmp_path / "data/wav.scp").write_text("u1 a.wav\nu2 b.wav\nu3 sox 'c.wav' -t wav - |\nu4\td.wav:13\n")
    (tmp_path / "data/utt2spk").write_text("u1 s\nu2 s\nu3 s\nu4 s\n")
    return tmp_path


def replace(path, content):
    """In place, of the same size and time, as `cp -p` may do it."""
    status = os.stat(path)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_audio_replaced_in_place_with_size_and_time_is_another(data, name):
    before = Contents("cache").describe(["data/wav.scp"])
    assert Contents("cache").describe(["data/wav.scp"]) == before
    replace(data / f"{name}.wav", b"x" * 1000)
    after = Contents("cache").describe(["data/wav.scp"])
    assert after != before and after["data/wav.scp"]["ids"] == before["data/wav.scp"]["ids"]


def test_touched_or_copied_audio_is_the_same(data):
    before = Contents("cache").describe(["data/wav.scp"])
    os.utime("a.wav")
    shutil.copyfile("b.wav", "new.wav")
    (data / "data/wav.scp").write_text((data / "data/wav.scp").read_text().replace("b.wav", "new.wav"))
    assert Contents("cache").describe(["data/wav.scp"]) == before


def test_a_file_is_read_once(data, monkeypatch):
    before = Contents("cache").describe(["data"])
    monkeypatch.setattr(module, "_read", lambda path: pytest.fail(f"{path} is read again"))
    assert Contents("cache").describe(["data"]) == before


def test_a_young_file_is_not_kept_and_half_a_line_of_a_killed_run_does_not_count(data, monkeypatch):
    before = Contents("cache").describe(["data"])
    (data / "cache").write_text((data / "cache").read_text()[:-40])
    assert Contents("cache").describe(["data"]) == before
    monkeypatch.setattr(module, "YOUNG", 1000.0)
    Contents("other").describe(["data"])
    assert not os.path.exists("other")


def test_data_directory_is_all_its_files(data):
    before = Contents().describe(["data"])
    assert list(before) == ["data", "data/utt2spk", "data/wav.scp"]
    (data / "data/text").write_text("u1 hello\n")
    after = Contents().describe(["data"])
    assert after["data"] != before["data"] and "data/text" in after


def test_model_folder_is_its_files(data):
    os.makedirs("model/sub")
    (data / "model/sub/weights").write_bytes(b"1")
    before = Contents().describe(["model"])
    (data / "model/.hidden").write_bytes(b"2")
    (data / "model/README.md").write_text("a card")
    assert Contents().describe(["model"]) == before
    replace(data / "model/sub/weights", b"2")
    assert Contents().describe(["model"]) != before


def make(product, reads, values=(), **how):
    """begin(), and the file if it is to be made."""
    status = begin(product, reads, dict(values), Contents(), **how)
    if status == MAKE:
        os.makedirs(os.path.dirname(product), exist_ok=True)
        with open(product, "w") as file:
            file.write("made")
    return status


def test_product_is_made_again_when_an_input_or_a_setting_changes(data, capsys):
    assert make("exp/m/spk1.scp", ["data"], folder=True) == MAKE
    assert make("exp/m/spk1.scp", ["data"], folder=True) == THERE
    assert make("exp/m/spk1.scp", ["data"], {"fs": "16000"}, folder=True) == MAKE
    assert "fs: (not set) -> 16000" in capsys.readouterr().out
    (data / "exp/m/left_over").write_text("")
    replace(data / "a.wav", b"x" * 1000)
    assert make("exp/m/spk1.scp", ["data"], {"fs": "16000"}, folder=True) == MAKE
    assert "data/wav.scp: the same ids, other content (4 entries before, 4 now)" in capsys.readouterr().out
    assert not os.path.exists("exp/m/left_over")
    os.remove("exp/m/spk1.scp")
    assert make("exp/m/spk1.scp", ["data"], {"fs": "16000"}, folder=True) == MAKE
    assert make("exp/m/spk1.scp", ["data"], {"fs": "16000"}, folder=True, redo=True) == MAKE


def test_what_is_expensive_is_refused_and_stays(data, capsys):
    how = {"folder": True, "refuse": "--redo true trains it again"}
    assert make("exp/m/.finished", ["data"], {"lr": 1}, **how) == MAKE
    assert make("exp/m/.finished", ["data"], {"lr": 2}, **how) == REFUSED
    said = capsys.readouterr().err
    assert said == "exp/m was made from something else:\n  lr: 1 -> 2\n  --redo true trains it again\n"
    assert make("exp/m/.finished", ["data"], {"lr": 1}, **how) == THERE
    assert make("exp/m/.finished", ["data"], {"lr": 2}, **how, redo=True) == MAKE
    os.remove("exp/m/.made_from.json")  # made by somebody else
    assert make("exp/m/.finished", ["data"], {"lr": 2}, **how) == REFUSED
    assert "there is no note" in capsys.readouterr().err


def test_files_beside_each_other_have_notes_of_their_own(data):
    assert make("scores/one.json", ["a.wav"]) == MAKE and make("scores/two.json", ["b.wav"]) == MAKE
    replace(data / "a.wav", b"x" * 1000)
    assert make("scores/two.json", ["b.wav"]) == THERE and stale("scores/two.json", Contents()) == []
    assert stale("scores/one.json", Contents()) == ["a.wav: other content"]


def test_what_changed_is_found_behind_other_products(data):
    make("dump/test/wav.scp", ["data"], folder=True)
    make("exp/m/spk1.scp", ["dump/test/wav.scp"], folder=True)
    make("scores/m.json", ["exp/m/spk1.scp"])
    assert stale("scores/m.json", Contents()) == []
    replace(data / "b.wav", b"x" * 1000)
    assert stale("scores/m.json", Contents()) == [
        "data/wav.scp: the same ids, other content (4 entries before, 4 now)"
    ]
    os.remove("b.wav")  # to save space: nothing is known of it any more
    assert stale("scores/m.json", Contents()) == []
    assert stale("a.wav", Contents()) == []  # nobody's product


def test_a_pipe_that_does_not_show_what_it_reads_is_unknown_until_it_is_run(data, capsys):
    (data / "make.sh").write_text("cat a.wav\n")
    (data / "data/wav.scp").write_text("u1 sh make.sh u1 |\nu2 b.wav\n")
    assert Contents().describe(["data/wav.scp"])["data/wav.scp"]["pipes"] is None
    assert make("dump/wav.scp", ["data"]) == make("dump/wav.scp", ["data"]) == MAKE
    assert "pipes that do not show what they read" in capsys.readouterr().out
    make("exp/spk1.scp", ["dump/wav.scp"])
    assert make("exp/spk1.scp", ["dump/wav.scp"]) == THERE  # made of files
    assert stale("dump/wav.scp", Contents()) == stale("exp/spk1.scp", Contents(), sure=False) == []
    assert stale("dump/wav.scp", Contents(), sure=False) == [
        "data/wav.scp: it has pipes that do not show what they read"
    ]
    replace(data / "b.wav", b"x" * 1000)
    assert stale("exp/spk1.scp", Contents()) == [
        "data/wav.scp: the same ids, other content (2 entries before, 2 now)"
    ]


def test_what_is_not_made_again_has_its_pipes_run(data, capsys):
    (data / "make.sh").write_text("cat a.wav\n")
    (data / "noise.scp").write_text("traffic sh make.sh |\n")
    command = ["exp/m/.finished", "--folder", "--refuse", "--redo true trains it again"]
    command += ["--reads", "noise.scp"]
    main = cli.command("recipe", "made-from")
    assert main(command) == MAKE
    (data / "exp/m/.finished").touch()
    assert main(command) == THERE
    assert stale("exp/m/.finished", Contents()) == []
    replace(data / "a.wav", b"x" * 1000)
    assert main(command) == REFUSED
    assert "noise.scp: the same ids, other content" in capsys.readouterr().err


def test_paths_in_a_configuration(data):
    os.mkdir("model")
    config = {
        "separator": "data",  # a name, even where a folder happens to be called so
        "output_dir": "./model",
        "init_param": ["./a.wav"],
        "criterions": [{"conf": {"upstream": "transformers:model", "lr": 0.5, "where": "nowhere/x"}}],
    }
    assert paths_in(config) == ["./a.wav", "model"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("small=whisper:./model,lm=lm.arpa,beam_size=5", ["./model", "lm.arpa"]),
        ("transformers:model", ["model"]),
        ("transformers:facebook/hubert-base-ls960", []),
        ("whisper", []),  # a loader, even where a folder happens to be called so
        ("speaker:utt2spk:ge2e:lm.arpa", ["lm.arpa"]),
        ("rules.py:words --sclite", ["rules.py"]),
        ("--set preprocessor_conf.noise_scp=./lm.arpa rules.py", ["./lm.arpa", "rules.py"]),
        ("my files/lm", ["my files/lm"]),
        ("lm.arpa:encoder:encoder", ["lm.arpa"]),
        ("0.5", []),
    ],
)
def test_paths_in_a_text(data, text, paths):
    for folder in ("model", "whisper", "my files"):
        os.mkdir(folder)
    for name in ("lm.arpa", "rules.py", "my files/lm"):
        (data / name).write_text(name)
    assert paths_in(text) == paths


def test_scores_of_other_data_are_dropped(data, capsys):
    for name in ("a", "b"):
        make(f"scores/{name}.json", [f"{name}.wav"])
    replace(data / "a.wav", b"x" * 1000)
    drop_stale([data / "scores/a.json", data / "scores/b.json", data / "b.wav"], Contents())
    assert sorted(os.listdir("scores")) == [".a.json.made_from", ".b.json.made_from", "b.json"]
    assert "scores/a.json: left out and deleted; a.wav: other content" in capsys.readouterr().out


def test_command_line_reads_what_the_configuration_names(data, capsys):
    (data / "train.yaml").write_text("optim_conf: {lr: 0.1}\ninit_param: [./a.wav]\n")
    command = ["exp/m/.finished", "--folder", "--config", "train.yaml", "--reads", "", "data", "--cache", "c"]
    main = cli.command("recipe", "made-from")
    assert main(command) == MAKE
    note = json.loads((data / "exp/m/.made_from.json").read_text())
    assert set(note["reads"]) == {"./a.wav", "data", "data/utt2spk", "data/wav.scp"}
    assert note["values"] == {"optim_conf": {"lr": 0.1}, "init_param": ["./a.wav"]}
    time.sleep(0.01)
    replace(data / "a.wav", b"y" * 1000)
    assert main([*command, "--refuse", "no"]) == REFUSED
    assert "./a.wav: other content" in capsys.readouterr().err
