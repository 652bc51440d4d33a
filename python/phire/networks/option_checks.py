"""Checks of options, shared by several networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from phire.errors import OptionError


def check_choice(option: str, value: Any, choices: Iterable[str]) -> None:
    """Raises an OptionError that lists the choices if an option's value is not among them."""
    if value not in choices:
        raise OptionError(f"{option} {value!r} is unknown: choose one of {', '.join(choices)}.")


def check_counts(least: int = 1, **options: int | Sequence[int]) -> None:
    """Raises an OptionError for numbers below a limit, and for empty lists.

    Args:
        least: Smallest number allowed.
        **options: Numbers, or lists of numbers, by the options' names.
    """
    for name, value in options.items():
        if isinstance(value, int):
            if value < least:
                raise OptionError(f"{name}={value} must be {least} or more.")
        elif not value or min(value) < least:
            raise OptionError(f"{name}={[*value]} must list numbers of {least} or more.")


def check_share(**options: float) -> None:
    """Raises an OptionError for fractions that are not in [0, 1)."""
    for name, value in options.items():
        if not 0 <= value < 1:
            raise OptionError(f"{name}={value:g} must be a fraction in [0, 1).")
