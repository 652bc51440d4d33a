"""Registries of named parts: networks, objectives, samplers, statistics and their options.

A part is a function decorated with its registry, ``@network("resnet")``. Keyword arguments of the
decorator set other defaults, so that one function can have several names:
``@network("srgan-small", filters=32)``. Options common to several parts are the arguments of one
function, which the parts name with :func:`options_of`. Names, options and docstrings are read from
the source without importing it (``part_sources``), because most parts import Keras, which takes
seconds.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from phire.errors import InputError, OptionError
from phire.option_types import with_option_types
from phire.part_sources import REQUIRED, Part, options_of, part_of_function, parts_in_source

__all__ = [
    "REQUIRED",
    "Part",
    "Registry",
    "Specification",
    "options_of",
    "parse",
    "specification_text",
    "split_outside_brackets",
]

Specification = str | Mapping[str, Any]
"""``NAME,key=value,flag``, or a mapping with the key ``name``."""


class Registry:
    """Registry of the parts of one kind, which also decorates their functions.

    Args:
        kind: Name of the decorator, as in ``@network(…)``, and of the parts in messages.
        *packages: Packages that define the parts, in any of their modules and subpackages.

    Attributes:
        registered: Functions and their presets by name, of the modules imported so far and of code
            outside of the packages, such as a notebook.
    """

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind = kind
        self.packages = packages
        self.registered: dict[str, tuple[Callable, dict[str, Any]]] = {}
        self._elsewhere: tuple[str, ...] = ()

    def __call__(self, name: str, **presets: Any) -> Callable[[Callable], Callable]:
        """Returns the decorator that registers a function under ``name``.

        Args:
            name: Name that a user chooses the part by.
            **presets: Defaults that replace those of the function.

        Raises:
            ValueError: Another function is registered under the name.
        """

        def register(function: Callable) -> Callable:
            known = self.registered.get(name)
            if known is not None and known[0].__qualname__ != function.__qualname__:
                raise ValueError(f"two functions are the {self.kind} {name!r}")
            self.registered[name] = function, presets
            return function

        return register

    def within(self, package: str) -> Registry:
        """Returns a registry limited to ``package``, which is one of this registry's packages."""
        chosen = Registry(self.kind, package)
        chosen.registered = self.registered
        chosen._elsewhere = tuple(name for name in self.packages if name != package)
        return chosen

    def parts(self) -> dict[str, Part]:
        """Returns all parts by name, in alphabetical order, without importing them."""
        found = {
            part.name: part
            for package in self.packages
            for part in parts_in_source(self.kind, package)
        }
        for name, (function, presets) in self.registered.items():
            # A part that code outside of the packages registered.
            if name not in found and not function.__module__.startswith(self._elsewhere):
                found[name] = part_of_function(name, function, presets)
        return dict(sorted(found.items()))

    def part(self, name: str) -> Part:
        """Returns the description of the part called ``name``.

        Raises:
            InputError: No part has the name.
        """
        parts = self.parts()
        if name not in parts:
            raise InputError(f"{self.kind} {name!r} is unknown: choose one of {', '.join(parts)}.")
        return parts[name]

    def resolve(
        self, specification: Specification, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reads the specification of a part, checks its options and fills in their defaults.

        Args:
            specification: ``NAME,key=value,flag`` or a mapping with the key ``name``.
            options: Further options, which override those of ``specification``.

        Returns:
            The part's name, and its options: those given, and the defaults of all others.

        Raises:
            InputError: The name or an option is unknown, or a required option is missing.
        """
        name, given = parse(specification)
        given |= dict(options or {})
        part = self.part(name)
        unknown = [key for key in given if key not in part.options and not part.open]
        if unknown:
            listed = ", ".join(f"{key}={_text(value)}" for key, value in part.options.items())
            raise InputError(
                f"{self.kind} {name} has no option {unknown[0]!r}: it has {listed or 'none'}."
            )
        resolved = {**part.options, **given}
        missing = [key for key, value in resolved.items() if value is REQUIRED]
        if missing:
            raise InputError(f"{self.kind} {name} needs the option {missing[0]}.")
        return name, resolved

    def mapping(self, specification: Specification) -> dict[str, Any]:
        """Returns a specification as a mapping: the key ``name``, then all options.

        Raises:
            InputError: See :meth:`resolve`.
        """
        name, options = self.resolve(specification)
        return {"name": name, **options}

    def build(
        self,
        specification: Specification,
        *arguments: Any,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        """Calls the function of a part and returns its result.

        Args:
            specification, options: See :meth:`resolve`.
            *arguments, **more: Arguments that every part of this kind receives, beside options.

        Raises:
            InputError: See :meth:`resolve`; or an option's value is impossible, or not of the
                option's type.
        """
        name, resolved = self.resolve(specification, options)
        function = self.function(name)
        typed = with_option_types(function, resolved, f"{self.kind} {name}")
        with self.naming(name):
            return function(*arguments, **more, **typed)

    @contextlib.contextmanager
    def naming(self, name: str) -> Iterator[None]:
        """Adds the name of a part to an :class:`phire.errors.OptionError` in the block."""
        try:
            yield
        except OptionError as error:
            raise InputError(f"{self.kind} {name}: {error}") from None

    def function(self, name: str) -> Callable:
        """Returns the function of a part, without its presets; imports its module.

        Raises:
            InputError: The name is unknown.
        """
        if name not in self.registered:
            importlib.import_module(self.part(name).module)
        return self.registered[name][0]


def parse(specification: Specification) -> tuple[str, dict[str, Any]]:
    """Splits the specification of a part into its name and its options.

    Args:
        specification: ``NAME,key=value,flag``, where values are YAML and a bare ``flag`` means
            true, or a mapping with the key ``name``.

    Raises:
        InputError: The name is missing, or a value is not YAML.
    """
    if isinstance(specification, Mapping):
        options = dict(specification)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise InputError(f"{dict(specification)} must have the key name.")
        return name, options
    name, *pieces = split_outside_brackets(specification)
    if not name or "=" in name:
        raise InputError(f"{specification!r} must begin with a name: NAME,key=value,….")
    options = {}
    for piece in pieces:
        key, equals, text = piece.partition("=")
        try:
            value = yaml.safe_load(text) if equals else True
            if isinstance(value, str):
                value = _number(value)
        except yaml.YAMLError:
            raise InputError(f"{piece!r} of {specification!r} is not a YAML value.") from None
        options[key.strip().replace("-", "_")] = value
    return name.strip(), options


def specification_text(specification: Mapping[str, Any]) -> str:
    """Returns the text ``NAME,key=value`` of a specification; the inverse of :func:`parse`.

    Args:
        specification: The options, with the key ``name``.

    Raises:
        InputError: A value cannot be written in this form, such as a text with a comma.
    """
    name, options = parse(specification)
    text = ",".join([name, *(f"{key}={_yaml_text(value)}" for key, value in options.items())])
    if parse(text) != (name, options):
        raise InputError(f"the options {options} of {name} cannot be written as {text!r}.")
    return text


def _yaml_text(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def split_outside_brackets(text: str, separator: str = ",") -> list[str]:
    """Splits a text at separators outside brackets: ``a,b=[1,2]`` gives ``a`` and ``b=[1,2]``."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character in "[{(") - (character in ")}]")
        if character == separator and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def _number(text: str) -> Any:
    # YAML 1.1 reads a number without a dot, such as 1e-3, as a text.
    try:
        return float(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
