"""Names, options and docstrings of parts, read from source files without importing them."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Part:
    """Description of one part.

    Attributes:
        name: Name that a user chooses it by.
        module: Module that defines it.
        function: Name of its function in that module.
        options: Options with their defaults, presets applied; :data:`REQUIRED` for an option
            without a default.
        open: True if the function accepts any further keyword arguments.
        presets: Defaults set by the decorator of this name in place of the function's.
        docstring: Docstring of the function.
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


def options_of(shared: Callable) -> Callable[[Callable], Callable]:
    """Returns a decorator that adds the options of another function to those of a part.

    The decorated function passes its ``**options`` on to ``shared``. The keyword-only arguments of
    ``shared``, with their defaults and descriptions, become options of the part, except those that
    the part defines itself; presets replace their defaults, too.

    Args:
        shared: A function that the part's module defines or imports by name.
    """

    def decorate(function: Callable) -> Callable:
        function.options_of = shared
        return function

    return decorate


@functools.cache
def parts_in_source(kind: str, package: str) -> tuple[Part, ...]:
    """Returns the parts of one kind in a package, without importing its modules.

    Args:
        kind: Name of the decorator of the parts.
        package: Name of the package; its subpackages are searched, too.
    """
    specification = importlib.util.find_spec(package)
    found = []
    for folder in map(Path, specification.submodule_search_locations):
        for path in sorted(folder.rglob("*.py")):
            names = path.relative_to(folder).with_suffix("").parts
            name = ".".join([package, *(name for name in names if name != "__init__")])
            module = _Module.read(name, path)
            for node in module.tree.body:
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    found += _parts_of_node(kind, module, node)
    return tuple(found)


def part_of_function(name: str, function: Callable, presets: Mapping[str, Any]) -> Part:
    """Returns the description of a part from its imported function.

    Args:
        name: Name that a user chooses the part by.
        function: The part's function or class.
        presets: Defaults set by the decorator.
    """
    shared = getattr(function, "options_of", None)
    beyond = None if shared is None else part_of_function(name, shared, {})
    parameters = inspect.signature(function).parameters.values()
    options = {
        parameter.name: REQUIRED if parameter.default is parameter.empty else parameter.default
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    takes_more = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    text = inspect.getdoc(function) or ""
    if beyond is not None:
        text = _with_arguments(text, beyond.docstring, [*beyond.options.keys() - options.keys()])
        options = {**options, **{k: v for k, v in beyond.options.items() if k not in options}}
        takes_more = beyond.open
    return Part(
        name, function.__module__, function.__qualname__, {**options, **presets}, takes_more,
        dict(presets), text,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Module:
    """Syntax tree of a module."""

    name: str
    tree: ast.Module

    @classmethod
    def read(cls, name: str, path: Path) -> _Module:
        return cls(name, ast.parse(path.read_text(encoding="utf-8"), str(path)))

    @functools.cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Values assigned to single names, as in ``RATE = 1e-4``."""
        found = {}
        for node in self.tree.body:
            several = isinstance(node, ast.Assign)
            targets = node.targets if several else [getattr(node, "target", None)]
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(targets[0], ast.Name):
                found[targets[0].id] = node.value
        return found

    def literal(self, node: ast.expr) -> Any:
        """Returns the value of a literal, or of a name that the module assigns a literal to.

        Raises:
            ValueError: ``node`` is another expression, whose value only an import would give.
        """
        if isinstance(node, ast.Name) and node.id in self.constants:
            node = self.constants[node.id]
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(
                f"{ast.unparse(node)!r} is not a literal: the default of a part's option must be "
                "a literal or the name of one in its module"
            ) from None

    def function(self, name: str) -> tuple[_Module, ast.FunctionDef]:
        """Returns a function that the module defines or imports by name, with its module.

        Raises:
            ValueError: The module has no such function.
        """
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return self, node
            if isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        path = Path(importlib.util.find_spec(node.module).origin)
                        return _Module.read(node.module, path).function(alias.name)
        raise ValueError(f"{self.name} neither defines nor imports by name a function {name}")


def _parts_of_node(kind: str, module: _Module, node: ast.FunctionDef | ast.ClassDef) -> list[Part]:
    found = []
    for decorator in node.decorator_list:
        if not (isinstance(decorator, ast.Call) and _called_name(decorator.func) == kind):
            continue
        presets = {word.arg: module.literal(word.value) for word in decorator.keywords}
        options, takes_more, text = _interface(module, node)
        name = module.literal(decorator.args[0])
        options = {**options, **presets}
        found.append(Part(name, module.name, node.name, options, takes_more, presets, text))
    return found


def _called_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _interface(
    module: _Module, node: ast.FunctionDef | ast.ClassDef
) -> tuple[dict[str, Any], bool, str]:
    """Returns the options with defaults, True if the part accepts others, and the docstring."""
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    decorators = [one for one in node.decorator_list if isinstance(one, ast.Call)]
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if not inits:
            return {}, False, text
        node = inits[0]
    options = {
        word.arg: REQUIRED if value is None else module.literal(value)
        for word, value in zip(node.args.kwonlyargs, node.args.kw_defaults)
    }
    takes_more = node.args.kwarg is not None
    for decorator in decorators:
        if _called_name(decorator.func) == options_of.__name__:
            shared, takes_more, described = _interface(*module.function(decorator.args[0].id))
            further = {name: value for name, value in shared.items() if name not in options}
            options = {**options, **further}
            text = _with_arguments(text, described, [*further])
    return options, takes_more, text


def _with_arguments(text: str, shared: str, names: list[str]) -> str:
    """Returns a docstring with the descriptions of further arguments from another docstring.

    Args:
        text: Google-style docstring with a section ``Args``; its entry of ``**options`` is removed.
        shared: The other docstring.
        names: Arguments whose descriptions are copied from ``shared``.
    """
    sections = re.compile(r"(?ms)^Args:\n(.*?)(?=^\S|\Z)")
    shared_section, section = sections.search(shared), sections.search(text)
    if shared_section is None or section is None:
        return text
    entries = re.split(r"(?m)^(?=    \S)", shared_section[1].rstrip() + "\n")
    described = [re.split(r",\s*", entry.partition(":")[0].strip()) for entry in entries]
    copied = [entry for entry, arguments in zip(entries, described) if {*arguments} & {*names}]
    # The copied descriptions replace the entry of **options.
    first = re.sub(r"(?m)^    \*\*.*\n(?:     .*\n)*", "", section[1].rstrip() + "\n")
    return text[: section.start(1)] + first + "".join(copied) + "\n" + text[section.end(1) :]
