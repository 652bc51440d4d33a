"""``rplearn-probe``: the jet's latitude predicted from learned features."""

from __future__ import annotations

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.paths import FIELDS, METRIC, NETCDF_OUTPUT
from phire.cli.shared_options import layer_option


@click.command("rplearn-probe", cls=Command, tensorflow=True)
@click.argument("metric", type=METRIC)
@click.argument("source", type=FIELDS)
@click.option("--out", "output", required=True, type=NETCDF_OUTPUT, help="NetCDF file of results.")
@layer_option
@click.option(
    "--wind",
    default=None,
    help="Channel of zonal wind; by default u, else made from vorticity and divergence.",
)
@click.option(
    "--sector",
    type=CommaSeparated(float, 2),
    default=None,
    help="W,E: degrees east between which the wind is averaged; by default all around.",
)
@click.option(
    "--sectors",
    type=int,
    default=1,
    help="Cut these into so many sectors, all samples of one regression: for fields whose "
    "statistics are alike along the latitude circle.",
)
@click.option(
    "--band",
    type=CommaSeparated(float, 2),
    default="15,75",
    help="S,N: degrees north between which the jet is sought and the predictors lie.",
)
@click.option(
    "--predictors",
    type=click.Choice(["low-pass", "instantaneous"]),
    default="low-pass",
    help="Features through the index's own filter, or as they are.",
)
@click.option("--cutoff-days", type=float, default=10.0, help="Cut-off of the Lanczos filter.")
@click.option("--window-days", type=float, default=61.0, help="Width of the Lanczos filter.")
@click.option(
    "--held-out", type=float, default=0.3, help="Last share of the series, held out to judge by."
)
@click.option("--every-hours", type=float, default=12.0, help="Time between the fields used.")
@click.option("--components", type=int, default=100, help="Principal components of raw fields.")
@click.option("--seed", type=int, default=0, help="Seed of the random encoder and of the PCA.")
def main(metric, source, output, overwrite, **options):
    """Predict the jet-latitude index from features of METRIC over SOURCE.

    The index is that of Woollings et al. (2010): zonal mean of low-level zonal wind, low-pass
    filtered, latitude of the maximum. Learned features, principal components of the raw fields, a
    random encoder's features and the raw fields' row means, all through the same filter, are
    compared by ridge regression on held-out time. R² is given with its 5th and 95th percentile
    when stretches of the held-out time are drawn again.
    """
    from phire import progress
    from phire.jetstream import probe_jet

    result = probe_jet(metric, source, output, overwrite=overwrite, **options)
    progress.say(
        f"The index varies by {float(result['index_std']):.2f}° (standard deviation) and remembers "
        f"{float(result['index_memory']):.1f} days: about {float(result['samples_fitted']):.0f} "
        f"independent samples to fit on, {float(result['samples_judged']):.0f} to judge by."
    )
    click.echo("representation,r2,r2_low,r2_high,mean_absolute_error,features")
    for name in result["representation"].values:
        row = {key: float(value) for key, value in result.sel(representation=name).items()
               if not value.dims}  # fmt: skip
        click.echo(
            f"{name},{row['r2']:.3f},{row['r2_low']:.3f},{row['r2_high']:.3f},"
            f"{row['mean_absolute_error']:.3f},{row['features']:.0f}"
        )
