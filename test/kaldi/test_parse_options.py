"""utils/parse_options.sh as scripts source it."""

import subprocess
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[2] / "utils"
SCRIPT = """set -euo pipefail
help_message="Usage: script [--stage N]"
stage=1
stop_stage=100
skip_train=false
tag=
cmd=run.pl
enh_args="--max_epoch 3"
. {utils}/parse_options.sh
printf '%s|' "$stage" "$stop_stage" "$skip_train" "$tag" "$cmd" "$enh_args" "$@"
compgen -A function | grep __po && exit 9
compgen -A variable | grep __po && exit 9
true
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("script.sh").write_text(SCRIPT.format(utils=UTILS))

    def run(*args):
        done = subprocess.run(["bash", "script.sh", *args], capture_output=True, text=True, timeout=120)
        assert not Path("touched").exists(), "a value was executed"
        return done

    return run


DEFAULTS = ["1", "100", "false", "", "run.pl", "--max_epoch 3"]


@pytest.mark.parametrize(
    ("args", "changed", "rest"),
    [
        ([], {}, []),
        (["--stage", "3"], {0: "3"}, []),
        (["--stop-stage", "3"], {1: "3"}, []),
        (["--stop_stage", "3"], {1: "3"}, []),
        (["--stop-stage=3", "--stop_stage=4"], {1: "4"}, []),
        (["--skip-train", "true", "a", "--stage", "2"], {2: "true"}, ["a", "--stage", "2"]),
        (["--tag", "", "x"], {}, ["x"]),
        (["--tag=", "x"], {}, ["x"]),
        (["--tag=a=b c"], {3: "a=b c"}, []),
        (["--cmd", "slurm.pl --mem 2G"], {4: "slurm.pl --mem 2G"}, []),
        (["--enh-args", "--lr 1e-3"], {5: "--lr 1e-3"}, []),
        (["--enh_args=--stage"], {5: "--stage"}, []),
        (["--enh_args", "--optim=adam"], {5: "--optim=adam"}, []),
        (["--tag", "$(touch touched)"], {3: "$(touch touched)"}, []),
        (["--tag=`touch touched`"], {3: "`touch touched`"}, []),
        (["--tag", "'; touch touched; '"], {3: "'; touch touched; '"}, []),
        (["-x", "--stage", "2"], {}, ["-x", "--stage", "2"]),
    ],
)
def test_values(script, args, changed, rest):
    done = script(*args)
    assert done.returncode == 0, done.stderr
    expected = [changed.get(k, value) for k, value in enumerate(DEFAULTS)] + rest
    assert done.stdout == "".join(f"{value}|" for value in expected)


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["--stage"], "--stage has no value"),
        (["--stage", "--skip-train", "true"], "--stage has no value: '--skip-train' is an option"),
        (["--stages", "1"], "there is no option --stages"),
        (["--none=1"], "there is no option --none"),
        (["--skip-train", "yes"], "--skip-train takes true or false, not 'yes'"),
        (["--skip-train="], "--skip-train takes true or false, not ''"),
        (["--cmd", ""], "--cmd is empty"),
        (["--tag[$(touch touched)]", "1"], "is no option name"),
        (["--tag[$(touch touched)]=1"], "is no option name"),
        (["--config", "none.conf"], "none.conf: no such file"),
        (["--config"], "--config has no value"),
    ],
)
def test_errors(script, args, what):
    done = script(*args)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("script.sh: ") and what in done.stderr


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(script, option):
    done = script("--stage", "2", option)
    assert (done.returncode, done.stdout) == (0, "Usage: script [--stage N]\n")


def test_config(script):
    lines = [
        "# a comment",
        "",
        "stage=3  # three",
        "tag='a b # c'",
        'cmd="x y"',
        "  stop_stage=7",
        "enh_args=",
    ]
    Path("c.conf").write_text("\n".join(lines))  # no newline at the end
    for args in (["--config", "c.conf", "--stage", "9"], ["--stage", "9", "--config=c.conf"]):
        done = script(*args)
        assert done.stdout == "9|7|false|a b # c|x y||", done.stderr  # the command line comes first


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("tag=$(touch touched)", "not expanded"),
        ('tag="$HOME"', "not expanded"),
        ("touch touched", "expected NAME=VALUE"),
        ("tag=a b", "expected NAME=VALUE"),
        ("none=1", "there is no option --none"),
        ("skip_train=1", "takes true or false"),
        ("x[$(touch touched)]=1", "not expanded"),
    ],
)
def test_bad_config(script, line, what):
    Path("c.conf").write_text(f"stage=2\n{line}\n")
    done = script("--config", "c.conf")
    assert done.returncode == 1 and what in done.stderr and "c.conf:2" in done.stderr
