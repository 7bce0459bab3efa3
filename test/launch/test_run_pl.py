"""utils/run.pl: the command line of the launchers, logs, exit codes, signals, defects of the originals."""

import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from espnet_posinv.launch.calls import literal

UTILS = Path(__file__).resolve().parents[2] / "utils"
SECONDS = 60


def test_log_has_the_known_lines_in_order(run, tmp_path):
    assert run("x.log", "echo", "hello").returncode == 0
    assert re.fullmatch(
        r"# echo hello\n# Started at \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \S+ \d{4}\n#\nhello\n"
        r"# Accounting: time=\d+ threads=1\n"
        r"# Ended \(code 0\) at .*\d{4}, elapsed time \d+ seconds\n",
        (tmp_path / "x.log").read_text(),
    )


def test_array_runs_each_task_once_with_its_number(run, tmp_path):
    assert run("JOB=3:6", "log/x.JOB.log", "echo", "a.JOB", "JOB/b", "$[JOB*2]").returncode == 0
    assert sorted(p.name for p in (tmp_path / "log").glob("*.log")) == [f"x.{i}.log" for i in range(3, 7)]
    for i in range(3, 7):
        assert run.output(f"log/x.{i}.log") == [f"a.{i} {i}/b {2 * i}"]


def test_options_before_and_after_the_range_and_any_job_name(run, tmp_path):
    result = run(
        "--mem", "1M", "LMWT=7:8", "--max-jobs-run", 1, "-pe", "smp", 4, "-V", "x.LMWT.log", "echo", "LMWT"
    )
    assert result.returncode == 0, result.stderr
    assert run.output("x.8.log") == ["8"]


def test_words_reach_bash_raw_or_unchanged(run, tmp_path):
    words = [
        "x.log",
        "printf",
        r"'%s|'",
        "$WHO",
        "two  words",
        "$WHO is it",
        'a "b" c',
        "it's a",
        "",
        ">",
        "out",
    ]
    assert run(*words, env={**os.environ, "WHO": "me"}).returncode == 0
    assert (tmp_path / "out").read_text() == """me|two  words|$WHO is it|a "b" c|it's a||"""


def test_dollar_parenthesis_is_executed_once(run, tmp_path):
    assert run("x.log", "echo", "$(echo", "run", ">>count)").returncode == 0
    assert (tmp_path / "count").read_text() == "run\n"


def test_job_is_replaced_as_a_word_only(run, tmp_path):
    assert run("JOB=1:2", "JOBS/x_JOB.log", "echo", "JOBS", "myJOB", "n_JOB", "--id=JOB").returncode == 0
    assert run.output("JOBS/x_2.log") == ["JOBS myJOB n_2 --id=2"]


def test_job_only_inside_longer_words_is_refused(run):
    result = run("JOB=1:2", "x.JOB.log", "touch", "outJOB")
    assert result.returncode == 255 and "outJOB" in result.stderr


def test_one_log_for_many_tasks_is_refused(run, tmp_path):
    result = run("JOB=1:2", "JOBS.log", "true")
    assert result.returncode == 255 and "2 tasks would write one log, JOBS.log" in result.stderr
    assert run("JOB=2:2", "x.log", "true").returncode == 0
    assert not (tmp_path / "JOBS.log").exists()


@pytest.mark.parametrize(
    "args, text",
    [
        ((), "usage:"),
        (("x.log",), "needs a log file and a command"),
        (("--gpu", "x.log", "true"), "every option takes a value, so these were read: --gpu x.log"),
        (("JOB=2:1", "x.JOB.log", "true"), "invalid job range JOB=2:1"),
        (("JOB=0:1", "x.JOB.log", "true"), "invalid job range JOB=0:1"),
        (("--mem",), "option --mem needs a value"),
        (("--max-jobs-run", "0", "x.log", "true"), "--max-jobs-run 0: must be a whole number, at least 1"),
        (("--pick", "some", "x.log", "true"), "--pick some: must be all, failed or incomplete"),
        (("--mem", "lots", "x.log", "true"), "--mem lots: must be a number with K, M, G or T"),
        (("--num_nodes", "2", "x.log", "true"), "this machine only"),
    ],
)
def test_wrong_usage(run, tmp_path, args, text):
    result = run(*args)
    assert result.returncode == 255
    assert text in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.glob("*.log"))


def test_log_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").touch()
    result = run("file/x.log", "true")
    assert result.returncode == 255
    assert "run.pl: file/x.log cannot be written: Not a directory: file/q" in result.stderr


def test_check_only(run, tmp_path):
    assert run("--check", "true", "x.log", "touch", "here").returncode == 0
    assert not (tmp_path / "here").exists() and not (tmp_path / "x.log").exists()
    result = run("--check", "true", "--num-nodes", "2", "x.log", "true")
    assert result.returncode == 255 and "this machine only" in result.stderr


