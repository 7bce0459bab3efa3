"""A recogniser from the name of its back end and ``MODEL,name=value,...``."""

import dataclasses
import importlib
import re
import typing

from espnet_posinv.asr.decode import Recogniser

BACKENDS = ("whisper", "whisper_transformers", "espnet", "ssl_ctc")


def build(backend: str, spec: str, **options) -> tuple[Recogniser, list[str]]:
    """A recogniser from its back end's name and a description of the model, and the names of unused options.

    Args:
        backend: one of `BACKENDS`, or the dotted name of a module of yours; the module's ``RECOGNISER`` is
            a frozen dataclass whose first field is ``model``.
        spec: ``MODEL`` or ``MODEL,name=value,...``, names being fields of the dataclass.
        **options: further fields, overridden by `spec`; None means "not given". Those that the back end does
            not have are not used.

    Raises:
        ValueError: no such back end or setting, or a value of the wrong type.
    """
    cls = find_class(backend, "espnet_posinv.asr", BACKENDS, "RECOGNISER")
    fields = {field.name for field in dataclasses.fields(cls)}
    options = {name: value for name, value in options.items() if value is not None}
    known = {name: value for name, value in options.items() if name in fields}
    return from_spec(cls, spec, **known), sorted(options.keys() - known.keys())


def find_class(name: str, package: str, names: tuple[str, ...], attribute: str) -> type:
    """The class that module `name` of `package`, or module `name` if it has a dot, holds as `attribute`.

    Raises:
        ValueError: none of `names`, or the module cannot be found or has no such attribute.
    """
    if "." not in name and name not in names:
        raise ValueError(f"no {name!r} here: there are {', '.join(names)}, or name a module of yours (a.b)")
    module = name if "." in name else f"{package}.{name}"
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ValueError(f"{name}: {error}; is it installed, or on PYTHONPATH?") from None
    except AttributeError:
        raise ValueError(f"{module} has no {attribute}; end it with {attribute} = <your class>") from None


def from_spec(cls: type, spec: str, **options):
    """A dataclass from ``FIRST,name=value,...`` and further fields, which the text overrides.

    Raises:
        ValueError: no such field, or a value of the wrong type.
    """
    types = typing.get_type_hints(cls)
    fields = {field.name: types[field.name] for field in dataclasses.fields(cls)}
    first, *pairs = re.split(r",(?=[a-z_]+=)", spec)
    given = dict(pair.split("=", 1) for pair in pairs)
    if unknown := given.keys() - fields.keys():
        raise ValueError(f"{spec}: no setting {min(unknown)!r}; {cls.__name__} has {', '.join(fields)}")
    settings = {name: _convert(value, fields[name], f"{spec}: {name}") for name, value in given.items()}
    return cls(first, **(options | settings))


def _convert(text: str, kind: type, where: str):
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{where} is true or false, not {text!r}")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{where} must be {kind.__name__}, not {text!r}") from None
