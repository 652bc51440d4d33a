"""``rplearn-probe``: prediction of the jet latitude from learned features."""

from __future__ import annotations

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.paths import FIELDS, METRIC, NETCDF_OUTPUT
from phire.cli.shared_options import layer_option


@click.command("rplearn-probe", cls=Command, tensorflow=True)
@click.argument("metric", type=METRIC)
@click.argument("source", type=FIELDS)
@click.option("--out", "output", required=True, type=NETCDF_OUTPUT, help="NetCDF file for results.")
@layer_option
@click.option(
    "--wind",
    default=None,
    help="Channel of zonal wind.  [default: u, else computed from vorticity and divergence]",
)
@click.option(
    "--sector",
    type=CommaSeparated(float, 2, "W,E"),
    default=None,
    help="Western and eastern limit, degrees east, of wind and predictors.  [default: all "
    "longitudes]",
)
@click.option(
    "--sectors",
    type=int,
    default=1,
    help="Number of equal sectors to divide the longitudes into, as samples of one regression; for "
    "fields whose statistics do not depend on longitude.",
)
@click.option(
    "--band",
    type=CommaSeparated(float, 2, "S,N"),
    default="15,75",
    help="Southern and northern limit, degrees north, of the jet and the predictors.",
)
@click.option(
    "--predictors",
    type=click.Choice(["low-pass", "instantaneous"]),
    default="low-pass",
    help="Predictors with the low-pass filter of the index, or without.",
)
@click.option(
    "--cutoff-days", type=float, default=10.0, help="Cut-off period of the Lanczos filter, days."
)
@click.option("--window-days", type=float, default=61.0, help="Width of the Lanczos filter, days.")
@click.option(
    "--held-out",
    type=float,
    default=0.3,
    help="Share of the series held out for testing, at its end.",
)
@click.option(
    "--every-hours", type=float, default=12.0, help="Time between the fields used, hours."
)
@click.option("--components", type=int, default=100, help="Largest number of principal components.")
@click.option("--seed", type=int, default=0, help="Seed of the random encoder and of the PCA.")
def main(metric, source, output, overwrite, **options):
    """Predict the jet-latitude index of SOURCE from the features of METRIC.

    The index of Woollings et al. (2010) is the latitude of the maximum of the zonal-mean low-level
    zonal wind after low-pass filtering. Ridge regression compares learned features, principal
    components of the raw fields, features of a random encoder, and row means of the raw fields, all
    with the same filter. R² on the held-out times is printed with its 5th and 95th percentile by a
    block bootstrap.
    """
    from phire import progress
    from phire.jetstream import probe_jet

    result = probe_jet(metric, source, output, overwrite=overwrite, **options)
    progress.say(
        f"The index has a standard deviation of {float(result['index_std']):.2f}° and an integral "
        f"time scale of {float(result['index_memory']):.1f} days: about "
        f"{float(result['samples_fitted']):.0f} independent samples to fit on, "
        f"{float(result['samples_judged']):.0f} to test on."
    )
    click.echo("representation,r2,r2_low,r2_high,mean_absolute_error,features")
    for name in result["representation"].values:
        row = {key: float(value) for key, value in result.sel(representation=name).items()
               if not value.dims}  # fmt: skip
        click.echo(
            f"{name},{row['r2']:.3f},{row['r2_low']:.3f},{row['r2_high']:.3f},"
            f"{row['mean_absolute_error']:.3f},{row['features']:.0f}"
        )
