"""``phire distance``: learned distance between fields in files."""

from __future__ import annotations

from pathlib import Path

import click

from phire.cli.command import Command
from phire.cli.paths import FIELDS, METRIC, NETCDF_OUTPUT, Named
from phire.cli.shared_options import layer_option, time_option


@click.command("distance", cls=Command, tensorflow=True)
@click.argument("metric", type=METRIC)
@click.argument("truth", metavar="A", type=FIELDS)
@click.argument(
    "candidates",
    metavar="B...",
    nargs=-1,
    required=True,
    type=Named("FILE", FIELDS, default_name=lambda path: Path(path).stem),
)
@click.option(
    "--out", "output", type=NETCDF_OUTPUT, default=None, help="NetCDF file for the distances."
)
@click.option(
    "--map",
    "map_output",
    type=NETCDF_OUTPUT,
    default=None,
    help="NetCDF file for maps of the distance, on the grid of the layer's features.",
)
@layer_option
@click.option(
    "--frechet",
    is_flag=True,
    help="Also compute the Fréchet distance of the features, and its small-sample bias.",
)
@time_option
def main(metric, truth, candidates, output, map_output, layer, frechet, time, overwrite):
    """Print the learned distance of each B from A, as CSV with one line per time.

    A and B are stores, NetCDF, Zarr or GRIB files of physical fields on one grid; NAME=FILE gives B
    a name. Times at which either has missing values are left out.
    """
    from phire.errors import InputError
    from phire.rplearn import measure_distances

    named = dict(candidates)
    if len(named) < len(candidates):
        raise InputError("Two of B have the same name: name them as NAME=FILE.")
    distances = measure_distances(
        metric,
        truth,
        named,
        output=output,
        map_output=map_output,
        layer=layer,
        frechet=frechet,
        time=time,
        overwrite=overwrite,
    )
    table = distances["learned_distance"].transpose("time", "candidate").to_pandas()
    click.echo(table.to_csv(float_format="%.6g"), nl=False)
    mean = distances["learned_distance"].mean("time")
    for name in named:
        line = f"# {name}: mean {float(mean.sel(candidate=name)):.6g}"
        if frechet:
            scores = distances.sel(candidate=name)
            line += (
                f", Fréchet {float(scores.frechet):.6g} (with so few fields, equal climates would "
                f"give {float(scores.frechet_bias):.3g} on average)"
            )
        click.echo(line)
