"""``phire-eval``: statistics, figures and a report of candidates compared with the truth."""

from __future__ import annotations

import click

from phire.cli.comma_separated import CommaSeparated
from phire.cli.command import Command, import_tensorflow
from phire.cli.paths import FIELDS, INTERPOLATIONS, METRIC, RUN, CheckedPath, Named
from phire.cli.shared_options import cluster_options


class _Candidate(CheckedPath):
    """Path of a run or of fields, or the name of an interpolation."""

    def convert(self, value, param, ctx):
        from phire.downscaling.candidates import is_run

        if is_run(value):
            return RUN.convert(value, param, ctx)
        return super().convert(value, param, ctx)


class _Truth(click.Path):
    """Path of fields, or with ``--compare`` of a results folder, which the merge checks."""

    def convert(self, value, param, ctx):
        if ctx is not None and ctx.params.get("compared"):
            return super().convert(value, param, ctx)
        return FIELDS.convert(value, param, ctx)


@click.command("phire-eval", cls=Command)
@click.argument("truth", type=_Truth())
@click.option(
    "--candidate",
    "candidates",
    type=Named("SPEC", _Candidate("fields.opening:expand", INTERPOLATIONS)),
    multiple=True,
    help="Candidate; may be repeated. SPEC is a run of phire-train, a store, NetCDF or Zarr file "
    "of predictions (an ensemble if it has a dimension `member`), or nearest, bilinear, bicubic.",
)
@click.option("--out", "output", type=click.Path(), required=True, help="Directory of results.")
@click.option("--compare", "compared", type=click.Path(), multiple=True, metavar="RESULTS",
              is_eager=True,  # before TRUTH, whose check depends on it
              help="Combine these results with those given in place of TRUTH, into one table and "
              "report in --out; may be repeated.")  # fmt: skip
@click.option(
    "--scale",
    type=click.IntRange(1),
    default=None,
    help="Fine points per coarse point along each axis; required for runs and interpolations.",
)
@click.option(
    "--metrics",
    type=CommaSeparated(name="NAME,..."),
    default=None,
    help="Statistics to compute: phire parts statistic.  [default: all that apply but slow ones]",
)
@click.option(
    "--region",
    "regions",
    type=Named("N,W,S,E"),
    multiple=True,
    help="Region to evaluate separately: a box in degrees, or a NetCDF file with a mask; may be "
    "repeated.",
)
@click.option("--time", "times", default=None, metavar="START,STOP",
              help="Half-open range of times to evaluate.  [default: all]")  # fmt: skip
@click.option("--variables", type=CommaSeparated(name="NAME,..."), default=None,
              help="Channels to evaluate.  [default: all]")  # fmt: skip
@click.option(
    "--wind",
    type=CommaSeparated(length=2, name="U,V"),
    default=None,
    help="Channels of eastward and northward wind, for the kinetic energy.  [default: detected by "
    "standard names, names and units]",
)
@click.option(
    "--climatology",
    type=FIELDS,
    default=None,
    help="Climatology for anomalies: a file of 1, 12 (months), 365 or 366 (days) fields.  "
    "[default: the mean of the truth]",
)
@click.option(
    "--learned", type=METRIC, default=None, help="Metric of rplearn-eval, for the learned distance."
)
@click.option(
    "--thresholds",
    type=Named("VALUE,...", CommaSeparated(float, name="VALUE,..."), key="CHANNEL"),
    multiple=True,
    help="Thresholds of events of a channel, in its units, such as pr=1,5,20, besides the truth's "
    "quantiles; may be repeated.",
)
@click.option("--site", "sites", multiple=True, metavar="NAME=LAT,LON",
              help="Site, in degrees, whose time series is drawn and scored, or a CSV file of "
              "sites (name, latitude, longitude); may be repeated.")  # fmt: skip
@click.option(
    "--stations",
    type=click.Path(),
    default=None,
    metavar="FILE.csv",
    help="Station observations to compare with, one row per station and time: station, time, "
    "latitude, longitude, optionally elevation (m), and a column for each channel.",
)
@click.option(
    "--station-points",
    type=click.Choice(["nearest", "bilinear"]),
    default="nearest",
    help="Interpolation from grid points to stations.",
)
@click.option("--orography", type=click.Path(), default=None, metavar="FILE[:NAME]",
              help="Surface height of the grid, to state its difference from the "
              "stations'.")  # fmt: skip
@click.option("--by", type=CommaSeparated(name="hour,month,season"), default=(),
              help="Also compute the table's numbers by hour, month or season.")  # fmt: skip
