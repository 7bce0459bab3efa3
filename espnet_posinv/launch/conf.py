"""conf/slurm.conf and conf/queue.conf: how a site translates the launcher's options.

    command sbatch --export=ALL        the command that submits
    option mem=* --mem $0              --mem 2G becomes --mem 2G of sbatch; $0 is the value
    option gpu=0                       for one value; overrides *
    default gpu=0                      as if --gpu 0 stood before the options of the command line
    # a comment

An undeclared option is an error. Each scheduler has a built-in table (slurm.py, gridengine.py). The file and
``slurm.local.conf`` beside it are read over it, where they exist; of declarations of the same option and
value the last counts.
"""

import os
import re
import shlex

from .request import UsageError

# Options of the launcher itself, which need no declaration.
OWN = {"config", "pick", "retry", "max_jobs_run", "check"}


class Conf:
    """The declarations of a file: ``command`` (words), ``options`` {(name, value): words}, ``defaults``."""

    def __init__(self, path, builtin):
        """Read the text ``builtin``, ``path`` and its local override; UsageError names file:line."""
        self.path, self.command, self.options, self.defaults = path, [], {}, {}
        self._read(builtin.splitlines(), "built-in configuration")
        stem, extension = os.path.splitext(path)
        for name in (path, f"{stem}.local{extension}"):
            if os.path.exists(name):
                with open(name, encoding="utf-8-sig") as file:
                    self._read(file, name)

    def _read(self, lines, name):
        for number, line in enumerate(lines, 1):
            keyword, _, rest = re.sub(r"(^|\s)#.*", "", line).strip().partition(" ")
            rest = rest.strip()
            if keyword == "command" and rest:
                self.command = shlex.split(rest)
            elif keyword == "option" and (match := re.fullmatch(r"([\w-]+)=(\S+)\s*(.*)", rest)):
                self.options[match[1].replace("-", "_"), match[2]] = shlex.split(match[3])
            elif keyword == "default" and (match := re.fullmatch(r"([\w-]+)=(\S+)", rest)):
                self.defaults[match[1].replace("-", "_")] = match[2]
            elif keyword:
                raise UsageError(
                    f"{name}:{number}: {line.strip()!r} is none of 'command ...', 'option NAME=VALUE ...', "
                    "'option NAME=* ...', 'default NAME=VALUE'"
                )

    def words(self, options):
        """The scheduler's words for a request's options: defaults first, then in the user's order.

        The order matters: for schedulers the last of several equal options counts.
        """
        words = []
        for name, value in {
            **{k: v for k, v in self.defaults.items() if k not in options},
            **options,
        }.items():
            if name in OWN:
                continue
            pattern = self.options.get((name, value), self.options.get((name, "*")))
            if pattern is None:
                declared = ", ".join(sorted({f"--{n.replace('_', '-')}" for n, _ in self.options}))
                raise UsageError(
                    f"option --{name.replace('_', '-')} {value} is not declared in {self.path} "
                    f"(declared: {declared}); remove it, or declare it there for your scheduler: "
                    f"option {name}=* ... $0"
                )
            words += [word.replace("$0", value) for word in pattern]
        return words