def test_failure_names_tasks_host_code_and_the_end_of_the_first_log(run, tmp_path):
    script = tmp_path / "task.sh"
    script.write_text(
        "for i in $(seq 40); do echo line $i; done; test $1 != 2 || exit 7; test $1 != 3 || kill -9 $$"
    )
    result = run("JOB=1:4", "log/x.JOB.log", "bash", script, "JOB")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    host = os.uname().nodename
    assert lines[0] == "run.pl: 2 / 4 failed, log is in log/x.*.log"
    assert lines[1] == f"run.pl: task 2 on {host}: exit code 7"
    assert (
        lines[2]
        == f"run.pl: task 3 on {host}: exit code 137, killed by signal 9 (SIGKILL), probably out of memory"
    )
    assert lines[3] == "run.pl: last lines of log/x.2.log:"
    assert [line.strip() for line in lines[4:]] == (tmp_path / "log/x.2.log").read_text().splitlines()[-20:]
    assert "    line 40" in lines and "    line 10" not in lines
    assert "# Ended (code 137; signal 9) at" in (tmp_path / "log/x.3.log").read_text()


def test_single_job_failure_message(run):
    result = run("x.log", "no-such-program")
    assert result.returncode == 1
    assert result.stderr.startswith("run.pl: job failed, log is in x.log\n")
    assert "exit code 127: command not found" in result.stderr


def test_a_program_that_prints_success_does_not_succeed(run):
    result = run(
        "x.log",
        "echo",
        "'# Ended (code 0) at now, elapsed time 1 seconds'",
        ";",
        "echo",
        "with status 0",
        ";",
        "exit",
        1,
    )
    assert result.returncode == 1


def test_failure_in_a_pipe_counts(run):
    assert run("x.log", "false", "|", "cat").returncode == 1


def test_max_jobs_run_is_kept(run, tmp_path):
    busy = "echo + >> n; sleep 0.15; echo - >> n"
    assert run("--max-jobs-run", 2, "JOB=1:6", "x.JOB.log", "bash", "-c", busy).returncode == 0
    running = [0]
    for sign in (tmp_path / "n").read_text().split():
        running.append(running[-1] + (1 if sign == "+" else -1))
    assert max(running) == 2


def test_pick_runs_what_the_old_logs_show_unfinished(run, tmp_path):
    flag = tmp_path / "flag"
    command = ("echo", "JOB", ">>ran", ";", "test", "JOB", "-ne", 2, "-o", "-e", flag)
    assert run("JOB=1:4", "x.JOB.log", *command).returncode == 1
    (tmp_path / "x.3.log").write_text(
        "# echo\n# Started at now\n#\n# Ended (code 0) at now\nlast words of a killed task\n"
    )
    # The other dialect, as written by queue.pl and slurm.pl.
    (tmp_path / "x.4.log").write_text("# Running on n1\n# Finished at Mon Nov 23 with status 0\n")

    (tmp_path / "ran").unlink()
    result = run("--pick", "incomplete", "JOB=1:4", "x.JOB.log", *command)
    assert (
        result.returncode == 1
        and "1 / 4 failed" in result.stderr
        and "task 2: failed before" in result.stderr
    )
    assert (tmp_path / "ran").read_text().split() == ["3"]

    (tmp_path / "ran").unlink()
    flag.touch()
    assert run("--pick", "failed", "JOB=1:4", "x.JOB.log", *command).returncode == 0
    assert (tmp_path / "ran").read_text().split() == ["2"]
    assert run("--pick", "failed", "JOB=1:4", "x.JOB.log", *command).returncode == 0
    assert (tmp_path / "ran").read_text().split() == ["2"]


def test_retry_keeps_the_log_of_each_attempt(run, tmp_path):
    command = ("bash", "-c", "echo try >>n; wc -l <n; test $(wc -l <n) -ge 3")
    result = run("--retry", 2, "x.log", *command)
    assert result.returncode == 0, result.stderr
    assert [run.output(f"x.log{end}") for end in (".attempt1", ".attempt2", "")] == [
        ["1"],
        ["2"],
        ["3"],
    ]
    (tmp_path / "n").unlink()
    assert run("--retry", 1, "x.log", *command).returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels_all_processes_and_exits_2(run, tmp_path, number):
    command = ["bash", "-c", "echo $$ >>pids; sleep 300 & echo $! >>pids; wait"]
    launcher = run.start("--max-jobs-run", "2", "JOB=1:3", "x.JOB.log", *command)
    pids = tmp_path / "pids"
    run.wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 4)
    launcher.send_signal(number)
    assert launcher.wait(180) == 2
    assert f"caught {number.name}, cancelling" in launcher.stderr.read()
    run.wait_for(lambda: not any(map(run.alive, pids.read_text().split())), 60)
    assert len(pids.read_text().split()) == 4  # the third task never started
    log = tmp_path / "x.1.log"
    assert log.read_text().splitlines()[-1].startswith("# Ended (code 143; signal 15)")


