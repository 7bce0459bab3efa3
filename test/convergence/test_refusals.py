"""What the command refuses before it measures anything, and models that posinv finetune has made."""

import pytest
import yaml

from espnet_posinv.cli import command
from espnet_posinv.convergence.measure import points
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.systems import System, read_systems


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fraction", "0"], "--fraction 0.0: must be above 0 and at most 1"),
        (["--fraction", "nan"], "--fraction nan: must be above 0 and at most 1"),
        (["--signal", "estoi,foo"], "--signal estoi,foo: no metric 'foo'; there are pesq, estoi, si_sdr"),
    ],
)
def test_options_without_meaning(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        command("convergence")(
            [f"{tmp_path}/x", "--data", "d", "--recogniser", "whisper:w", "--output-dir", "o", *options]
        )
    assert message in capsys.readouterr().err


def test_a_model_fine_tuned_in_memory_names_the_folder_it_began_with(tmp_path):
    """The folder's own folder, exp, once was the system that training started from."""
    (tmp_path / "exp/nsnet2").mkdir(parents=True)
    (tmp_path / "exp/tuned").mkdir()
    init = f"{tmp_path}/exp/nsnet2"
    (tmp_path / "exp/tuned/config.yaml").write_text(yaml.safe_dump({"init_param": [init]}))
    (tuned,) = read_systems([tmp_path / "exp/tuned"]).values()
    assert tuned.start == "nsnet2"
    training = tuned.trainings[0]
    for path, start in (("exp/a_seed2/valid.loss.best.pth:enc:enc", "a"), ("gone/tiny.en", "tiny.en")):
        assert System("x", [training._replace(config={"init_param": [path]})]).start == start
    with pytest.raises(DataError, match=r"config\.yaml: init_param .* is a folder, as of posinv finetune"):
        points(tmp_path / "exp/tuned")
