"""Check a training configuration by ESPnet's own parser and classes before training.

ESPnet itself refuses an unknown key only when a training starts, accepts values of any type from a YAML file,
and finds a wrong keyword of an optimizer only when the model is built.
"""

import contextlib
import difflib
import io
import logging
from argparse import Namespace
from functools import cache

LEAST = {"max_epoch": 1, "batch_size": 1, "batch_bins": 1, "accum_grad": 1, "num_workers": 0}
FIXED = {"output_dir", "config", "help", "print_config", "version"}  # set by the recipe, or not a setting


def config_problems(config: dict) -> list[str]:
    """What is wrong in the configuration of an enhancement training, as a list of ``key: problem``.

    Keys, the types and choices of values, the keywords of optimizer and scheduler; if all of these are right,
    the model and its criterions are built.
    """
    actions = {action.dest: action for action in _parser()._actions}
    problems = []
    for key, value in config.items():
        if key not in actions or key in FIXED:
            near = difflib.get_close_matches(key, actions.keys() - FIXED, 1, 0.7)
            problems.append(f"{key}: no setting of ESPnet{f'; is {near[0]} meant?' if near else ''}")
        elif what := _value_problem(actions[key], value):
            problems.append(f"{key}: {what}")
    if not problems:
        args = Namespace(**{**vars(_defaults()), **config})
        problems = [*_optimizers(args), *_build(args)]
    return problems


@contextlib.contextmanager
def _quiet():
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


@cache
def _parser():
    with _quiet():  # some modules that ESPnet imports print failed downloads
        from espnet_posinv.enh.task import PosinvEnhancementTask

        return PosinvEnhancementTask.get_parser()


@cache
def _defaults() -> Namespace:
    return _parser().parse_args([])


def _value_problem(action, value) -> str:
    """Why the parser's action does not accept a value; '' if it does."""
    if action.dest.endswith("_conf") and not isinstance(value, dict):
        return f"{value!r}, but settings of the form NAME: VALUE are needed"
    if isinstance(value, (dict, list)) or value is None:
        return ""
    text = str(value)
    if isinstance(action.nargs, int):
        return f"{value!r}, but a list of {action.nargs} is needed"
    if action.type is not None:
        try:
            value = action.type(text)
        except (ValueError, TypeError, ArithmeticError):
            return f"{text!r} is no {getattr(action.type, '__name__', action.type)}"
    if value < LEAST.get(action.dest, value):
        return f"{value}, but at least {LEAST[action.dest]} is needed"
    if action.choices is not None and value not in action.choices:
        near = difflib.get_close_matches(text, [str(c) for c in action.choices], 1)
        some = f"is {near[0]} meant?" if near else f"there are {', '.join(map(str, action.choices))}"
        return f"no {text!r}; {some}"
    return ""


def _optimizers(args: Namespace):
    """Problems of optim_conf and scheduler_conf, found by building both for one parameter."""
    import torch
    from espnet2.tasks.abs_task import optim_classes, scheduler_classes

    made = [torch.nn.Parameter(torch.zeros(1))]
    for key, classes in (("optim", optim_classes), ("scheduler", scheduler_classes)):
        name = getattr(args, key)
        if name is None:
            continue
        try:
            made = classes[name](made, **getattr(args, f"{key}_conf"))
        except Exception as error:  # whatever a class raises at its arguments
            yield f"{key}_conf: {name}: {error} ({getattr(args, f'{key}_conf')})"
            return


def _build(args: Namespace):
    """The problem of building the preprocessor or the model, if there is one."""
    from espnet_posinv.enh.task import PosinvEnhancementTask as Task

    builders = {"preprocessor": lambda a: Task.build_preprocess_fn(a, False), "model": Task.build_model}
    for what, build in builders.items():
        try:
            with _quiet():
                build(Namespace(**{**vars(args), "init": None}))
        except Exception as error:  # whatever a class of ESPnet raises at its arguments
            logging.debug(f"building the {what}", exc_info=True)
            yield f"the {what} cannot be built: {type(error).__name__}: {str(error).splitlines()[0]}"
