"""``phire-data``: downscaling records."""

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command
from phire.cli.shared_options import patch_options, sampling_options

FILE = "FILE[:NAMES]"


@click.command("phire-data", cls=Command)
@click.argument("store", metavar="HIGH", type=click.Path())
@click.argument("records", type=click.Path())
@click.option(
    "--targets", type=CommaSeparated(), help="Channels of HIGH to predict.  [default: all]"
)
@click.option("--low", metavar=FILE, help="Targets at low resolution.  [default: block means]")
@click.option(
    "--predictors", metavar=FILE, multiple=True, help="Further coarse fields; may be repeated."
)
@click.option(
    "--coarse-targets",
    is_flag=True,
    help="Put block means of the targets before --predictors in low.",
)
@click.option(
    "--static", metavar=FILE, multiple=True, help="Maps on the fine grid; may be repeated."
)
@click.option(
    "--auxiliary", metavar=FILE, multiple=True, help="Predictors in time on the fine grid."
)
@click.option("--stations", metavar="FILE.csv", help="Observations, a row a station and time.")
@click.option(
    "--withhold-stations", type=float, default=0.2,
    help="Share of stations withheld; as many of the others are hidden in each field.",
)  # fmt: skip
@click.option(
    "--covariates", type=CommaSeparated(), default=(), help="Of hour, day: sine and cosine of each."
)
@patch_options("96,96", patches_per_field=20)
@click.option(
    "--scale", type=int, default=4, help="Fine points for each coarse point along an axis."
)
@click.option("--whole-fields", is_flag=True, help="Write each whole field as one record.")
@click.option("--margin", type=int, default=0, help="Coarse points of context around a patch.")
@click.option(
    "--window", type=int, help="Consecutive fields of a sample.  [default: no axis of time]"
)
@click.option(
    "--alignment",
    type=click.Choice(["cell", "corner"]),
    help="Position of a coarse point in its block.  [default: as the first input does, else cell]",
)
@click.option(
    "--regrid", type=click.Choice(["bilinear", "conservative"]), default="bilinear",
    help="Regridding method of coarse input that does not lie on the blocks.",
)  # fmt: skip
@click.option(
    "--statistics-of", metavar="domain|point|mean-of-points[,NAME=…]",
    help="Means and standard deviations of all values of the domain, of each point, or the means "
    "over the points of theirs; others by name, such as point,pr=domain.  [default: domain]",
)  # fmt: skip
@click.option(
    "--seasonal", metavar="N[,NAME=N]",
    help="Harmonics of the day of the year in means and standard deviations, from 0 to 6.  "
    "[default: 0]",
)  # fmt: skip
@click.option(
    "--least-valid", type=float, default=0.5,
    help="Share of a patch's targets that must be present with --missing mask.",
)  # fmt: skip
@sampling_options(masks=True)
def main(store, records, **options):
    """Sample patches at two resolutions from HIGH into the directory RECORDS."""
    from phire.records import write_downscaling_records

    write_downscaling_records(store, records, **options)