@click.option("--uncertainty", is_flag=True,
              help="Add confidence intervals by a block bootstrap in time, and paired tests "
              "between candidates.")  # fmt: skip
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=300,
    help="Semivariogram: number of point pairs per distance and field.",
)
@click.option(
    "--lags",
    type=CommaSeparated(float, name="KM,..."),
    default=None,
    help="Semivariogram: distances, km.  [default: 25 to 1000]",
)
@click.option(
    "--minimum",
    type=float,
    default=None,
    help="Runs: lower bound of predicted values, such as 0 for rain; lower values are set to it.",
)
@click.option(
    "--trace",
    type=float,
    default=None,
    help="Runs, with --minimum: smallest measurable amount, such as 0.05 mm of rain; lower ones "
    "are set to the minimum.",
)
@click.option(
    "--members",
    type=click.IntRange(1),
    default=None,
    help="Stochastic runs: number of ensemble members.  [default: 1]",
)
@click.option("--seed", type=int, default=0, help="Seed of all random numbers.")
@click.option(
    "--chunk",
    type=click.IntRange(1),
    default=32,
    help="Number of times read at once; progress is saved after each chunk.",
)
@cluster_options
@click.option("--report/--no-report", default=True, help="Draw the figures and write report.html.")
def main(
    truth, candidates, output, compared, climatology, learned, variables, lags, scale, minimum,
    trace, members, orography, **options,
):  # fmt: skip
    """Evaluate candidates against TRUTH (a store, NetCDF, Zarr or GRIB file)."""
    from phire.downscaling import candidates as opening
    from phire.errors import InputError
    from phire.evaluation import evaluate
    from phire.evaluation.catalogue import check_names
    from phire.evaluation.setting import LAGS
    from phire.evaluation.site_series import parse_sites
    from phire.fields import open_fields

    check_names(options["metrics"] or ())
    if compared:
        _merge([*compared, truth], candidates, output, options)
        return
    named = dict(candidates)
    if len(named) < len(candidates):
        raise InputError("two of --candidate have the same name: give each its own.")
    opening.check_candidates(named, scale, minimum, members, trace)
    regions = dict(options.pop("regions"))
    options["sites"] = parse_sites(options["sites"])
    options["thresholds"] = dict(options["thresholds"])
    truth_source = open_fields(truth, variables)
    if learned is not None or any(map(opening.is_run, named.values())):
        import_tensorflow()
    sources = opening.open_candidates(
        named, truth_source, scale=scale, variables=variables, minimum=minimum, trace=trace,
        members=members, seed=options["seed"],
    )  # fmt: skip
    origins = {"truth": opening.origin_of(truth)}
    origins |= {n: opening.origin_of(spec, minimum, members, trace) for n, spec in named.items()}
    if variables:
        origins["truth"]["variables"] = list(variables)
    further, further_origins = _open_further_inputs(learned, orography, climatology, variables)
    evaluate(
        truth_source,
        sources,
        output,
        regions=regions,
        scale=scale,
        lags=lags or LAGS,
        origins=origins | further_origins,
        **further,
        **options,
    )


def _merge(folders, candidates, output, options):
    """Combines the results of several folders into one."""
    from phire.errors import InputError
    from phire.evaluation.merged_results import merge_results

    if candidates:
        raise InputError("--compare reads the candidates from results: leave out --candidate.")
    merge_results(folders, output, report=options["report"], overwrite=options["overwrite"])


def _open_further_inputs(learned, orography, climatology, variables):
    """Opens metric, orography and climatology; returns arguments of ``evaluate`` and origins."""
    from phire.downscaling.candidates import origin_of
    from phire.fields import open_fields

    arguments, origins = {}, {}
    if learned is not None:
        arguments |= _metric_functions(learned)
        origins["--learned"] = origin_of(learned)
    if orography is not None:
        arguments["orography"] = _one_map(orography)
    if climatology is not None:
        origins["--climatology"] = origin_of(climatology)
        arguments["climatology"] = open_fields(climatology, variables)
    return arguments, origins


def _metric_functions(path):
    """Returns the functions of a metric that an evaluation needs."""
    from phire.rplearn import LearnedMetric

    metric = LearnedMetric.load(path)
    return {
        "learned_distance": metric.distance,
        "learned_features": lambda fields: metric.features(fields).mean(axis=(1, 2)),
    }


def _one_map(text):
    """Reads the map of ``--orography FILE[:NAME]``."""
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
