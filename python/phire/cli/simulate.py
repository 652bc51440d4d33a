"""``phire simulate``."""

import click

from phire.cli.command import Command


@click.command("simulate", cls=Command)
@click.argument("output", type=click.Path())
@click.option("--days", type=float, default=60, help="Days to keep.")
@click.option("--resolution", type=int, default=128, help="Rows H of the H × 2H Gaussian grid.")
@click.option("--step", default="3h", help="Time between stored fields.")
@click.option("--seed", type=int, default=0, help="Seed of the flow.")
@click.option("--spin-up", type=float, default=20, help="Days to run before the first field.")
@click.option("--threads", type=int, default=None, help="Threads to use.  [default: all cores]")
def main(**options):
    """Simulate shallow water on the sphere; store its divergence and vorticity in OUTPUT."""
    from phire.fields.shallow_water import simulate

    simulate(options.pop("output"), **options)
