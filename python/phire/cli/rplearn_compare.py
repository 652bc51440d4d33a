"""``rplearn-compare``: table of several evaluated runs."""

from __future__ import annotations

from pathlib import Path

import click

from phire.cli.command import Command
from phire.cli.paths import RUN, Named


@click.command("rplearn-compare", cls=Command, overwrites=False)
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    metavar="RUN...",
    type=Named("RUN", RUN, default_name=lambda path: Path(path).name),
)
@click.option("--out", "output", type=click.Path(), default=None, help="CSV file for the table.")
def main(runs, output):
    """Compare the best epochs of RUNs that rplearn-eval has evaluated; NAME=RUN sets a name."""
    from phire.errors import InputError
    from phire.rplearn import compare_runs

    named = {}
    for name, path in runs:
        if name in named:
            raise InputError(f"Two runs are named {name!r}: name them as NAME=RUN.")
        named[name] = path
    table = compare_runs(named, output)
    click.echo(table.T.to_string(header=False, float_format="{:.4g}".format))
