"""queue.pl on a real Grid Engine of one host."""

import os
import re
import signal
import sys
import time

import pytest


def test_array(sge):
    result = sge("--mem", "100M", "JOB=1:5", "log/x.JOB.log", "echo", "JOB", "$SGE_TASK_ID")
    assert result.returncode == 0, result.stderr
    assert [sge.output(f"log/x.{i}.log") for i in range(1, 6)] == [[f"{i} {i}"] for i in range(1, 6)]
    assert re.fullmatch(
        r"# Running on \S+\n# Started at .*\n# echo 5 \$SGE_TASK_ID\n5 5\n"
        r"# Accounting: time=\d threads=1\n# Finished at .* with status 0\n",
        (sge.directory / "log/x.5.log").read_text(),
    )


def test_failing_tasks_and_retry_of_just_these(sge):
    """Tasks 2 and 4 are no range, which is all that qsub -t knows."""
    command = ("echo", "JOB", ">>ran;", "test", "$[JOB%2]", "=", 1, "-o", "-e", "f.JOB", "||")
    command = (*command, "{", "touch", "f.JOB;", "echo", "with status 0", ";", "exit", "3;", "}")
    result = sge("--retry", 1, "JOB=1:4", "x.JOB.log", *command)
    assert result.returncode == 0, result.stderr
    assert f"retry 1 of 1: task 2 on {os.uname().nodename}: exit code 3; task 4 on" in result.stderr
    assert sorted((sge.directory / "ran").read_text().split()) == list("122344")
    assert "with status 3" in (sge.directory / "x.4.log.attempt1").read_text()


def test_a_task_that_ends_in_137_is_a_failure(sge):
    """The original put it into state Eqw and waited for ever."""
    result = sge("x.log", "exit", 137)
    assert result.returncode == 1
    assert "exit code 137, killed by signal 9 (SIGKILL), probably out of memory" in result.stderr


def test_a_task_killed_with_its_runner_is_noticed(sge):
    death = ("{", "touch", "now;", "kill", "-9", "$PPID;", "sleep", "60;", "}")
    result = sge("JOB=1:2", "x.JOB.log", "test", "JOB", "=", 1, "||", *death)
    assert result.returncode == 1
    assert time.time() - (sge.directory / "now").stat().st_mtime < 15
    assert "1 / 2 failed" in result.stderr
    assert "exit code 137, killed by signal 9 (SIGKILL), probably out of memory" in result.stderr


def test_a_job_that_cannot_start_does_not_wait_for_ever(sge):
    """State Eqw, that of a job whose script (here: whose shell) ends with 100."""
    shell = sge.directory / "shell"
    shell.write_text("#!/bin/bash\nexit 100\n")
    shell.chmod(0o755)
    result = sge("-S", shell, "JOB=1:2", "x.JOB.log", "true", timeout=60)
    assert result.returncode == 1
    assert "2 / 2 failed" in result.stderr
    assert "could not be started (Grid Engine: " in result.stderr
    sge.wait_for(lambda: not sge.tool("qstat"))


def test_a_job_without_its_directory(sge):
    result = sge("-wd", "/no/such/folder", "x.log", "true")
    assert result.returncode == 1
    # Grid Engine holds it in state Eqw, or lets it end at once: both were seen.
    assert re.search(r"could not be (started|run) \(Grid Engine: .*; it never started", result.stderr)


@pytest.mark.parametrize("code", [99, 100])
def test_exit_codes_that_grid_engine_takes_for_orders(sge, code):
    """99 would put the job back into the queue, 100 would hold it in state Eqw."""
    result = sge("x.log", "exit", code)
    assert result.returncode == 1
    assert f"exit code {code}\n" in result.stderr
    assert not (sge.directory / "x.log.attempt1").exists()


def test_deleted_by_somebody(sge):
    launcher = sge.start("x.log", "touch", "here;", "sleep", "100")
    sge.wait_for((sge.directory / "here").exists)
    number = (sge.directory / "q/x/jobs").read_text().split()[-1]
    sge.tool("qdel", number)
    assert launcher.wait(180) == 1
    assert "killed by signal" in launcher.stderr.read()


def test_signal_cancels_the_job(sge):
    launcher = sge.start("JOB=1:2", "x.JOB.log", "echo", "$$", ">pid.JOB;", "exec", "sleep", "100")

    def started():
        texts = [path.read_text().strip() for path in sge.directory.glob("pid.*")]
        return texts if len(texts) == 2 and all(texts) else None

    pids = sge.wait_for(started)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(180) == 2
    sge.wait_for(lambda: not any(map(sge.alive, pids)))


def test_rescheduled_attempts_do_not_share_a_log(sge):
    command = "test $RESTARTED = 1 && echo second || { touch here; echo first; exec sleep 100; }"
    launcher = sge.start("--requeue", 60, "x.log", "eval", command)
    sge.wait_for((sge.directory / "here").exists)
    sge.tool("qmod", "-rj", (sge.directory / "q/x/jobs").read_text().split()[-1])
    assert launcher.wait(180) == 0, launcher.stderr.read()
    assert sge.output("x.log") == ["second"]
    assert sge.output("x.log.attempt1") == ["first"]


def test_warned_of_its_time_limit_a_job_goes_back_into_the_queue(sge):
    task = sge.directory / "task.py"
    task.write_text(
        "import os, signal, sys, time\n"
        "def save(*_):\n"
        # Grid Engine warns the whole group, and the task's wrapper passes it on: it may come twice
        "    signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        "    print('saved', flush=True), os._exit(99)\n"
        "signal.signal(signal.SIGUSR1, save)\n"
        "print('restarted', os.environ['RESTARTED'], flush=True)\n"
        "time.sleep(0 if os.environ['RESTARTED'] == '1' else 100)\n"
    )
    result = sge("--requeue", 60, "-l", "s_rt=0:0:3", "x.log", sys.executable, task)
    assert result.returncode == 0, result.stderr
    assert sge.output("x.log.attempt1") == ["restarted 0", "saved"]
    assert sge.output("x.log") == ["restarted 1"]


def test_threads_gpus_and_memory_are_asked_for(sge):
    command = ("qstat", "-j", "$JOB_ID", "|", "grep", "-E", "'^(hard|parallel)'")
    assert sge("--num-threads", 2, "--gpu", 1, "--mem", "2G", "x.log", *command).returncode == 0
    text = "\n".join(sge.output("x.log"))
    assert "gpu=1" in text and "ram_free=2G" in text and re.search(r"smp range: +2", text)


def test_max_jobs_run(sge):
    busy = "echo + >> n; sleep 1; echo - >> n"
    assert sge("--max-jobs-run", 2, "JOB=1:4", "x.JOB.log", "bash", "-c", busy).returncode == 0
    running = [0]
    for sign in (sge.directory / "n").read_text().split():
        running.append(running[-1] + (1 if sign == "+" else -1))
    assert max(running) == 2


@pytest.mark.parametrize(
    "args, text",
    [
        (("--gpu", 3), "offers only hc:gpu=2"),
        (("--mem", "21G"), "offers only hc:ram_free=20.000G"),
        (("--partition", "none"), "unknown queue"),
        (("-l", "tpu=1"), 'unknown resource "tpu"'),
    ],
)
def test_what_the_cluster_lacks_is_named_before_anything_is_queued(sge, args, text):
    result = sge(*args, "x.log", "true")
    assert result.returncode == 255
    assert "this Grid Engine has no place for such a job" in result.stderr and text in result.stderr
    assert not (sge.directory / "q/x/jobs").exists()
