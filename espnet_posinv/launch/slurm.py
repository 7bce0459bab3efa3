"""Jobs on Slurm (slurm.pl): one sbatch for all tasks, squeue and scontrol for their fate, no accounting."""

import re

from .cluster import Cluster, SchedulerDown
from .request import UsageError, consecutive
from .resources import parse_memory
from .result import exit_words, signal_words

ACTIVE = {
    *("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"),
    *("REQUEUED", "REQUEUE_FED", "STAGE_OUT"),
}

# Pending jobs with these reasons never start.
HOPELESS = (
    "BadConstraints",
    "DependencyNeverSatisfied",
    "launch failed requeued held",
    "InvalidAccount",
    "InvalidQOS",
)
WORDS = {
    "OUT_OF_MEMORY": "out of memory; ask for more with --mem",
    "TIMEOUT": "out of time; ask for more with --time",
    "CANCELLED": "cancelled by somebody else",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "preempted by another job",
    "PENDING": "could never start",
    "REQUEUE_HOLD": "put on hold",
    "SPECIAL_EXIT": "put on hold",
}


class Slurm(Cluster):
    """Slurm 20 or later."""

    name = "Slurm"
    programs = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
    default_conf = "conf/slurm.conf"
    index = "$SLURM_ARRAY_TASK_ID"
    requeue = 'scontrol requeue "$SLURM_JOB_ID"'
    builtin_conf = """\
command sbatch --export=ALL
option name=* --job-name $0
option time=* --time $0
option mem=0
option mem=* --mem $0
option num_threads=* --cpus-per-task $0
option num_nodes=* --nodes $0 --ntasks-per-node 1
default gpu=0
option gpu=0
option gpu=* --gres gpu:$0
option partition=* --partition $0
option account=* --account $0
option qos=* --qos $0
option requeue=* --requeue --signal B:USR1@$0
"""

    def submission(self, tasks, script):
        """Words of sbatch that the launcher itself sets."""
        index = self.request.tasks[0]
        words = [
            "--parsable",
            "--open-mode",
            "append",
            "--output",
            self.output_of("%a" if self.request.array else index),
        ]
        if "name" not in self.request.options:
            words += ["--job-name", self.workspace.path.rpartition("/")[2]]
        if self.request.array:
            limit = f"%{self.request.max_jobs_run}" if self.request.max_jobs_run else ""
            ranges = (str(a) if a == b else f"{a}-{b}" for a, b in consecutive(tasks))
            words += ["--array", ",".join(ranges) + limit]
        return [*words, script]

    def job_number(self, text):
        """Number of the job from the answer of sbatch --parsable, ``NUMBER[;CLUSTER]``."""
        return text.split()[-1].partition(";")[0]

    def cancellation(self, jobs):
        """Command that removes jobs."""
        return ["scancel", *jobs]

    def states(self, jobs):
        """{index: None while active, else squeue's record}; tasks unknown to Slurm are missing."""
        result = self.call(["squeue", "-h", "-t", "all", "-r", "-j", ",".join(jobs), "-o", "%i|%T|%r"])
        if result.returncode != 0:
            if "Invalid job id" in result.stderr:  # ended long ago
                return {}
            raise SchedulerDown(result.stderr.strip())
        states = {}
        for line in result.stdout.splitlines():
            number, state, reason = line.split("|", 2)
            index = int(number.partition("_")[2] or self.request.tasks[0])
            hopeless = state == "PENDING" and reason.startswith(HOPELESS)
            hopeless = hopeless or state in ("REQUEUE_HOLD", "SPECIAL_EXIT")
            if hopeless:
                self.call(["scancel", number])
            states[index] = None if state in ACTIVE and not hopeless else (number, state, reason)
        return states

    def verdict(self, index, record, result):
        """Slurm's complaint about a task that ended, or None."""
        if record is None:
            return None if result else "Slurm does not know it any more"
        number, state, reason = record
        if state == "COMPLETED":
            return None
        if state != "FAILED":
            return f"{WORDS.get(state, 'ended')} (Slurm: {state}{'' if reason == 'None' else ', ' + reason})"
        answer = self.call(["scontrol", "show", "job", "-o", number]).stdout
        match = re.search(r" ExitCode=(\d+):(\d+)", answer)
        if match is None:
            return f"failed (Slurm: {reason})"
        return signal_words(int(match[2])) if match[2] != "0" else exit_words(int(match[1]))

    def preflight(self):
        """Report resources that the cluster lacks, before anything is queued."""
        nodes = self.call(["sinfo", "-h", "-N", "-o", "%R|%c|%m|%G|%l|%N"])
        if nodes.returncode != 0:
            raise UsageError(f"Slurm does not answer: {nodes.stderr.strip()}")
        if self.request.array:
            config = self.call(["scontrol", "show", "config"]).stdout
            match = re.search(r"MaxArraySize\s*=\s*(\d+)", config)
            if match and self.request.tasks[-1] >= int(match[1]):
                raise UsageError(
                    f"task {self.request.tasks[-1]}: this Slurm allows array numbers up to "
                    f"{int(match[1]) - 1} (MaxArraySize); use fewer, larger tasks"
                )
        test = self.call([*self.conf.command, *self.words, "--test-only", "--wrap", "true"])
        if test.returncode == 0:
            return
        answer = (
            test.stderr.strip().replace("allocation failure: ", "").replace("sbatch: error: ", "sbatch: ")
        )
        lacks = self._lacks([line.split("|") for line in nodes.stdout.splitlines()], answer)
        raise UsageError("; ".join([*lacks, f"Slurm would refuse the job: {answer}"]))

    def _lacks(self, nodes, answer):
        """Compare the request with the nodes of its partition."""
        partitions = sorted({node[0] for node in nodes})
        words = " ".join(self.words)
        match = re.search(r"(?:^| )(?:-p|--partition)[ =]?(\S+)", words)
        if match and match[1] not in partitions:
            return [f"no partition {match[1]} here (there are {', '.join(partitions)})"]
        if match:
            nodes = [node for node in nodes if node[0] == match[1]]
        where = f"a node of partition {match[1]}" if match else "a node"
        if "time limit" in answer:
            limits = ", ".join(sorted({f"{node[0].rstrip('*')} {node[4]}" for node in nodes}))
            return [f"--time {self.request.options.get('time')}: the limits are {limits}"]
        if self.request.nodes > (count := len({node[5] for node in nodes})):
            return [f"--num-nodes {self.request.nodes}: there are {count}"]
        gpus = [sum(int(n) for n in re.findall(r"gpu(?::[A-Za-z]\w*)?:(\d+)", node[3])) for node in nodes]
        asked = [
            ("gpu", self.request.gpus, gpus),
            ("num-threads", self.request.threads, [int(n[1]) for n in nodes]),
        ]
        if self.request.options.get("mem", "0") != "0":
            mem = parse_memory(self.request.options["mem"]) // 2**20
            asked.append(("mem", mem, [int(n[2].rstrip("+")) for n in nodes]))
        return [
            f"--{name} {self.request.options.get(name.replace('-', '_'))}: {where} has at most {max(most)}"
            + (" MB" if name == "mem" else "")
            for name, need, most in asked
            if need > max(most, default=0)
        ]
