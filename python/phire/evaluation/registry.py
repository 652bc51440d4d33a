"""Registry of the statistics, which are chosen by name and found without being imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from phire.parts import Registry

registry = Registry("statistic", "phire.evaluation")
"""All statistics by name."""

Class = TypeVar("Class", bound=type)


def statistic(name: str, *, function: str | None = None) -> Callable[[Class], Class]:
    """Returns the decorator that registers a statistic's class.

    Args:
        name: Name of the statistic; of its result files, too.
        function: Name of the function ``phire.evaluation.NAME`` that takes it, where that is
            another one.
    """

    def register(one: Class) -> Class:
        one.name = name
        return registry(name, **({"function": function} if function else {}))(one)

    return register


def function_names() -> dict[str, str]:
    """Returns the statistics by the names of their functions in :mod:`phire.evaluation`."""
    return {part.presets.get("function", name): name for name, part in registry.parts().items()}
