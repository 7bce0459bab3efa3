"""The launcher's command line, as used by cmd.sh files and espnet2.bin.launch.

    X.pl [options] [JOB=a:b] [options] LOG command args...

Every option takes one following argument, except ``-V`` (none) and ``-pe NAME N`` (two);
``--name=value`` is understood too. ``-`` and ``_`` are equal in option names.
"""

import os
import re
import shlex

USAGE = """\
usage: {prog} [options] [JOB=a:b] [options] LOG command [args...]

Runs the command through bash, once, or once for each JOB = a..b (any name will do), each with its own
log: JOB is replaced in LOG and in the command wherever it is a word of its own (x.JOB.log, JOB/wav.scp).
Words without white space reach bash as they are, so \\| \\> '$VAR' work; others arrive unchanged.

  --max-jobs-run N     run at most N tasks at a time
  --retry N            run failed tasks again, up to N times
  --pick WHICH         all | failed (all that the old logs do not show to have succeeded)
                       | incomplete (those without an end in the old log)
  --mem 2G             memory of one task
  --num-threads N      processor cores of one task
  --gpu N              GPUs of one task
  --check true         only check whether such tasks could ever run here; nothing is started
  --config FILE        slurm.pl and queue.pl: options of the site, default conf/{conf}
Other options (--time, --name, --partition, ...) are those of the configuration file; run.pl ignores them.

Exit status: 0 all tasks succeeded, 1 a task failed, 2 cancelled by a signal, 255 wrong usage.
"""


class UsageError(ValueError):
    """The command line, the configuration or the machine does not allow the job; nothing was started."""


class Request:
    """A parsed command line.

    ``options``: long options in the order given, later ones replacing earlier ones; ``raw``: short scheduler
    options as typed; ``job``: the name of the job variable or None; ``tasks``: range of task numbers.
    """

    def __init__(self, options, raw, job, tasks, log, words):
        self.options, self.raw, self.job, self.tasks, self.log = options, raw, job, tasks, log
        self.max_jobs_run = _number(options, "max_jobs_run", 1)
        self.retry = _number(options, "retry", 0) or 0
        self.threads = _number(options, "num_threads", 1) or 1
        self.gpus = _number(options, "gpu", 0) or 0
        self.nodes = _number(options, "num_nodes", 1) or 1
        self.check = options.get("check", "false") == "true"
        self.pick = options.get("pick", "all")
        if self.pick not in ("all", "failed", "incomplete"):
            raise UsageError(f"--pick {self.pick}: must be all, failed or incomplete")
        self.command = " ".join(_shell_word(word) for word in words)
        self._check_job()

    @property
    def array(self):
        return len(self.tasks) > 1

    def substituted(self, text, value):
        """Text with the job variable replaced."""
        return substitute(text, self.job, value)

    def log_of(self, task):
        """Path of the log of one task."""
        return self.substituted(self.log, str(task))

    def log_pattern(self):
        """The logs of all tasks as one pattern, for messages."""
        return self.substituted(self.log, "*" if self.array else str(self.tasks[0]))

    def _check_job(self):
        if not self.array:
            return
        if substitute(self.log, self.job, "") == self.log:
            raise UsageError(
                f"{len(self.tasks)} tasks would write one log, {self.log}: put {self.job} into its name "
                f"as a word of its own, for instance {os.path.splitext(self.log)[0]}.{self.job}.log"
            )
        if self.job in self.command and substitute(self.command, self.job, "") == self.command:
            word = next(w for w in self.command.split() if self.job in w)
            raise UsageError(
                f"{self.job} occurs only inside longer words of the command ({word}), where it is not "
                f"replaced: all {len(self.tasks)} tasks would do the same; separate it with . _ - or /"
            )


def consecutive(numbers):
    """Runs of consecutive ascending numbers as (first, last): [1, 2, 3, 7] as [(1, 3), (7, 7)]."""
    runs = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def substitute(text, name, value):
    """Replace the job variable where no letter or digit touches it: ``x.JOB.log`` but not ``JOBS/x``."""
    if name is None:
        return text
    return re.sub(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])", lambda _: value, text)


def parse(argv):
    """Read a launcher's arguments (without the program name) into a Request; raises UsageError."""
    argv, options, raw, job, tasks = list(argv), {}, [], None, range(1, 2)
    while argv:
        if match := re.fullmatch(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?", argv[0]):
            if job is not None:
                raise UsageError(f"two job ranges: {job}=... and {argv[0]}")
            job, first, last = match[1], int(match[2]), int(match[3] or match[2])
            if not 1 <= first <= last:
                raise UsageError(f"invalid job range {argv[0]}: needs 1 <= a <= b")
            tasks = range(first, last + 1)
            del argv[0]
        elif argv[0].startswith("--"):
            name, equals, value = argv.pop(0)[2:].partition("=")
            if not equals:
                value = _take(argv, f"--{name}")
            name = name.replace("-", "_")
            options.pop(
                name, None
            )  # so that a repeated option takes its last place as well as its last value
            options[name] = value
        elif argv[0] == "-V":
            raw.append([argv.pop(0)])
        elif argv[0].startswith("-"):
            flag = argv.pop(0)
            values = [_take(argv, flag) for _ in range(2 if flag == "-pe" else 1)]
            if flag == "-tc":
                options["max_jobs_run"] = values[0]
            elif flag != "-sync":  # the launcher always waits
                raw.append([flag, *values])
        else:
            break
    if len(argv) < 2:
        taken = ", ".join(f"--{name} {value}" for name, value in options.items())
        hint = f"; every option takes a value, so these were read: {taken}" if taken else ""
        raise UsageError(f"needs a log file and a command{hint}")
    return Request(options, raw, job, tasks, argv[0], argv[1:])


def _take(argv, option):
    if not argv:
        raise UsageError(f"option {option} needs a value")
    return argv.pop(0)


def _number(options, name, least):
    if name not in options:
        return None
    text = options[name]
    if not text.isdigit() or int(text) < least:
        raise UsageError(f"--{name.replace('_', '-')} {text}: must be a whole number, at least {least}")
    return int(text)


def _shell_word(word):
    return word if word and not re.search(r"\s", word, re.ASCII) else shlex.quote(word)
