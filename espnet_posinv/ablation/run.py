"""Running an ablation: each experiment is trained and scored by calls of the recipe."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from espnet_posinv.ablation.grid import Ablation, Experiment, read_ablation, shared_options
from espnet_posinv.launch.calls import literal
from espnet_posinv.launch.request import consecutive
from espnet_posinv.recipe.config import ConfigError


def run_ablation(
    path: str | Path,
    launcher: str = "",
    say: Callable[[str], None] = print,
    grids: Sequence[str] | None = None,
) -> tuple[Ablation, list[str]]:
    """Train and score every experiment that is not done; a failed one does not stop the others.

    Args:
        path: the grid file; relative paths in it start from the working directory, the recipe's folder.
        launcher: a launcher with its options (``utils/slurm.pl --mem 8G``), which trains all experiments at
            once, a job each; empty: one training after another.
        grids: names of the grids to run; None: all.

    Returns:
        The expanded file and the tags of experiments that failed.
    """
    ablation = read_ablation(path, grids)
    todo = [e for e in ablation.experiments if not ablation.marked(e, "done")]
    say(f"{len(ablation.experiments)} experiments, {len(ablation.experiments) - len(todo)} done already")
    for command in ablation.prepare if todo else []:
        if _call(command, say):
            return ablation, ["prepare"]
    untrained = [e for e in todo if not ablation.is_trained(e)]
    if launcher and untrained:
        # A job finds its experiment by its number, which does not change when others get done.
        log = ablation.expdir / "ablation/log/train.JOB.log"
        this = [sys.executable, "-m", "espnet_posinv", "ablate", str(path), "--train", "JOB"]
        this += ["--grids", *grids] if grids else []
        numbers = [ablation.experiments.index(e) + 1 for e in untrained]
        # Jobs that fail leave their experiment untrained: its call below tries again and says why.
        for first, last in consecutive(numbers):  # job arrays have no gaps
            _call([*shlex.split(launcher), f"JOB={first}:{last}", str(log), *map(literal, this)], say)
        untrained = [e for e in todo if not ablation.is_trained(e)]
    failed = [e.tag for e in untrained if _train(ablation, e, say)]
    groups: dict[tuple, list[Experiment]] = {}
    for experiment in todo:
        if experiment.tag not in failed:
            groups.setdefault(tuple(shared_options(experiment).items()), []).append(experiment)
    for group in groups.values():
        if _call(ablation.evaluation(group), say):
            failed += [e.tag for e in group]
            continue
        for experiment in group:
            ablation.mark(experiment, "done")
    return ablation, failed


def train_one(
    path: str | Path, number: int, say: Callable[[str], None] = print, grids: Sequence[str] | None = None
) -> int:
    """Train the experiment with this number, from 1, of these grids; returns the exit status."""
    ablation = read_ablation(path, grids)
    if not 1 <= number <= len(ablation.experiments):
        raise ConfigError(f"{path} has experiments 1 to {len(ablation.experiments)}, not {number}")
    return _train(ablation, ablation.experiments[number - 1], say)


def _train(ablation: Ablation, experiment: Experiment, say) -> int:
    status = _call(ablation.training(experiment), say)
    if status == 0:
        ablation.mark(experiment, "trained")
    return status


def _call(command: list[str], say) -> int:
    say(shlex.join(command))
    return subprocess.run(command).returncode
