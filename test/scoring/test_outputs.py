"""No command that scores writes a result of nothing, or over a file that it reads or has written."""

import pytest

from espnet_posinv.cli import command
from espnet_posinv.cli.arguments import keep_apart

SIGNAL = ["--ref-scp", "a", "--inf-scp", "b", "--output"]
TASK = ["--task", "speaker", "--model", "ge2e:a,trials=b", "--wav-scp", "c", "--labels", "d"]
WORDS = ["--ref", "a", "--hyp", "b", "--output"]
REPORT = ["--scores-dir", "s", "--data-dir", "D", "--exp-dir", "E", "--test-sets", "test", "--output"]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("score", "signal"), [*SIGNAL, "a"], "--output a: --ref-scp has the same file; name another"),
        (("score", "signal"), [*SIGNAL, "./b"], r"--output \./b: --inf-scp has the same file"),
        (("score", "signal"), [*SIGNAL, "o", *SIGNAL, "o"], "--output o: --output has the same file"),
        (("score", "task"), [*TASK, "--output", "b"], "--output b: --model has the same file"),
        (("score", "task"), [*TASK, "--utt2spk", "e", "--output", "e"], "e: --utt2spk has the same file"),
        (("score", "words"), [*WORDS, "link"], "--output link: --ref has the same file"),
        (("score", "words"), [*WORDS, "decode.json"], "decode.json: --hyp has the same file"),
        (("score", "words"), [*WORDS, "c", "--against", "c"], "--output c: --against has the same file"),
        (("score", "words"), [*WORDS, "n.py", "--normalizer", "n.py:f"], "n.py: --normalizer has the same"),
        (("report",), [*REPORT, "o", "--html", "o"], "--html o: --output has the same file"),
        (("report",), [*REPORT, "s/rec/noisy/test.json"], "test.json: --scores-dir has the same file"),
        (("report",), [*REPORT, "D/test/text"], "text: --data-dir has the same file"),
        (("report",), [*REPORT, "E/m/config.yaml"], "config.yaml: --exp-dir has the same file"),
    ],
)
def test_inputs_and_outputs_stay(tmp_path, monkeypatch, names, options, message):
    monkeypatch.chdir(tmp_path)
    for path in (*"abcdeo", "n.py", "s/rec/noisy/test.json", "D/test/text", "E/m/config.yaml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("kept")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(SystemExit, match=message):
        command(*names)(options)
    assert {path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"kept"}


def test_a_device_may_stand_for_two_files():
    keep_apart({"--output": ["/dev/null", "/dev/null"]}, {"--ref": ["/dev/null", None, ""]})


@pytest.mark.parametrize("names", [("score", "signal"), ("score", "task")])
def test_a_score_of_nothing_is_no_success(tmp_path, monkeypatch, capsys, names):
    monkeypatch.chdir(tmp_path)
    for path in "abcd":
        (tmp_path / path).write_text("")
    with pytest.raises(SystemExit, match="holds no utterance"):
        command(*names)([*(SIGNAL[:4] if names[1] == "signal" else TASK), "--output", "o"])
    assert not (tmp_path / "o").exists()
    with pytest.raises(SystemExit):
        command("score", "signal")([*SIGNAL, "o", "--metrics", ","])
    assert "--metrics ',': no metric; write none for only" in capsys.readouterr().err
