"""Run an ESPnet tool with our criterions, separators and models: ``python -m espnet_posinv -m MODULE ...``.

Written like Python's own ``-m``, so ESPnet's recipes take it as their interpreter:
``./run.sh --python "python3 -m espnet_posinv"``.
"""

import importlib
import sys

from espnet_posinv import espnet_compat

USAGE = "usage: python -m espnet_posinv -m espnet2.bin.TOOL [its options]"


def main(argv: list[str] | None = None) -> None:
    """Import the module named after -m, make our classes known to it, call its main()."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{USAGE}\n\n{__doc__.strip()}")
        return
    if argv[0] != "-m" or len(argv) < 2:
        sys.exit(f"{USAGE}\nnot understood: {' '.join(argv)}")
    name = argv[1]
    try:
        tool = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the tool is there, something that it needs is not
        sys.exit(f"{USAGE}\nthere is no module {name}")
    if not hasattr(tool, "main"):
        sys.exit(f"{USAGE}\n{name} has no main() to call")
    if espnet_compat.TASKS in sys.modules:  # launch, aggregate_stats_dirs etc. need nothing of ours
        from espnet_posinv.enh.register import install

        install(tool)
    sys.argv = [tool.__file__, *argv[2:]]  # ESPnet logs it; its parsers read the rest
    tool.main()


# A child that ESPnet spawns for another GPU runs this file again, under the second name, before it
# unpickles its task.
if __name__ == "__mp_main__":
    from espnet_posinv.enh.register import register

    register()

if __name__ == "__main__":
    main()
