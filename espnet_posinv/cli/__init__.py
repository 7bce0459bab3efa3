"""The command line ``posinv COMMAND``, also ``python3 -m espnet_posinv COMMAND``.

Each module here is a command and each folder a group of them: the docstring is its help, ``options(parser)``
declares its arguments, ``run(args)`` does the work and returns an exit status or None.
"""

import ast
import importlib
import io
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first words name, by default of this process, and return its exit status.

    Raises:
        SystemExit: there is no such command, or its arguments or its data are wrong.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    names: list[str] = []
    while words and (known := _commands(names)) and words[0].replace("_", "-") in known:
        names.append(words.pop(0).replace("_", "-"))
    if known := _commands(names):
        if words and words[0] not in ("-h", "--help"):
            where = " ".join(["posinv", *names])
            sys.exit(f"{where}: there is no command {words[0]!r}; {where} --help lists them")
        print(_overview(names, known))
        return 0 if words else 2
    return command(*names)(words)


def command(*names: str) -> Callable[[Sequence[str]], int]:
    """The command as a function of its arguments: ``command("score", "words")(["--ref", ...])``."""
    return partial(_run, [name.replace("_", "-") for name in names])


def _run(names: Sequence[str], argv: Sequence[str]) -> int:
    from espnet_posinv.cli.arguments import Parser

    module = importlib.import_module(".".join([__name__, *names]).replace("-", "_"))
    parser = Parser(" ".join(["posinv", *names]), module.__doc__)
    module.options(parser)
    parser.set_defaults(error=parser.error)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # data files are UTF-8 in every locale
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    args = parser.parse_args(argv)
    try:
        status = module.run(args) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except (ValueError, OSError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from error
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("espnet_posinv"):
            raise
        hint = "activate the project's environment, or set PYTHON to its python"
        raise SystemExit(f"{parser.prog}: {error}; {hint}") from error


def _commands(names: Sequence[str]) -> dict[str, Path]:
    """The commands of a group and their files; empty if ``names`` is a command itself."""
    folder = HERE.joinpath(*names) if names else HERE
    if not folder.is_dir():
        return {}
    found = sorted(pkgutil.iter_modules([str(folder)]))
    return {
        m.name.replace("_", "-"): folder / m.name / "__init__.py" if m.ispkg else folder / f"{m.name}.py"
        for m in found
        if m.name != "arguments"
    }


def _overview(names: Sequence[str], known: dict[str, Path]) -> str:
    """The help of a group; read from the files, since importing all commands takes seconds."""
    lines = [
        f"usage: {' '.join(['posinv', *names])} COMMAND [ARGUMENTS]; COMMAND --help lists the arguments",
        "",
    ]
    for name, path in known.items():
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines.append(f"  {name:24s}{doc.splitlines()[0]}")
    if not names:
        lines += [
            "",
            "python3 -m espnet_posinv -m espnet2.bin.TOOL runs a tool of ESPnet with our criterions.",
        ]
    return "\n".join(lines)
