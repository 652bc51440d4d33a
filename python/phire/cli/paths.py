"""Types of options with paths, which are checked before TensorFlow is loaded."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Sequence
from typing import Any

import click

from phire.errors import InputError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
"""Names of interpolations, accepted in place of a run or a file of predictions."""


class CheckedPath(click.Path):
    """Path that is checked by a function of the library.

    With click's ``resilient_parsing`` any path is accepted.

    Args:
        check: ``MODULE:FUNCTION`` within phire. The function receives the path and may raise an
            InputError; its module must not import TensorFlow.
        names: Values that are accepted unchecked because they are not paths.
    """

    def __init__(self, check: str, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.check = check
        self.names = tuple(names)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        resilient = ctx is not None and ctx.resilient_parsing
        if value not in self.names and not resilient:
            module, _, function = self.check.partition(":")
            try:
                operator.attrgetter(function)(importlib.import_module(f"phire.{module}"))(value)
            except InputError as error:
                self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


RUN = CheckedPath("training.run_directory:open_run")
METRIC = CheckedPath("rplearn.metric_description:read_metric_file")
RECORDS = CheckedPath("records.manifest:require_records")
FIELDS = CheckedPath("fields.opening:expand")
NAMED_FIELDS = CheckedPath("fields.opening:expand_named")
FIELDS_OUTPUT = CheckedPath("fields.source_writing:output_format")
NETCDF_OUTPUT = CheckedPath("fields.source_writing:require_netcdf_name")
STATISTICS = CheckedPath("fields.normalization:Normalization.load")
CONTENT = CheckedPath("downscaling.contents.weighted_sum:check_content")
MODEL_FOLDER = CheckedPath("rplearn.model_folder:read_scales")


class Named(click.ParamType):
    """Type of ``NAME=VALUE``, converted to a pair.

    Args:
        value: Metavariable of the value in the help.
        kind: Type of the value.
        default_name: Function that derives the name from the value if ``NAME=`` is left out; by
            default the name is required.
        key: Metavariable of the name in the help.
    """

    def __init__(
        self, value: str, kind: click.ParamType = click.STRING, default_name: Any = None,
        key: str = "NAME",
    ) -> None:  # fmt: skip
        self.name = f"{key}={value}"
        self.kind = kind
        self.default_name = default_name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, separator, rest = value.partition("=")
        if not (name and separator and rest):
            if self.default_name is None:
                self.fail(f"{value!r} is not of the form {self.name}.", param, ctx)
            name, rest = self.default_name(value), value
        return name, self.kind.convert(rest, param, ctx)
