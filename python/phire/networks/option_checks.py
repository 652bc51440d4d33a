"""Checks of options that several networks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from phire.errors import OptionError


def check_choice(option: str, value: Any, choices: Iterable[str]) -> None:
    """Raises an InputError that lists the choices for an option that is not among them."""
    if value not in choices:
        raise OptionError(f"{option} {value!r} is unknown: choose one of {', '.join(choices)}.")


def check_counts(least: int = 1, **options: int | Sequence[int]) -> None:
    """Raises an InputError for numbers, or lists of them, that are too small, and for empty lists.

    Args:
        least: Least number allowed.
        **options: Values by the options' names.
    """
    for name, value in options.items():
        if isinstance(value, int):
            if value < least:
                raise OptionError(f"{name}={value} must be {least} or more.")
        elif not value or min(value) < least:
            raise OptionError(f"{name}={[*value]} must be a list of numbers of {least} or more.")


def check_share(**options: float) -> None:
    """Raises an InputError for shares that are not from 0 to below 1."""
    for name, value in options.items():
        if not 0 <= value < 1:
            raise OptionError(f"{name}={value:g} must be a share from 0 to below 1.")
