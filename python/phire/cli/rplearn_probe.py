"""``rplearn-probe``: the jet's latitude told from learned features."""

from __future__ import annotations

import click

from phire.cli.common import Command, CommaSeparated


@click.command("rplearn-probe", cls=Command, tensorflow=True)
@click.argument("metric", type=click.Path())
@click.argument("source", type=click.Path())
@click.option("--out", "output", required=True, type=click.Path(), help="NetCDF file of results.")
@click.option("--layer", default=None, help="A layer other than the metric's, such as stage3.")
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
    "--band",
    type=CommaSeparated(float, 2),
    default="15,75",
    help="S,N: degrees north between which the jet is sought.",
)
@click.option("--cutoff-days", type=float, default=10.0, help="Cut-off of the Lanczos filter.")
@click.option("--window-days", type=float, default=61.0, help="Width of the Lanczos filter.")
@click.option("--held-out", type=float, default=0.3, help="Last share of the series, to judge by.")
@click.option("--every-hours", type=float, default=12.0, help="Time between the fields used.")
@click.option("--components", type=int, default=100, help="Principal components of raw fields.")
@click.option("--seed", type=int, default=0, help="Of the random encoder and the PCA.")
def main(metric, source, output, overwrite, **options):
    """Predict the jet-latitude index from features of METRIC over SOURCE.

    The index is that of Woollings et al. (2010): zonal mean of low-level zonal wind, low-pass
    filtered, latitude of the maximum. Learned features, principal components of the raw fields and
    a random encoder's features are compared by ridge regression on held-out time.
    """
    from phire.jetstream import probe_jet

    result = probe_jet(metric, source, output, overwrite=overwrite, **options)
    click.echo("representation,r2,mean_absolute_error")
    for name in result["representation"].values:
        row = result.sel(representation=name)
        click.echo(f"{name},{float(row['r2']):.3f},{float(row['mean_absolute_error']):.2f}")
