"""Layout of a results folder and its files, and their provenance.

An evaluation writes a folder ``OUT``::

    OUT/truth/METRIC.nc                 statistics of the truth
    OUT/CANDIDATE/METRIC.nc             statistics of a candidate, compared with the truth
    OUT/CANDIDATE/METRIC.REGION.nc      the same within a named region
    OUT/summary.csv                     table of scores, a row for each candidate and region
    OUT/city_counts.csv                 cities at which a candidate is better than another
    OUT/provenance.json                 command, versions and, under ``options``, all options
    OUT/figures/, OUT/report.html       figures and report, drawn from the files above

Common to all files
    Dimensions ``channel`` (text), ``time`` (CF, or step numbers), ``latitude``/``longitude`` in
    degrees (``row``/``column`` where the fields have no coordinates). Units are in attributes.
    Attributes of every file: ``metric``, ``candidate``, ``region`` ("" for the whole domain),
    ``grid`` (a description), ``times`` (number of times used), ``scale`` (0 if not given) and
    ``phire_options`` (the options of the evaluation, JSON). Variables marked † compare a candidate
    with the truth, and are missing in the truth's files. Values that cannot be computed are NaN.

``spectrum.nc`` on a global grid
    ``kinetic_energy(degree)`` m² s⁻² (if vorticity and divergence, or u and v, are channels),
    ``variance(channel, degree)``, †``kinetic_energy_ratio(degree)``,
    †``variance_ratio(channel, degree)``, †``coherence(channel, degree)``,
    †``kinetic_energy_coherence(degree)``, ``wavelength(degree)`` km. Attributes ``cutoff_degree``
    (of the coarse grid, H/(2·scale); only with a scale) and ``truncation`` (the truth's last degree
    above round-off). Rows at the poles that the fields lack are filled before the transform.
    † scalars ``kinetic_energy_log_error``, ``variance_log_error(channel)`` (log-spectral error
    beyond the cutoff), the same with ``_all`` at the end (over all degrees, whatever the scale);
    ``kinetic_energy_resolution``, ``variance_resolution(channel)`` (effective resolution, km);
    ``kinetic_energy_coherent_resolution``, ``coherent_resolution(channel)`` (km).
``spectrum.nc`` on a regional grid, and ``spectrum.REGION.nc``
    The same over ``wavelength`` (km, descending; ``pixels`` where there are no coordinates)
    instead of ``degree``, with ``wavenumber(wavelength)``, ``corner_variance(channel)`` and the
    attribute ``cutoff_wavelength``; ``kinetic_energy`` only from u and v.
``zonal_spectrum.nc``
    ``variance(channel, band, wavenumber)`` along circles of latitude averaged over bands;
    ``band`` is the band's middle latitude; †``variance_ratio``.
``localized_spectrum.REGION.nc``
    ``variance(channel, degree)`` within a cap around the region (multitaper), with
    ``variance_error(channel, degree)``, †``variance_ratio``; attributes ``cap_latitude``,
    ``cap_longitude``, ``cap_radius`` (degrees).
``semivariogram.nc``
    ``semivariogram(channel, lag)``, ``semivariogram_normalised(channel, lag)`` (by the truth's
    variance), ``semivariogram_low``/``_high(channel, lag)`` (95 % bootstrap interval of the time
    mean), ``semivariogram_zonal``/``_meridional(channel, lag)``, †``semivariogram_ratio``;
    ``lag`` in km.
``scores.nc`` (candidates only)
    Each over ``(channel, time)``: ``rmse, mae, bias, correlation, anomaly_correlation, psnr, ssim,
    total_variation_difference`` and ``NAME_smoothed`` (running mean); ``NAME_mean(channel)``, the
    score of all times together.
``maps.nc``
    Over ``(channel, latitude, longitude)``: ``mean, std``; †``rmse, mae, bias, std_difference,
    correlation`` (in time; of ensembles, over all members); ``mean_rmse``, the RMSE of the ensemble
    mean (ensembles only); ``count``, the number of times (and members) with values.
    ``member_maps.nc``, computed on request, has their ranges over the members.
``distribution.nc``
    ``density(channel, bin)`` at ``bin_centre(channel, bin)`` of width ``bin_width(channel)``;
    ``quantile_value(channel, quantile)``; ``mean, std, minimum, maximum (channel)``;
    †``wasserstein(channel)``, †``error_density(channel, error_bin)`` at
    ``error_bin_centre(channel, error_bin)``. A Q–Q plot is ``quantile_value`` of a candidate
    against the truth's.
``seasonal_quantiles.nc`` (candidates only)
    ``quantile_value``, ``truth_quantile_value (channel, season, quantile)``,
    ``seasonal_wasserstein(channel, season)``, ``seasonal_wasserstein_worst(channel)``.
``stations.nc``
    Over ``(channel, station, time)``: ``station_value``, ``station_observed``, of ensembles
    ``station_member``; over ``(channel, station)``: ``station_rmse``, ``station_mae``,
    ``station_bias``, ``station_correlation``, ``station_crps_fair`` (ensembles), and ``NAME_mean``;
    ``height_difference(station)``, grid minus station. The truth's file compares the gridded truth
    with the observations.
``cities.nc``
    Coordinates of ``city`` (name): ``city_latitude, city_longitude, city_population, country``.
    Over ``(channel, size, city)``: ``mean``, ``quantile_value(channel, size, city, quantile)``,
    †``wasserstein``; ``size`` is 1, 2, 3 for 1×1, 2×2, 3×3 points.
``fractions_skill_score.nc`` (candidates only)
    ``fractions_skill_score(channel, event, window)``; ``window`` in points,
    ``window_km(window)``, ``threshold(channel, event)`` in the channel's units.
    ``member_fractions_skill_score.nc``, computed on request, has that of single members.
``high_pass.nc`` (candidates only)
    ``exceedance(channel, degree, multiple)``: the share of the area where the error, high-passed
    at ``degree``, exceeds ``multiple`` standard deviations of the high-passed truth; and
    ``rmse(channel, degree)`` of the high-passed error.
``ensemble.nc`` (candidates with members only)
    ``crps, crps_fair, spread, error (channel, time)`` and ``NAME_mean(channel)``;
    ``spread_skill_ratio(channel)``; ``rank_histogram(channel, rank)``;
    ``binned_spread``/``binned_error(channel, spread_bin)``.
``probability.nc`` (candidates with members only)
    ``brier_score`` and its parts, ``brier_skill_score``, ``roc_area`` and
    ``expected_calibration_error`` over ``(channel, event)``, and ``NAME_mean(channel)``;
    ``forecast_probability``, ``observed_frequency``, ``forecast_share`` over ``(channel, event,
    probability_bin)``; ``hit_rate``, ``false_alarm_rate (channel, event, votes)``;
    ``threshold(channel, event)``.
``learned.nc`` (candidates only)
    ``learned_distance(time)``, ``learned_distance_smoothed(time)``, ``learned_distance_mean``,
    and, where features are given, ``frechet_distance``.
``learned_ensemble.nc`` (candidates with members only)
    ``learned_energy_score(time)``, ``learned_energy_score_fair(time)`` and ``NAME_mean``;
    ``member_learned_distance(time)`` and its ``_mean``, ``member_frechet_distance``, each with
    ``_low`` and ``_high`` over members.
``dl4ds.nc`` (candidates only, on request)
    ``dl4ds_psnr, dl4ds_ssim, dl4ds_rmse, dl4ds_mae, dl4ds_pearson, dl4ds_spearman (channel,
    time)`` with ``NAME_mean`` and ``NAME_std (channel)``; maps ``dl4ds_rmse_map``,
    ``dl4ds_pearson_map``, and ``dl4ds_normalised_rmse``, ``dl4ds_normalised_bias``, per cent.
``projections.nc`` (candidates only)
    Over ``(projection, component)`` — ``random``, ``principal`` —: ``wasserstein``; over
    ``projection``: ``wasserstein_mean``, ``frechet``, ``rv_coefficient``.
``samples.nc``
    ``field(channel, time, latitude, longitude)`` of a few times for image panels; ``minimum`` and
    ``maximum(channel)`` the truth's range to draw them in.

For candidates with members, ``member_NAME_low`` and ``member_NAME_high`` are the minimum and the
maximum of the variable ``NAME`` over the members, for statistics of single fields; see
:mod:`phire.evaluation.member_ranges`.

``summary.csv`` has the columns ``candidate, region`` and one for each score, named as above without
``_mean``. Scores of a channel are ``NAME:CHANNEL`` (such as ``rmse:vorticity``); those of spectra
are ``log_spectral_error:X`` and ``effective_resolution:X``, X a channel or ``kinetic_energy``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phire import value_text
from phire.fields.result_files import options_of_result, read_result

TRUTH = "truth"
PROVENANCE = "provenance.json"
SUMMARY = "summary.csv"
COMMAND = "evaluation"
"""Kind of output in ``provenance.json``."""


def result_path(output: str | os.PathLike, candidate: str, metric: str, region: str = "") -> Path:
    """Returns the path of a metric's results of a candidate, or of :data:`TRUTH`."""
    name = f"{metric}.{region}.nc" if region else f"{metric}.nc"
    return Path(output) / candidate / name


