"""``python3 -m espnet_posinv COMMAND`` is ``posinv COMMAND``.

``python3 -m espnet_posinv -m espnet2.bin.TOOL`` runs a tool of ESPnet with our criterions, separators and
models. It is called like Python's own ``-m``, so ESPnet's recipes can use it as their interpreter
(``./run.sh --python "python3 -m espnet_posinv"``).
"""

import importlib
import sys

from espnet_posinv import cli, espnet_compat

USAGE = "usage: python -m espnet_posinv -m espnet2.bin.TOOL [its options]"


def main(argv: list[str] | None = None) -> None:
    """Run one of our commands, or the ESPnet tool named after -m with our classes registered."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] != ["-m"]:
        sys.exit(cli.main(argv))
    if len(argv) < 2:
        sys.exit(USAGE)
    name = argv[1]
    try:
        tool = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the tool exists, but one of its imports is missing
        sys.exit(f"{USAGE}\nthere is no module {name}")
    if not hasattr(tool, "main"):
        sys.exit(f"{USAGE}\n{name} has no main() to call")
    if espnet_compat.TASKS in sys.modules:  # not for launch, aggregate_stats_dirs etc.
        from espnet_posinv.enh.register import install

        install(tool)
    sys.argv = [tool.__file__, *argv[2:]]  # ESPnet logs it; its parsers read the rest
    tool.main()


# A process that ESPnet spawns for another GPU runs this file again, under this name, before it unpickles
# its task.
if __name__ == "__mp_main__":
    from espnet_posinv.enh.register import register

    register()

if __name__ == "__main__":
    main()
