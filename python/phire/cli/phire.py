"""``phire``: the subcommands that prepare, describe, predict and compare fields."""

from __future__ import annotations

import importlib

import click

from phire.cli.command import CommandGroup

SUBCOMMANDS = {
    "simulate": "Simulate shallow water on the sphere and store its vorticity and divergence.",
    "convert": "Convert NetCDF, Zarr or GRIB files to a field store.",
    "regrid": "Regrid fields to another grid.",
    "climatology": "Fit the mean and standard deviation of fields, by season and point.",
    "standardize": "Standardise fields by a climatology, or invert this.",
    "join": "Join stores along time into one virtual store.",
    "info": "Describe a file of fields, records, a run, a metric or results.",
    "run": "Run a pipeline of commands from one YAML file.",
    "parts": "List networks, objectives, samplers and other parts with their options.",
    "predict": "Downscale fields with a trained network or an interpolation.",
    "plot": "Draw figures and animations of results, runs, metrics and fields.",
    "distance": "Measure the learned distance between fields.",
    "import-metric": "Convert a model of the original AtmoDist to a metric.",
}


class _Subcommands(CommandGroup):
    """Group that imports a subcommand only when it is called, which keeps --help fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"phire.cli.{name.replace('-', '_')}")
        return module.main

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=_Subcommands)
@click.version_option(package_name="phire")
def main() -> None:
    """Gridded atmospheric fields: convert, compare, downscale.

    Further commands: phire-data, phire-train and phire-eval make training records, train
    downscaling models and evaluate predictions. rplearn-data, rplearn-train and rplearn-eval train
    the learned distance; rplearn-compare, rplearn-certainty, rplearn-features and rplearn-probe
    examine it.
    """
