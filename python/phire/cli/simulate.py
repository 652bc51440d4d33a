"""``phire simulate``: simulation of shallow water on the sphere."""

import click

from phire.cli.command import Command


@click.command("simulate", cls=Command)
@click.argument("output", type=click.Path())
@click.option("--days", type=float, default=60, help="Simulated days to store.")
@click.option("--resolution", type=int, default=128, help="Rows H of the Gaussian grid, H × 2H.")
@click.option("--step", default="3h", metavar="DURATION", help="Time between stored fields.")
@click.option("--seed", type=int, default=0, help="Seed of the initial state and of the stirring.")
@click.option("--spin-up", type=float, default=20, help="Simulated days before the first field.")
@click.option("--threads", type=int, default=None, help="Number of threads.  [default: all cores]")
def main(**options):
    """Simulate shallow water on the sphere; store its divergence and vorticity in OUTPUT."""
    from phire.fields.shallow_water import simulate

    simulate(options.pop("output"), **options)
