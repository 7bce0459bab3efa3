"""Jobs on Grid Engine (queue.pl): one qsub for all tasks, qstat while they run, then qacct."""

import getpass
import re
from xml.etree import ElementTree

from .cluster import Cluster, SchedulerDown
from .request import UsageError
from .result import exit_words


class GridEngine(Cluster):
    """Grid Engine 6.2 and its descendants."""

    name = "Grid Engine"
    programs = ("qsub", "qstat", "qdel", "qacct")
    default_conf = "conf/queue.conf"
    index = "$SGE_TASK_ID"
    requeue = "exit 99"  # Grid Engine's convention
    builtin_conf = """\
command qsub -V -cwd -S /bin/bash -j y
option name=* -N $0
option time=* -l h_rt=$0
option mem=0
option mem=* -l ram_free=$0
option num_threads=1
option num_threads=* -pe smp $0
option num_nodes=1
default gpu=0
option gpu=0
option gpu=* -l gpu=$0
option partition=* -q $0
option account=* -P $0
option requeue=* -r y
"""

    def indices(self, tasks):
        """The tasks' own numbers if they are one range, else 1..n: -t accepts one range only."""
        if tasks[-1] - tasks[0] == len(tasks) - 1:
            return {task: task for task in tasks}
        return dict(enumerate(tasks, 1))

    def submission(self, indices, script):
        """Words of qsub that the launcher itself sets."""
        words = ["-terse"]
        if "name" not in self.request.options:
            name = re.sub(r"[^\w.-]", "_", self.workspace.path.rpartition("/")[2])
            words += ["-N", name if name[0].isalpha() else f"j{name}"]  # a name must not begin with a digit
        if not self.request.array:
            return [*words, "-o", self.output_of(indices[0]), script]
        if self.request.max_jobs_run:
            words += ["-tc", str(self.request.max_jobs_run)]
        return [*words, "-o", self.output_of("$TASK_ID"), "-t", f"{indices[0]}-{indices[-1]}", script]

    def job_number(self, text):
        """Number of the job from the answer of qsub -terse, ``NUMBER[.a-b:s]``."""
        return text.split()[-1].partition(".")[0]

    def cancellation(self, jobs):
        """Command that removes jobs."""
        return ["qdel", *jobs]

    def states(self, jobs):
        """{index: None while active} without ended tasks; tasks in state E, which never run, are removed."""
        result = self.call(["qstat", "-xml", "-u", getpass.getuser()])
        if result.returncode != 0:
            raise SchedulerDown(result.stderr.strip())
        states = {}
        for entry in ElementTree.fromstring(result.stdout).iter("job_list"):
            number = entry.findtext("JB_job_number")
            if number not in jobs:
                continue
            stuck = "E" in entry.findtext("state", "")
            for index in _numbers(entry.findtext("tasks")) or [self.request.tasks[0]]:
                states[index] = self._error(number, index) if stuck else None
        return states

    def verdict(self, index, record, result):
        """Grid Engine's complaint about a task that ended, or None."""
        if record is not None:
            return record
        if result is not None:
            return None
        answer = self.call(
            ["qacct", "-j", self.jobs[0], *(["-t", str(index)] if self.request.array else [])]
        ).stdout
        fields = dict(re.findall(r"^(\w+) +(.*?) *$", answer, flags=re.M))  # of the last attempt
        if "exit_status" not in fields:
            return None
        code = int(fields["exit_status"].split()[0])
        reason = exit_words(code) if code else "could not be run"
        failed = fields.get("failed", "0")
        return reason if failed.split()[0] == "0" else f"{reason} (Grid Engine: failed {failed})"

    def preflight(self):
        """Ask Grid Engine whether such a job could run on the empty cluster."""
        if self.call(["qstat"]).returncode != 0:
            raise UsageError(f"Grid Engine does not answer: {self.call(['qstat']).stderr.strip()}")
        words = [*self.conf.command, *self.words, "-w", "v", "-b", "y", "true"]
        result = self.call(words)
        answer = result.stdout + result.stderr
        if result.returncode == 0 and "no suitable queues" not in answer:
            return
        asked = " ".join(self.words)
        lines = [
            line
            for line in answer.splitlines()
            if "no suitable" in line or "unknown" in line or "Unable" in line
        ]
        raise UsageError(
            f"this Grid Engine has no place for such a job ({asked}): " + "; ".join(lines or [answer])
        )

    def _error(self, number, index):
        answer = self.call(["qstat", "-j", number]).stdout
        self.call(["qdel", number, *(["-t", str(index)] if self.request.array else [])])
        match = re.search(rf"error reason +{index}: *(.*)", answer) or re.search(
            r"error reason.*?: *(.*)", answer
        )
        return f"could not be started (Grid Engine: {match[1].strip() if match else 'state E'})"


def _numbers(text):
    """``1-5:1,7`` of qstat as [1, 2, 3, 4, 5, 7]; [] for None."""
    numbers = []
    for part in (text or "").split(","):
        if match := re.fullmatch(r"(\d+)(?:-(\d+):(\d+))?", part):
            numbers += range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1))
    return numbers
