"""From a recipe's words to a recogniser: the back end's module and ``MODEL,name=value,...``."""

import dataclasses
import importlib
import re
import typing

from espnet_posinv.asr.decode import Recogniser

BACKENDS = ("whisper", "whisper_transformers", "espnet", "ssl_ctc")


def build(backend: str, spec: str, **options) -> tuple[Recogniser, list[str]]:
    """A recogniser from its back end's name and a description of the model.

    Args:
        backend: one of `BACKENDS`, or the dotted name of a module of yours; the module's ``RECOGNISER`` is
            a frozen dataclass whose first field is ``model``.
        spec: ``MODEL`` or ``MODEL,name=value,...``, names being fields of the dataclass.
        **options: further fields; those that the back end does not have are left out, None is "not given",
            and what `spec` says goes first.

    Returns:
        The recogniser, and the names of the options that were left out.

    Raises:
        ValueError: no such back end or setting, or a value of the wrong type.
    """
    cls = _load(backend)
    types = typing.get_type_hints(cls)
    fields = {field.name: types[field.name] for field in dataclasses.fields(cls)}
    model, *pairs = re.split(r",(?=[a-z_]+=)", spec)
    given = dict(pair.split("=", 1) for pair in pairs)
    if unknown := given.keys() - fields.keys():
        raise ValueError(f"{spec}: {backend} has no setting {min(unknown)!r}; it has {', '.join(fields)}")
    settings = {name: _convert(value, fields[name], f"{spec}: {name}") for name, value in given.items()}
    options = {name: value for name, value in options.items() if value is not None}
    known = {name: value for name, value in options.items() if name in fields}
    return cls(model, **(known | settings)), sorted(options.keys() - known.keys())


def _load(backend: str) -> type:
    if "." not in backend and backend not in BACKENDS:
        raise ValueError(
            f"no back end {backend!r}; there are {', '.join(BACKENDS)}, or name a module of yours (a.b)"
        )
    name = backend if "." in backend else f"espnet_posinv.asr.{backend}"
    try:
        return importlib.import_module(name).RECOGNISER
    except ModuleNotFoundError as error:
        raise ValueError(f"back end {backend}: {error}; is it on PYTHONPATH?") from None
    except AttributeError:
        raise ValueError(f"{name} has no RECOGNISER; end it with RECOGNISER = <your class>") from None


def _convert(text: str, kind: type, where: str):
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{where} is true or false, not {text!r}")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{where} must be {kind.__name__}, not {text!r}") from None
