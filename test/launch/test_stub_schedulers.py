"""slurm.pl and queue.pl with stubs of the schedulers: outages and refusals, and all that needs no engine."""

import os
import re
import sys

import pytest

SBATCH = r"""#!/usr/bin/env bash
# Runs the tasks at once, in the background; states in $STUB.
echo "$@" >>"$STUB/submitted"
state() { echo $2 >"$STUB/.$1" && mv "$STUB/.$1" "$STUB/$1"; } # at once: squeue may be reading
while [ $# -gt 1 ]; do
    case $1 in
        --test-only) exit 0 ;;
        --array) tasks=${2%\%*} ;;
    esac
    shift
done
for range in ${tasks//,/ }; do for i in $(seq ${range%-*} ${range#*-}); do list+=" $i"; done; done
for i in ${list:-single}; do
    id=7_$i; [ "$i" = single ] && id=7 || export SLURM_ARRAY_TASK_ID=$i
    state $id PENDING
    (
        state $id RUNNING
        if bash "$1"; then state $id COMPLETED; else state $id FAILED; fi
    ) </dev/null >/dev/null 2>&1 &
done
echo 7
"""
SQUEUE = r"""#!/usr/bin/env bash
fail() { echo "slurm_load_jobs error: $1" >&2; exit 1; }
[ -e "$STUB/down" ] && rm "$STUB/down" && fail "Unable to contact slurm controller"
[ -e "$STUB/forgotten" ] && grep -qE 'COMPLETED|FAILED' "$STUB/7" && fail "Invalid job id specified"
for f in "$STUB"/7*; do echo "$(basename "$f")|$(cat "$f")|None"; done
"""
SCONTROL = """#!/usr/bin/env bash
[ $2 = config ] && echo 'MaxArraySize = 1001' || echo 'JobId=7 ExitCode=3:0 Reason=x'
"""


@pytest.fixture
def stub(tmp_path, make_launcher):
    folder = tmp_path / "stub"
    folder.mkdir()
    programs = {"sbatch": SBATCH, "squeue": SQUEUE, "scontrol": SCONTROL, "scancel": "#!/bin/sh\n"}
    programs["sinfo"] = "#!/bin/sh\necho 'cpu|8|16000|(null)|infinite'\n"
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return make_launcher("slurm.pl", {"PATH": f"{folder}:{os.environ['PATH']}", "STUB": str(folder)})


def test_array_and_its_command_line(stub, tmp_path):
    options = ("--mem", "2G", "--time", "1:00", "--partition", "cpu", "--account", "speech")
    result = stub(*options, "--max-jobs-run", 2, "JOB=2:4", "x.JOB.log", "test", "JOB", "!=", 3)
    assert result.returncode == 1
    assert (
        "1 / 3 failed" in result.stderr and f"task 3 on {os.uname().nodename}: exit code 1" in result.stderr
    )
    assert "with status 0" in (tmp_path / "x.4.log").read_text()
    submitted = (tmp_path / "stub/submitted").read_text().splitlines()[-1]
    assert submitted.startswith(
        "--export=ALL --mem 2G --time 1:00 --partition cpu --account speech --parsable "
    )
    assert "--array 2-4%2 " in submitted and "--job-name x.JOB " in submitted


def test_a_local_override_without_the_file_that_it_overrides(stub, tmp_path):
    """It was not read."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.local.conf").write_text(
        "option gpu=0 --partition cpu\noption mem=* --mem-per-cpu $0\n"
    )
    assert stub("--mem", "2G", "x.log", "true").returncode == 0
    submitted = (tmp_path / "stub/submitted").read_text().splitlines()[-1]
    assert submitted.startswith("--export=ALL --partition cpu --mem-per-cpu 2G --parsable ")


def test_an_outage_of_the_scheduler_is_waited_out(stub, tmp_path):
    (tmp_path / "stub/down").touch()
    assert stub("x.log", "true").returncode == 0
    assert not (tmp_path / "stub/down").exists()


def test_a_job_that_the_scheduler_has_forgotten(stub, tmp_path):
    """Ended longer ago than Slurm remembers, say while the launcher was suspended: the result file knows."""
    (tmp_path / "stub/forgotten").touch()
    assert stub("x.log", "true").returncode == 0
    result = stub("x.log", "kill", "-9", "$PPID")
    assert result.returncode == 1 and "Slurm does not know it any more" in result.stderr


def test_completed_without_a_result_is_a_failure(stub, tmp_path):
    """The scheduler is content, but nobody saw the command succeed."""
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "slurm.conf").write_text(f"command {tmp_path}/stub/content\n")
    (tmp_path / "stub/content").write_text('#!/bin/sh\necho COMPLETED >"$STUB/7"; echo 7\n')
    (tmp_path / "stub/content").chmod(0o755)
    result = stub("x.log", "true")
    assert result.returncode == 1
    assert "ended without leaving a result" in result.stderr and "it never started" in result.stderr


def test_a_result_without_the_schedulers_consent_is_a_failure(stub, tmp_path):
    """The command ended well, but then its node, or the job's epilogue, did not."""
    sbatch = tmp_path / "stub/sbatch"
    sbatch.write_text(SBATCH.replace("$id COMPLETED", "$id NODE_FAIL"))
    result = stub("x.log", "true")
    assert result.returncode == 1
    assert "its node failed (Slurm: NODE_FAIL)" in result.stderr


@pytest.mark.parametrize(
    "line, words",
    [
        ("PENDING|BadConstraints", "could never start (Slurm: PENDING, BadConstraints)"),
        ("SPECIAL_EXIT|JobHeldAdmin", "put on hold (Slurm: SPECIAL_EXIT, JobHeldAdmin)"),
    ],
)
def test_a_job_without_hope_is_cancelled(stub, tmp_path, line, words):
    (tmp_path / "stub/squeue").write_text(f"#!/bin/sh\necho '7|{line}'\n")
    (tmp_path / "stub/sbatch").write_text("#!/bin/sh\necho 7\n")
    (tmp_path / "stub/scancel").write_text('#!/bin/sh\necho "$@" >>"$STUB/cancelled"\n')
    result = stub("x.log", "true")
    assert result.returncode == 1 and words in result.stderr
    assert (tmp_path / "stub/cancelled").read_text().split()[0] == "7"


def test_refusal_of_the_scheduler_is_passed_on(stub, tmp_path):
    (tmp_path / "stub/sbatch").write_text(
        SBATCH.replace("echo 7\n", "echo 'sbatch: error: quota' >&2; exit 1\n")
    )
    result = stub("x.log", "true")
    assert result.returncode == 255 and "Slurm refused the job: sbatch: error: quota" in result.stderr


@pytest.mark.parametrize("name, scheduler", [("slurm.pl", "Slurm"), ("queue.pl", "Grid Engine")])
def test_without_the_scheduler_it_says_so(tmp_path, make_launcher, name, scheduler):
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "python3").symlink_to(sys.executable)
    result = make_launcher(name, {"PATH": str(bare)})("x.log", "true")
    assert result.returncode == 255
    assert re.search(rf"not found: this host cannot submit to {scheduler};.*cmd_backend=local", result.stderr)