def read_provenance(output: str | os.PathLike) -> dict[str, Any] | None:
    """Reads the provenance of a results folder; returns None for any other folder."""
    path = Path(output) / PROVENANCE
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and found.get("kind") == COMMAND
    return found if known else None


def describe_results(path: str | os.PathLike) -> dict[str, Any] | None:
    """Describes a results folder or one file of results, as ``phire info`` prints it.

    Args:
        path: ``OUT`` of ``phire-eval``, or a NetCDF file in it.

    Returns:
        The description by heading; None if ``path`` is neither.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".nc":
        options = options_of_result(path)
        if options is None or "metric" not in options:
            return None
        dataset = read_result(path)
        return {
            "kind": "evaluation result",
            "candidate": str(dataset.attrs.get("candidate", "")),
            "metric": options["metric"],
            "region": str(dataset.attrs.get("region", "")) or "all",
            "times": int(dataset.attrs.get("times", 0)),
            "variables": value_text.list_stated(list(dataset.data_vars)),
        }
    found = read_provenance(path) if path.is_dir() else None
    if found is None:
        return None
    options = found["options"]
    results = sorted(path.glob("*/*.nc"))
    candidates = {name: _origin_text(origin) for name, origin in options["candidates"].items()}
    return {
        "kind": "evaluation results",
        "truth": _origin_text(options["truth"]),
        "candidates": value_text.Stated(
            ", ".join(f"{name} ({text})" for name, text in candidates.items()), candidates
        ),
        "times": value_text.Stated(
            "{} from {} to {}".format(*options["times"]),
            dict(zip(("count", "first", "last"), options["times"])),
        ),
        "scale": options["scale"] or value_text.Stated("not given", None),
        "regions": value_text.list_stated(list(options["regions"]))
        or value_text.Stated("none", []),
        "metrics": value_text.list_stated(sorted({file.name.split(".")[0] for file in results})),
        "files": len(results),
        "report": str(path / "report.html") if (path / "report.html").is_file() else "not written",
        "phire": found.get("versions", {}).get("phire", ""),
    }


def _origin_text(origin: Mapping[str, Any]) -> str:
    """Returns the path, specification or type of a source from its recorded origin."""
    return str(origin.get("path") or origin.get("spec") or origin.get("type") or "")
