"""What a report is made from: sets without scores, broken files, trainings that are unknown."""

import json

import pytest

from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import read_sections
from espnet_posinv.report.experiment import Experiment, Places, load
from espnet_posinv.report.scores import load_signal, load_tasks, load_wer
from espnet_posinv.report.systems import System, read_systems

WORDS = {"S": 1, "D": 0, "I": 0, "N": 4, "ref": "a b c d", "hyp": "a b c e"}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_held_out_is_said_of_known_trainings_only(tmp_path):
    write(tmp_path / "whisper/noisy/test.json", {"utterances": {"u": WORDS}, "recogniser": {"model": "x"}})
    write(tmp_path / "exp/imported/config.yaml", "criterions: []\n")
    systems = {"noisy": System("noisy"), **read_systems([tmp_path / "exp/imported"])}
    words = {"whisper": load_wer(tmp_path / "whisper", ["test"])}
    experiment = Experiment(Places(tmp_path, tmp_path, tmp_path, ["test"]), systems, words, {}, {}, [], [])
    assert experiment.took_part("whisper") == ([], [])
    systems["strange"] = System("strange")  # scored, without config.yaml
    assert experiment.took_part("whisper") == ([], ["strange"])


def test_sets_that_do_not_exist_are_refused(tmp_path):
    write(tmp_path / "s/rec/noisy/test.json", {"utterances": {"u": WORDS}, "recogniser": None})
    places = ["--scores-dir", f"{tmp_path}/s", "--exp-dir", f"{tmp_path}/exp", "--output", f"{tmp_path}/R.md"]
    for options, message in (
        (["--test-sets", "test tset"], "s: no scores of tset; run stage 8, or omit them"),
        (["--test-sets", "test", "--clean-set", "cl"], "clean set cl: is none of the test sets test; add it"),
    ):
        with pytest.raises(SystemExit, match=message):
            command("report")([*places, *options])
    assert not (tmp_path / "R.md").exists()
    assert list(load(Places(tmp_path / "s", tmp_path, tmp_path, ["test"], "test")).words) == ["rec"]


@pytest.mark.parametrize("read", [load_wer, load_signal, load_tasks])
@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '"text"', '{"utterances": {}}', '{"utterances": {"u": 3}}', '{"utterances": [1]}'),
        *('{"utterances": {"u": {"N": "x", "S": 1}}}', '{"utterances": {"u": null}}'),
        *('{"utterances": {"u": {"S": null, "D": 0, "I": 0, "N": 1, "ref": "a"}}, "recogniser": null}',),
        *('{"settings": {}, "total": {"EER": 3}}', '{"settings": 3, "total": {}}'),
    ],
)
def test_broken_scores_are_named(tmp_path, read, content):
    write(tmp_path / "speaker/noisy/test.json", content)
    with pytest.raises(DataError, match=r"noisy/test\.json: no scores \(.+\); delete it and score again"):
        read(tmp_path if read is load_tasks else tmp_path / "speaker", ["test"])


def test_a_system_without_metrics_has_no_row(tmp_path):
    write(tmp_path / "noisy/test.json", {"utterances": {"u": {}}})  # of --metrics none
    assert load_signal(tmp_path, ["test"]) == {}


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"\xff", b'{"kind": "Strong", "text": "x"}', b"{}"])
def test_broken_studies_and_scores_to_compare_with_are_named(tmp_path, content):
    (tmp_path / "ablation").mkdir()
    (tmp_path / "ablation/section.json").write_bytes(content)
    with pytest.raises(DataError, match=r"section\.json: not the section of a study.*; run the study again"):
        read_sections(tmp_path)
    (tmp_path / "text").write_text("u a b\n")
    files = ["--ref", f"{tmp_path}/text", "--hyp", f"{tmp_path}/text", "--output", f"{tmp_path}/o.json"]
    with pytest.raises(SystemExit, match=r"section\.json: no scores \(.*\); score that system again"):
        command("score", "words")([*files, "--against", f"{tmp_path}/ablation/section.json"])
    assert not (tmp_path / "o.json").exists()
