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
    "--targets",
    type=CommaSeparated(name="NAME,..."),
    help="Channels of HIGH to predict.  [default: all]",
)
@click.option(
    "--low", metavar=FILE, help="Targets at low resolution.  [default: block means of HIGH]"
)
@click.option(
    "--predictors",
    metavar=FILE,
    multiple=True,
    help="Further coarse fields, of any variables; may be repeated.",
)
@click.option(
    "--coarse-targets",
    is_flag=True,
    help="With --predictors, also use block means of the targets as coarse input.",
)
@click.option(
    "--static",
    metavar=FILE,
    multiple=True,
    help="Maps on the fine grid, such as orography; may be repeated.",
)
@click.option(
    "--auxiliary",
    metavar=FILE,
    multiple=True,
    help="Time-dependent predictors on the fine grid; may be repeated.",
)
@click.option(
    "--stations",
    metavar="FILE.csv",
    help="Station observations as input, one row per station and time: station, time, latitude, "
    "longitude and a column for each variable.",
)
@click.option(
    "--withhold-stations", type=float, default=0.2,
    help="Share of the stations that are never inputs, for scoring; the same share of the others "
    "is hidden in each field.",
)  # fmt: skip
@click.option(
    "--covariates",
    type=CommaSeparated(name="hour,day"),
    default=(),
    help="Time covariates: hour of the day, day of the year, each as sine and cosine.",
)
@patch_options("96,96", patches_per_field=20)
@click.option("--scale", type=int, default=4, help="Fine points per coarse point along each axis.")
@click.option("--whole-fields", is_flag=True, help="Write whole fields instead of patches.")
@click.option("--margin", type=int, default=0, help="Coarse points around a patch, on each side.")
@click.option(
    "--context",
    type=CommaSeparated(int, 2, "H,W"),
    help="Add the whole coarse field to each patch, as area means over H × W cells.  [default: no]",
)
@click.option(
    "--window",
    type=int,
    help="Consecutive fields in a sample.  [default: one, without a time axis]",
)
@click.option(
    "--alignment",
    type=click.Choice(["cell", "corner"]),
    help="Coarse points are the centres of their blocks or their first points.  [default: that of "
    "the first coarse input, else cell]",
)
@click.option(
    "--regrid", type=click.Choice(["bilinear", "conservative"]), default="bilinear",
    help="Regridding method for coarse inputs on another grid.",
)  # fmt: skip
@click.option(
    "--statistics-of", metavar="domain|point|mean-of-points[,NAME=…]",
    help="Fit the normalization's statistics to all values, to each point, or to each point and "
    "then average them; channels that differ by name, such as point,pr=domain.  [default: domain]",
)  # fmt: skip
@click.option(
    "--seasonal", metavar="N[,NAME=N]",
    help="Number of harmonics of the day of the year in these statistics, 0 to 6; channels that "
    "differ by name.  [default: 0]",
)  # fmt: skip
@click.option(
    "--least-valid", type=float, default=0.5,
    help="With --missing mask, smallest fraction of a patch's target values that must be present.",
)  # fmt: skip
@sampling_options(masks=True)
def main(store, records, **options):
    """Write patches of HIGH at two resolutions to the directory RECORDS.

    HIGH holds the fields at high resolution, in any format that phire reads.
    """
    from phire.records import write_downscaling_records

    write_downscaling_records(store, records, **options)
