"""``phire-eval``: statistics, figures and a report of candidates against the truth."""

from __future__ import annotations

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command, import_tensorflow
from phire.cli.paths import FIELDS, INTERPOLATIONS, METRIC, RUN, CheckedPath, Named
from phire.cli.shared_options import cluster_options


class _Candidate(CheckedPath):
    """A run, fields or the name of an interpolation."""

    def convert(self, value, param, ctx):
        from phire.downscaling.candidates import is_run

        if is_run(value):
            return RUN.convert(value, param, ctx)
        return super().convert(value, param, ctx)


@click.command("phire-eval", cls=Command)
@click.argument("truth", type=FIELDS)
@click.option(
    "--candidate",
    "candidates",
    type=Named("SPEC", _Candidate("fields.opening:expand", INTERPOLATIONS)),
    multiple=True,
    help="Candidate: SPEC is a run of phire-train, a store, NetCDF or Zarr file of "
    "predictions (a dimension `member` makes it an ensemble), or nearest, bilinear, bicubic.",
)
@click.option("--out", "output", type=click.Path(), required=True, help="Folder of results.")
@click.option("--compare", "compared", type=click.Path(), multiple=True, metavar="RESULTS",
              help="Put the candidates of this folder of results and of the one named in TRUTH's "
              "place into one folder --out, with one table and report.")  # fmt: skip
@click.option(
    "--scale",
    type=click.IntRange(1),
    default=None,
    help="How much coarser the coarse fields are; needed for runs and interpolations.",
)
@click.option(
    "--metrics",
    type=CommaSeparated(name="NAME,..."),
    default=None,
    help="Statistics to take; by default all that fit but the slow ones.",
)
@click.option(
    "--region",
    "regions",
    type=Named("N,W,S,E"),
    multiple=True,
    help="A part to evaluate too: a box in degrees, or a NetCDF file with a mask.",
)
@click.option("--time", "times", default=None, help="Only these times: START,STOP, half-open.")
@click.option("--variables", type=CommaSeparated(name="NAME,..."), default=None,
              help="Only these channels of the truth and of files of predictions.")  # fmt: skip
@click.option(
    "--wind",
    type=CommaSeparated(length=2, name="U,V"),
    default=None,
    help="The eastward and northward wind that kinetic energy is taken of; by default they are "
    "told by standard names, names and units.",
)
@click.option(
    "--climatology",
    type=FIELDS,
    default=None,
    help="Fields to take anomalies from: 1, 12 (months), 365 or 366 (days); default: the truth's "
    "mean.",
)
@click.option(
    "--learned", type=METRIC, default=None, help="Metric of rplearn-eval: learned distance."
)
@click.option(
    "--thresholds",
    type=Named("VALUE,...", CommaSeparated(float), key="CHANNEL"),
    multiple=True,
    help="Values of a channel, in its units, above which events are counted, besides the truth's "
    "quantiles; such as pr=1,5,20.",
)
@click.option("--site", "sites", multiple=True, metavar="NAME=LAT,LON",
              help="A place whose series is drawn and scored, in degrees, or a CSV file of such "
              "(name, latitude, longitude).")  # fmt: skip
@click.option(
    "--stations",
    type=click.Path(),
    default=None,
    metavar="FILE.csv",
    help="Observations that are the truth at their points: a row a station and time, the "
    "columns station,time,latitude,longitude, perhaps elevation (m), and channels.",
)
@click.option(
    "--station-points",
    type=click.Choice(["nearest", "bilinear"]),
    default="nearest",
    help="The way from grid points to stations.",
)
@click.option("--orography", type=click.Path(), default=None, metavar="FILE[:NAME]",
              help="Height of the grid's surface, to name the difference to the "
              "stations'.")  # fmt: skip
@click.option("--by", type=CommaSeparated(name="hour,month,season"), default=(),
              help="The numbers of the table also by hour, month or season.")  # fmt: skip
