"""Registries of named parts: networks, objectives, samplers, statistics and their options.

A part is a function decorated with its registry, ``@network("resnet")``. Keyword arguments of the
decorator preset options, so that one function carries several names:
``@network("srgan-small", filters=32)``. The names, options and docstrings of a package's parts are
read from its source without importing it, because most parts import Keras, which takes seconds.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from phire.errors import InputError

Specification = str | Mapping[str, Any]
"""``NAME,key=value,flag``, or a mapping with the key ``name``."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One part as its source states it.

    Attributes:
        name: Name it is chosen by.
        module: Module that defines it.
        function: Name of its function there.
        options: Options and their defaults, presets applied; :data:`REQUIRED` where there is none.
        open: Whether the function takes further keyword arguments of its own choice.
        presets: Options that the name itself fixes another default for.
        docstring: Text of the function's docstring.
    """

    name: str
    module: str
    function: str
    options: Mapping[str, Any]
    open: bool
    presets: Mapping[str, Any]
    docstring: str


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()
"""Default of an option that has to be given."""


class Registry:
    """Parts of one kind, found in the modules of a package.

    Args:
        kind: Name of the decorator, as in ``@network(…)``, and of the parts in messages.
        *packages: Packages whose modules, those of their subpackages included, define the parts.
    """

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind = kind
        self.packages = packages
        self._functions: dict[str, tuple[Callable, dict[str, Any]]] = {}
        self._elsewhere: tuple[str, ...] = ()

    def __call__(self, name: str, **presets: Any) -> Callable[[Callable], Callable]:
        """Returns the decorator that registers a function under ``name``.

        Raises:
            ValueError: Another function has the name.
        """

        def register(function: Callable) -> Callable:
            known = self._functions.get(name)
            if known is not None and known[0].__qualname__ != function.__qualname__:
                raise ValueError(f"two functions are the {self.kind} {name!r}")
            self._functions[name] = function, presets
            return function

        return register

    def within(self, package: str) -> Registry:
        """Returns the registry of those parts that one of the packages defines."""
        chosen = Registry(self.kind, package)
        chosen._functions = self._functions
        chosen._elsewhere = tuple(name for name in self.packages if name != package)
        return chosen

    def parts(self) -> dict[str, Part]:
        """Returns all parts by name, in alphabetical order; imports none of them."""
        found = {
            part.name: part
            for package in self.packages
            for part in _parts_in_source(self.kind, package)
        }
        for name, (function, presets) in self._functions.items():
            # Registered outside the packages.
            if name not in found and not function.__module__.startswith(self._elsewhere):
                found[name] = _part_of_function(name, function, presets)
        return dict(sorted(found.items()))

    def part(self, name: str) -> Part:
        """Returns the part of a name.

        Raises:
            InputError: The name is unknown.
        """
        parts = self.parts()
        if name not in parts:
            raise InputError(f"{self.kind} {name!r} is unknown: choose one of {', '.join(parts)}.")
        return parts[name]

    def resolve(
        self, specification: Specification, options: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Reads a choice of a part, checks its options and fills in their defaults.

        Args:
            specification: ``NAME,key=value,flag`` or a mapping with the key ``name``.
            options: Further options, which win.

        Returns:
            The name, and all options that the part has a default for or was given.

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
        """Returns a choice as a mapping of all its options, the key ``name`` first.

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
        """Calls the function of a part.

        Args:
            specification, options: As for :meth:`resolve`.
            *arguments, **more: Arguments that the registry's contract prescribes; no options.

        Raises:
            InputError: See :meth:`resolve`.
        """
        name, resolved = self.resolve(specification, options)
        return self.function(name)(*arguments, **more, **resolved)

    def function(self, name: str) -> Callable:
        """Returns the function of a part, without its presets; imports its module.

        Raises:
            InputError: The name is unknown.
        """
        if name not in self._functions:
            importlib.import_module(self.part(name).module)
        return self._functions[name][0]


def parse(specification: Specification) -> tuple[str, dict[str, Any]]:
    """Splits a choice of a part into its name and its options.

    Args:
        specification: ``NAME,key=value,flag``, where values are read as YAML and a bare ``flag``
            means true, or a mapping with the key ``name``.

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
            raise InputError(f"{piece!r} of {specification!r} is no value of YAML.") from None
        options[key.strip().replace("-", "_")] = value
    return name.strip(), options


def specification_text(specification: Mapping[str, Any]) -> str:
    """Writes a choice of a part as the command line takes it; the inverse of :func:`parse`.

    Args:
        specification: The options, with the key ``name``.

    Raises:
        InputError: A value cannot be written so, such as a text with a comma.
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
    """Splits a text at a separator, but not inside brackets: ``a,b=[1,2]`` → ``a``, ``b=[1,2]``."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character in "[{(") - (character in ")}]")
        if character == separator and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def _number(text: str) -> Any:
    """Returns a number where YAML 1.1 reads a text: ``1e-3`` has no dot."""
    try:
        return float(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def _parts_in_source(kind: str, package: str) -> tuple[Part, ...]:
    specification = importlib.util.find_spec(package)
    found = []
    for folder in map(Path, specification.submodule_search_locations):
        for path in sorted(folder.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            names = path.relative_to(folder).with_suffix("").parts
            module = ".".join([package, *(name for name in names if name != "__init__")])
            constants = _constants(tree)
            for node in tree.body:
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    found += _parts_of_node(kind, module, node, constants)
    return tuple(found)


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Returns what a module assigns to single names, as ``RATE = 1e-4`` does."""
    found = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(targets[0], ast.Name):
            found[targets[0].id] = node.value
    return found


def _parts_of_node(
    kind: str, module: str, node: ast.FunctionDef | ast.ClassDef, constants: dict[str, ast.expr]
) -> list[Part]:
    found = []
    for decorator in node.decorator_list:
        if not (isinstance(decorator, ast.Call) and _called_name(decorator.func) == kind):
            continue
        presets = {word.arg: _literal(word.value, constants) for word in decorator.keywords}
        defaults, takes_more = _defaults_of_node(node, constants)
        options = {**defaults, **presets}
        name = _literal(decorator.args[0], constants)
        text = inspect.cleandoc(ast.get_docstring(node) or "")
        found.append(Part(name, module, node.name, options, takes_more, presets, text))
    return found


def _called_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _literal(node: ast.expr, constants: Mapping[str, ast.expr]) -> Any:
    """Returns the value of a literal, or of a name that the module assigns a literal to.

    Raises:
        ValueError: It is another expression: only importing the module would tell its value.
    """
    if isinstance(node, ast.Name) and node.id in constants:
        node = constants[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(
            f"{ast.unparse(node)!r} is no literal: defaults of parts are read from their source"
        ) from None


def _defaults_of_node(
    node: ast.FunctionDef | ast.ClassDef, constants: Mapping[str, ast.expr]
) -> tuple[dict[str, Any], bool]:
    """Returns the keyword-only arguments with their defaults, and whether more are taken."""
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if not inits:
            return {}, False
        node = inits[0]
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults)
    defaults = {
        word.arg: REQUIRED if value is None else _literal(value, constants) for word, value in pairs
    }
    return defaults, node.args.kwarg is not None


def _part_of_function(name: str, function: Callable, presets: Mapping[str, Any]) -> Part:
    parameters = inspect.signature(function).parameters.values()
    options = {
        parameter.name: REQUIRED if parameter.default is parameter.empty else parameter.default
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return Part(
        name, function.__module__, function.__qualname__, {**options, **presets}, takes_more,
        dict(presets), inspect.getdoc(function) or "",
    )  # fmt: skip
