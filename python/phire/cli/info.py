"""``phire info``: description of a file or directory."""

from __future__ import annotations

import importlib
import json
import os

import click

from phire.cli.command import Command, import_tensorflow

DESCRIPTIONS = (
    ("fields", "describe_climatology"),
    ("fields", "describe_store"),
    ("records", "describe_records"),
    ("training", "describe_run"),
    ("rplearn", "describe_metric"),
    ("evaluation", "describe_results"),
    ("fields", "describe_source"),
)
"""Functions that describe a file, by package; the first description found is printed."""

COUNTING = ("describe_store", "describe_source")
"""Those of the functions above that can count missing and infinite values."""


@click.command("info", cls=Command, overwrites=False)
@click.argument("path", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--values/--no-values",
    default=None,
    help="Count missing and infinite values, for which NetCDF, Zarr, GRIB and bare stores are read "
    "whole.  [default: only for files of up to 100 million values]",
)
def main(path, as_json, values):
    """Describe PATH: a store, climatology, records, run, metric, results, NetCDF, Zarr or GRIB."""
    from phire import files
    from phire.errors import InputError
    from phire.records import are_bare_records

    if not os.path.lexists(path):
        raise InputError(f"{path} does not exist: name a file or directory.")
    if are_bare_records(path):
        import_tensorflow()
    for room, name in DESCRIPTIONS:
        options = {"values": values} if name in COUNTING else {}
        description = getattr(importlib.import_module(f"phire.{room}"), name)(path, **options)
        if description is not None:
            break
    else:
        raise InputError(
            f"{path} is of an unknown kind: name a store, climatology, records, run, metric, "
            "results, NetCDF, Zarr or GRIB file."
        )
    if as_json:
        values = {name: getattr(value, "value", value) for name, value in description.items()}
        click.echo(json.dumps(files.plain(values), indent=2, ensure_ascii=False))
        return
    width = max(map(len, description))
    for name, value in description.items():
        lines = value if isinstance(value, (list, tuple)) and value else [value]
        for i, line in enumerate(lines):
            click.echo(f"{'' if i else name:<{width}}  {line}")
