"""All uses of ESPnet's internals, with versions and reasons.

Written for ESPnet 202412, 202511 and 202611 (``test/enh/test_espnet_compat.py`` fails if a newer version no
longer needs a repair or lacks an internal).  Importing this module does not import ESPnet: each function does
so when it is called.

Subclasses of ESPnet's tasks, trainer and separators, its regular way of extension, are elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType

TASKS = "espnet2.tasks.enh"  # the module whose tables of names all enhancement tasks share


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Modules of ESPnet that are imported within say nothing of optional packages and of torch's future."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore", FutureWarning)
        yield


# --- tables of names: up to 202611 there is no other way to add a class to those of a task ----------------


def add_choices(criterions: dict, separators: dict, preprocessors: dict) -> None:
    """Register our classes for use in configurations.

    ``enh_tse`` and ``enh_s2t`` use the criterions' table of ``enh``; ``enh_s2t`` copies that of the
    separators when it is imported, so it may need them a second time.
    """
    from espnet2.tasks import enh

    enh.criterion_choices.classes.update(criterions)
    enh.separator_choices.classes.update(separators)
    enh.preprocessor_choices.classes.update(preprocessors)
    joint = sys.modules.get("espnet2.tasks.enh_s2t")
    copied = getattr(joint, "enh_separator_choices", None)  # missing while that module is being imported
    if copied is not None:
        copied.classes.update(separators)


def use_for_joint_models(task: type) -> None:
    """Build the enhancement part of joint models with this task; ``enh_s2t`` looks its tasks up by name."""
    from espnet2.tasks import enh_s2t

    enh_s2t.name2task["enh"] = task


def replace_tasks(tool: ModuleType, tasks: dict[type, type]) -> None:
    """In a module of ``espnet2.bin``, whose functions name ESPnet's tasks, put ours in their place."""
    for name, value in list(vars(tool).items()):
        if isinstance(value, type) and value in tasks:
            setattr(tool, name, tasks[value])


def when_tasks_are_imported(call: Callable[[], None]) -> None:
    """Call now if ESPnet's enhancement tasks are imported, else after their import.

    So ``import espnet_posinv`` suffices to register our names with ESPnet, and takes no time without ESPnet.
    ESPnet has no entry points for packages.
    """
    if TASKS in sys.modules:
        call()
    else:
        sys.meta_path.insert(0, _AfterImport(call))


class _AfterImport:
    """An import finder that makes ``call`` follow the execution of module TASKS."""

    def __init__(self, call: Callable[[], None]):
        self.call = call

    def find_spec(self, name, path=None, target=None):
        if name != TASKS or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                self.call()

            spec.loader.exec_module = exec_module
        return spec


# --- models: up to 202611 build_model names their classes, which call criterions with two waveforms only --


def become(model, cls: type) -> None:
    """Change the class of a model built by ESPnet to ours, which has the same attributes."""
    model.__class__ = cls


def adopt_criterion(cls: type) -> None:
    """Register a class as ESPnet's TimeDomainLoss, by which its models choose a criterion's arguments."""
    from espnet2.enh.loss.criterions.time_domain import TimeDomainLoss

    TimeDomainLoss.register(cls)


# --- data: up to 202611 the readers keep the sample rate of each file to themselves -----------------------


def datasets(factory) -> Iterator:
    """The datasets of an iterator factory, under any attribute name."""
    from espnet2.iterators.abs_iter_factory import AbsIterFactory
    from espnet2.train.dataset import AbsDataset

    for value in vars(factory).values():
        if isinstance(value, AbsDataset):
            yield value
        elif isinstance(value, AbsIterFactory):
            yield from datasets(value)


def last_rate(reader) -> int | None:
    """Sample rate in Hz of the file that a reader has read last; None for readers of other data."""
    from espnet2.train.dataset import AdapterForSoundScpReader

    return reader.rate if isinstance(reader, AdapterForSoundScpReader) else None


def path_of(dataset, name: str) -> str:
    """The path of the list of a dataset's entry."""
    return dataset.debug_info[name][0]


def repair_chunk_iterator() -> None:
    """Let the chunk iterator run with numpy 2.4 and newer.

    It calls int() on an array of one element, which numpy no longer accepts; fixed in 202609.  Only the name
    ``int`` of that module changes.
    """
    import numpy as np
    from espnet2.iterators import chunk_iter_factory

    chunk_iter_factory.int = lambda value: int(np.asarray(value).item())


class ScalarRate:
    """A preprocessor of ESPnet that gets an utterance's ``fs`` as a number.

    202412 to 202611 call int() on the array of one element that was read from utt2fs: see
    :func:`repair_chunk_iterator`.
    """

    def __init__(self, preprocess: Callable):
        self.preprocess = preprocess

    def __repr__(self):
        return repr(self.preprocess)

    def __call__(self, uid: str, data: dict) -> dict:
        if "fs" in data:
            data = {**data, "fs": data["fs"].reshape(())}
        return self.preprocess(uid, data)


# --- trainer: up to 202611 it writes checkpoints in place, and restores the reporter at epochs only -------


@contextlib.contextmanager
def saving_with(save: Callable) -> Iterator[None]:
    """Within the block ``torch.save`` is ``save(original, value, file, *args, **kwargs)``.

    ESPnet's trainer calls torch.save by that name from within the loop over the epochs.
    """
    import torch

    original = torch.save

    def wrapped(value, file, *args, **kwargs):
        if not isinstance(file, (str, os.PathLike)):
            return original(value, file, *args, **kwargs)
        return save(original, value, file, *args, **kwargs)

    torch.save = wrapped
    try:
        yield
    finally:
        torch.save = original


def reporter_state(reporter) -> tuple[dict, int, int]:
    """The values of a SubReporter in an epoch, as plain types."""
    values = {
        key: [(value.value, getattr(value, "weight", None)) for value in values]
        for key, values in reporter.stats.items()
    }
    return values, reporter.count, reporter.total_count


def restore_reporter(reporter, state: tuple[dict, int, int]) -> None:
    """The reverse of :func:`reporter_state`."""
    from espnet2.train.reporter import to_reported_value

    values, reporter.count, reporter.total_count = state
    for key, pairs in values.items():
        reporter.stats[key] = [to_reported_value(*pair) for pair in pairs]