@click.option("--uncertainty", is_flag=True,
              help="Intervals of all numbers by a block bootstrap in time, and a paired test which "
              "candidates differ.")  # fmt: skip
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=300,
    help="Semivariogram: pairs of points for each lag and field.",
)
@click.option(
    "--lags",
    type=CommaSeparated(float, name="KM,..."),
    default=None,
    help="Distances of the semivariogram.",
)
@click.option(
    "--minimum",
    type=float,
    default=None,
    help="Candidates that are runs: the least physical value, such as 0 for rain; lower ones are "
    "set to it.",
)
@click.option(
    "--members",
    type=click.IntRange(1),
    default=None,
    help="Candidates that are stochastic runs: members of the ensemble.  [default: 1]",
)
@click.option("--seed", type=int, default=0, help="Seed of all random draws.")
@click.option(
    "--chunk",
    type=click.IntRange(1),
    default=32,
    help="Times measured between two checkpoints of the work.",
)
@cluster_options
@click.option("--report/--no-report", default=True, help="Draw the figures, write the report.")
def main(
    truth, candidates, output, compared, climatology, learned, variables, lags, scale, minimum,
    members, orography, **options,
):  # fmt: skip
    """Evaluate candidates against TRUTH (a store, NetCDF, Zarr or GRIB file)."""
    from phire.downscaling import candidates as opening
    from phire.errors import InputError
    from phire.evaluation import evaluate
    from phire.evaluation.accumulator import LAGS
    from phire.evaluation.catalogue import check_names
    from phire.evaluation.site_series import parse_sites
    from phire.fields import open_fields

    check_names(options["metrics"] or ())
    if compared:
        _merge([*compared, truth], candidates, output, options)
        return
    named = dict(candidates)
    if len(named) < len(candidates):
        raise InputError("two of --candidate have the same name: name each differently.")
    opening.check_candidates(named, scale, minimum, members)
    regions = dict(options.pop("regions"))
    options["sites"] = parse_sites(options["sites"])
    options["thresholds"] = dict(options["thresholds"])
    truth_source = open_fields(truth, variables)
    if learned is not None or any(map(opening.is_run, named.values())):
        import_tensorflow()
    sources = opening.open_candidates(
        named, truth_source, scale=scale, variables=variables, minimum=minimum, members=members,
        seed=options["seed"],
    )  # fmt: skip
    origins = {"truth": opening.origin_of(truth)}
    origins |= {n: opening.origin_of(spec, minimum, members) for n, spec in named.items()}
    if variables:
        origins["truth"]["variables"] = list(variables)
    functions = {}
    if learned is not None:
        functions |= _learned(learned)
        origins["--learned"] = opening.origin_of(learned)
    if orography is not None:
        functions["orography"] = _one_map(orography)
    if climatology is not None:
        origins["--climatology"] = opening.origin_of(climatology)
        functions["climatology"] = open_fields(climatology, variables)
    evaluate(
        truth_source,
        sources,
        output,
        regions=regions,
        scale=scale,
        lags=lags or LAGS,
        origins=origins,
        **functions,
        **options,
    )


def _merge(folders, candidates, output, options):
    """Puts the results of several folders into one."""
    from phire.errors import InputError
    from phire.evaluation.merged_results import merge_results

    if candidates:
        raise InputError("--compare takes candidates from folders: leave --candidate out.")
    merge_results(folders, output, report=options["report"], overwrite=options["overwrite"])


def _learned(path):
    """The functions of a metric that an evaluation takes."""
    from phire.rplearn import LearnedMetric

    metric = LearnedMetric.load(path)
    return {
        "learned_distance": metric.distance,
        "learned_features": lambda fields: metric.features(fields).mean(axis=(1, 2)),
    }


def _one_map(text):
    """The map of ``--orography FILE[:NAME]``."""
    from phire.errors import InputError
    from phire.fields.opening import split_names
    from phire.fields.static_maps import open_maps

    path, names = split_names(text)
    maps = open_maps(path, names, "--orography")
    if len(maps.channels) > 1:
        raise InputError(
            f"--orography {text} holds {', '.join(maps.channels)}: name one as FILE:NAME."
        )
    return maps


if __name__ == "__main__":
    main()
