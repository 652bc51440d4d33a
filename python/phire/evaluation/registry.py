"""Registry of the statistics: chosen by name, listed without importing their modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from phire.part_registry import Registry

registry = Registry("statistic", "phire.evaluation")
"""All statistics by name."""

Class = TypeVar("Class", bound=type)


def statistic(name: str, *, function: str | None = None) -> Callable[[Class], Class]:
    """Returns the decorator that registers a statistic's class.

    Args:
        name: Name of the statistic and of its result files.
        function: Name of the function of :mod:`phire.evaluation` that computes the statistic;
            ``name`` by default.

    Raises:
        ValueError: The module has the name of the function, which it would hide once imported.
    """

    def register(one: Class) -> Class:
        if one.__module__ == f"phire.evaluation.{function or name}":
            raise ValueError(f"rename {one.__module__}: it hides the function of the same name.")
        one.name = name
        return registry(name, **({"function": function} if function else {}))(one)

    return register


def function_names() -> dict[str, str]:
    """Returns the name of the statistic of each function of :mod:`phire.evaluation`."""
    return {part.presets.get("function", name): name for name, part in registry.parts().items()}
