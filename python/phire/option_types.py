"""Checks of option values against the type annotations of the function that receives them."""

from __future__ import annotations

import collections.abc
import math
import numbers
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from phire.errors import InputError

NAMES = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text",
    type(None): "null",
}  # fmt: skip
SEVERAL = (collections.abc.Sequence, list, tuple)


def with_option_types(function: Callable, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Converts options to the types in a function's annotations.

    A whole number may be written as ``1e4``. A single value given for a list becomes a list of
    one. Only annotations of numbers, texts, lists and mappings are checked.

    Args:
        function: A function with keyword arguments.
        options: Values by argument name.
        where: Owner of the options, for the message, such as ``network resnet``.

    Returns:
        The converted values by argument name.

    Raises:
        InputError: A value is not of the annotated type.
    """
    try:
        hints = typing.get_type_hints(function)
        shared = getattr(function, "options_of", None)  # set by the decorator options_of
        if shared is not None:
            hints = {**typing.get_type_hints(shared), **hints}
    except NameError:  # an annotation that only type checkers can read
        return dict(options)
    found = {}
    for name, value in options.items():
        fits, found[name] = _converted(value, hints.get(name, Any))
        if not fits:
            raise InputError(f"{where}: {name}={value} must be {described(hints[name])}.")
    return found


def described(hint: Any) -> str:
    """Returns a type annotation in words: ``a whole number or null``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        words = [described(one) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(words))
    if origin in SEVERAL:
        inner = described(arguments[0]) if arguments else "values"
        return f"a list, each {inner}"
    if origin in (dict, collections.abc.Mapping):
        return "a mapping"
    return NAMES.get(hint, str(hint))


def _converted(value: Any, hint: Any) -> tuple[bool, Any]:
    """Returns True if a value fits a type, and the converted value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        tried = [_converted(value, one) for one in arguments]
        return next((one for one in tried if one[0]), (False, value))
    if origin in SEVERAL:
        return _converted_list(value, arguments)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, Mapping), value
    if hint is int:
        whole = isinstance(value, float) and value.is_integer()
        return (True, int(value)) if whole else (_is_number(value, numbers.Integral), value)
    if hint is float:
        return _is_number(value, numbers.Real) and not math.isnan(value), value
    if hint in (bool, str, type(None)):
        return isinstance(value, hint), value
    return True, value


def _converted_list(value: Any, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    """Returns True if a value fits a list type with type ``arguments``, and the converted list."""
    hint = arguments[0] if arguments else Any
    if isinstance(value, str) or not isinstance(value, collections.abc.Iterable):
        fits, one = _converted(value, hint)
        return fits, [one]
    if isinstance(value, Mapping):
        return False, value
    tried = [_converted(one, hint) for one in value]
    return all(fits for fits, _ in tried), [one for _, one in tried]


def _is_number(value: Any, kind: type) -> bool:
    # bool is a subclass of int in Python.
    return isinstance(value, kind) and not isinstance(value, bool)