def test_a_task_that_ignores_sigterm_is_killed(run, tmp_path):
    command = ["bash", "-c", "trap '' TERM; echo $$ >pid; while :; do sleep 0.2; done"]
    launcher = run.start("x.log", *command)
    run.wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    launcher.terminate()
    assert launcher.wait(180) == 2
    assert not run.alive((tmp_path / "pid").read_text().strip())


def test_tasks_of_a_killed_launcher_do_not_outlive_it(run, tmp_path):
    """The next run of the same log must not meet them writing the same files."""
    launcher = run.start("x.log", "echo", "$$", ">pid;", "exec", "sleep", "300")
    run.wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    launcher.kill()
    launcher.wait()
    assert run("x.log", "echo", "again").returncode == 0
    assert not run.alive((tmp_path / "pid").read_text().strip())
    assert run.output("x.log") == ["again"]


def test_two_runs_of_one_log_at_a_time_are_refused(run, tmp_path, monkeypatch):
    launcher = run.start("x.log", "touch", "here;", "sleep", "300")
    run.wait_for((tmp_path / "here").exists)
    result = run("x.log", "true")
    assert result.returncode == 255
    assert f"x.log is being written by another run (process {launcher.pid} on" in result.stderr
    launcher.terminate()
    assert launcher.wait(180) == 2


def test_a_full_disc_is_a_failure(run, tmp_path):
    """The command ended well, but nobody could write that down."""
    result = run("x.log", "rm", "-r", "q/x/1.*")
    assert result.returncode == 1
    assert "ended without leaving a result" in result.stderr or "exit code 1" in result.stderr


def test_each_gpu_serves_one_task_at_a_time(run, tmp_path):
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "4,7,9"}
    command = ("sleep", "0.2;", "echo", "$CUDA_VISIBLE_DEVICES")
    assert run("--gpu", 1, "JOB=1:3", "x.JOB.log", *command, env=env).returncode == 0
    assert sorted(run.output(f"x.{i}.log")[0] for i in (1, 2, 3)) == ["4", "7", "9"]
    assert run("--gpu", 2, "JOB=1:2", "x.JOB.log", *command, env=env).returncode == 0
    assert [run.output(f"x.{i}.log") for i in (1, 2)] == [["4,7"], ["4,7"]]
    result = run("--gpu", 4, "x.log", "true", env=env)
    assert result.returncode == 255 and "this machine has 3 (4,7,9)" in result.stderr


def test_works_from_any_directory_through_a_link(run, tmp_path):
    (tmp_path / "a b/c").mkdir(parents=True)
    (tmp_path / "a b/utils").symlink_to(UTILS)
    result = subprocess.run(["../utils/run.pl", "x.log", "pwd"], cwd=tmp_path / "a b/c", timeout=SECONDS)
    assert result.returncode == 0
    assert run.output("a b/c/x.log") == [str(tmp_path / "a b/c")]


def test_starts_quickly(run):
    """Recipes call it thousands of times: all but the task costs few times what a bare interpreter does.

    On an idle machine 0.05 s; processor time and a ratio, the best of several, for this one may be busy.
    """
    assert run("x.log", "true").returncode == 0
    # As path.sh has it; a python3 that is a script which looks for the real one has its own price.
    path = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}

    def cost(command):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=run.directory, env=path, check=True, timeout=SECONDS)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    ours = min(cost([run.door, "--pick", "failed", "x.log", "true"]) for _ in range(10))
    bare = min(cost([sys.executable, "-IS", "-c", "pass"]) for _ in range(10))
    assert ours < 5 * bare


NAMES = [
    "out 1",
    "out(1)",
    "o'1",
    "o$HOME",
    "o;1",
    "o&1",
    'a "b" (c) $d',
    "JOB 1",
    "tab\there",
    "x\u00a0y",
    "#x",
]


@pytest.mark.parametrize("name", NAMES)
def test_literal_words_arrive_as_they_are(run, tmp_path, name):
    assert run("x.log", "touch", literal(f"{tmp_path}/{name}")).returncode == 0
    assert (tmp_path / name).exists()


def test_the_job_variable_is_replaced_within_a_literal_word(run, tmp_path):
    assert run("JOB=2:2", "x.log", "touch", literal("a b (c) JOB")).returncode == 0
    assert (tmp_path / "a b (c) 2").exists()


@pytest.mark.parametrize("name", [*NAMES, "two  blanks", "*", "[a]"])
def test_submit_hands_words_on_as_they_are(run, tmp_path, name):
    done = subprocess.run(
        ["bash", "-c", '. "$0/submit.sh"; submit "$0/run.pl --mem 1M" x.log touch "$1"', UTILS, name],
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert (tmp_path / name).exists()
