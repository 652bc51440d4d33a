"""Type of options with several values, ``A,B,...``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


class CommaSeparated(click.ParamType):
    """List of values given as ``A,B,...``.

    Args:
        convert_part: Converts each value.
        length: Number of values; None for any number.
        name: Metavariable in the help; by default derived from the other arguments.
    """

    def __init__(
        self, convert_part: Callable[[str], Any] = str, length: int | None = None, name: str = ""
    ) -> None:
        self.convert_part = convert_part
        self.length = length
        part = convert_part.__name__
        self.name = name or (",".join([part] * length) if length else f"{part},...")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        # click writes names in capitals; lower-case ones, as in hour,day, are values to give.
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        form = getattr(param, "metavar", None) or self.name
        try:
            parts = tuple(self.convert_part(part.strip()) for part in str(value).split(","))
        except ValueError:
            parts = None
        if parts is None or self.length not in (None, len(parts)):
            self.fail(f"{value!r} is not of the form {form}.", param, ctx)
        return parts
