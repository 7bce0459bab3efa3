"""The grammar of conf/slurm.conf and conf/queue.conf, without a scheduler."""

import pytest

from espnet_posinv.launch.conf import Conf
from espnet_posinv.launch.request import UsageError, parse

# As Kaldi and ESPnet write them: comments, several words, special values, defaults before their options.
TEXT = """\
# Default configuration
command qsub -V -v PATH -cwd -S /bin/bash
option name=* -N $0
option mem=* -l mem_free=$0,ram_free=$0
option mem=0          # Do not add anything to qsub_opts
option num_threads=* -pe smp $0
option num_threads=1
option max_jobs_run=* -tc $0
default gpu=0
option gpu=0
option gpu=* -l gpu=$0 -q g.q
option note=* --comment "free text: $0"
"""


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "queue.conf").write_text(TEXT)
    return Conf(str(tmp_path / "queue.conf"), "")


@pytest.mark.parametrize(
    "options, words",
    [
        ("", ""),
        ("--mem 2G", "-l mem_free=2G,ram_free=2G"),
        ("--mem 0 --num-threads 1 --gpu 0", ""),
        ("--num_threads 4", "-pe smp 4"),
        ("--num-threads=4", "-pe smp 4"),
        ("--gpu 2 --mem 1G", "-l gpu=2 -q g.q -l mem_free=1G,ram_free=1G"),
        ("--mem 1G --gpu 2", "-l mem_free=1G,ram_free=1G -l gpu=2 -q g.q"),
        ("--mem 1G --gpu 2 --mem 3G", "-l gpu=2 -q g.q -l mem_free=3G,ram_free=3G"),
        ("--max-jobs-run 3 --retry 2 --pick failed", ""),
    ],
)
def test_words(conf, options, words):
    """In the order given, always: of two contradicting words, schedulers take the last."""
    request = parse([*options.split(), "x.log", "true"])
    for _ in range(20):
        assert conf.words(request.options) == words.split()


def test_quotes_keep_words_together(conf):
    assert conf.words({"note": "a b"}) == ["--comment", "free text: a b"]


def test_local_file_replaces_and_adds(tmp_path):
    (tmp_path / "queue.conf").write_text(TEXT)
    (tmp_path / "queue.local.conf").write_text(
        "default gpu=1\noption gpu=* -l a100=$0\noption site=* -P $0\n"
    )
    conf = Conf(str(tmp_path / "queue.conf"), "command none\noption gpu=* none\n")
    assert conf.command[0] == "qsub"
    assert conf.words({"site": "speech"}) == ["-l", "a100=1", "-P", "speech"]
    assert conf.words({"gpu": "0"}) == []


def test_undeclared_option_is_an_error(conf):
    with pytest.raises(
        UsageError, match=r"option --num-nodes 2 is not declared in .*queue.conf \(declared: --gpu"
    ):
        conf.words({"num_nodes": "2"})


@pytest.mark.parametrize("line", ["option mem $0", "commmand qsub", "default gpu", "option =x", "command"])
def test_wrong_line_is_named(tmp_path, line):
    (tmp_path / "slurm.conf").write_text(f"command sbatch\n\n{line}\n")
    with pytest.raises(UsageError, match=r"slurm.conf:3: "):
        Conf(str(tmp_path / "slurm.conf"), "")
