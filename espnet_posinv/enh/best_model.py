"""A check of ``best_model_criterion`` at the start of a training.

ESPnet keeps the best models by each entry of ``best_model_criterion`` and ignores entries without reported
values. If no entry has values, it deletes all models except the last.
"""

import logging
from collections.abc import Iterable, Sequence


def reported_names(model, *, with_categories: bool = False) -> tuple[set[str], set[str]]:
    """The values that a training of the model reports for its criterions.

    Args:
        model: ESPnet's enhancement, extraction or joint model.
        with_categories: the data have categories of utterances (``utt2category``).

    Returns:
        Names that are reported; names that a user might expect, but that are not reported.
    """
    joint = hasattr(model, "enh_model")
    enhancement = model.enh_model if joint else model
    names, plain = set(), set()
    for wrapper in enhancement.loss_wrappers:
        name = wrapper.criterion.name
        plain |= {name, name.removesuffix("_loss")}
        solver = getattr(wrapper, "name", None) or type(wrapper).__name__
        name = f"{name}_mixit" if "mixit" in solver.lower() else name
        # a model without a list of categories, as extraction, does not tell them apart
        categories = getattr(enhancement, "categories", None) if with_categories else None
        names |= {f"{name}_{c}" for c in categories.values()} if categories else {name}
    # a joint model reports the sum of its criterions only
    names = {"loss", "loss_enh"} if joint else {"loss", *names}
    return names, plain - names


def check_best_model(model, wanted: Iterable[Sequence[str]], *, with_categories: bool = False) -> None:
    """Compare ``best_model_criterion`` with what will be reported.

    Args:
        model, with_categories: as in :func:`reported_names`.
        wanted: ``[phase, name, mode]`` each.

    Raises:
        ValueError: no entry has values, so no best model would be kept.
    """
    wanted = [list(item) for item in wanted]
    names, absent = reported_names(model, with_categories=with_categories)
    joint = hasattr(model, "enh_model")  # its recogniser reports names of its own
    prefixes = tuple(f"{name}_" for name in names - {"loss"})  # a criterion's further values

    def kept(name):
        return name in names or (name not in absent and (joint or name.startswith(prefixes)))

    missing = [item for item in wanted if not kept(item[1])]
    if not missing:
        return
    listed = ", ".join(str(item) for item in missing)
    text = (
        f"best_model_criterion {listed}: this training reports no such value"
        f"{' (a joint one sums its criterions up)' if joint else ''}, only {', '.join(sorted(names))}"
    )
    if len(missing) == len(wanted):
        raise ValueError(f"{text}; no best model would be kept. Name one of them, as [valid, loss, min]")
    if any(item[1] != "acc" for item in missing):  # acc is one of ESPnet's defaults
        logging.warning(f"{text}; no model is kept as the best by it")
