"""Catalogue of the registered statistics, their order, and the definitions of their variables."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from phire.errors import InputError
from phire.evaluation.accumulator import Statistic
from phire.evaluation.definitions import Definition
from phire.evaluation.registry import registry


def statistics() -> dict[str, type[Statistic]]:
    """Returns all statistics by name, in the order of their attribute ``order``."""
    return _in_order(tuple(registry.function(name) for name in registry.parts()))


@functools.cache
def _in_order(found: tuple[type[Statistic], ...]) -> dict[str, type[Statistic]]:
    return {one.name: one for one in sorted(found, key=lambda one: (one.order, one.name))}


def default_names() -> tuple[str, ...]:
    """Returns the names of the statistics that are computed by default."""
    return tuple(name for name, one in statistics().items() if one.by_default)


def check_names(names: Iterable[str]) -> None:
    """Checks names of statistics without importing the statistics.

    Raises:
        InputError: A name is unknown.
    """
    known = registry.parts()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"--metrics: {', '.join(unknown)} is unknown; the metrics are {', '.join(known)}."
        )


@functools.cache
def _definitions(found: tuple[type[Statistic], ...]) -> dict[str, Definition]:
    return {item.name: item for one in found for item in one.definitions}


def definition(name: str) -> Definition:
    """Returns the definition of a variable of the results.

    A variable that ends in ``_mean`` (over time), ``_low`` or ``_high`` (over members) has the
    definition of the variable without the ending. An unknown variable is titled by its name in
    words, and has no better direction.
    """
    definitions = _definitions(tuple(statistics().values()))
    base = name.removesuffix("_low").removesuffix("_high").removesuffix("_mean")
    for known in (name, name.removesuffix("_mean"), base):
        if known in definitions:
            return definitions[known]
    return Definition(name, name.replace("_", " ").capitalize(), "")
