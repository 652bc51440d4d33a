"""Evaluation of candidates against the truth: checks, results, tables, figures and report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import existing_outputs, progress
from phire.errors import InputError, naming_arguments
from phire.evaluation import notes
from phire.evaluation.aligned_setting import aligned_setting
from phire.evaluation.candidate_differences import compare_candidates
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import default_threads
from phire.evaluation.city_statistics import count_cities
from phire.evaluation.domain import Domain, check_name
from phire.evaluation.pairing import AlignedSource, align
from phire.evaluation.results import TRUTH
from phire.evaluation.results_computation import compute_results
from phire.evaluation.results_folder import Folder
from phire.evaluation.results_identity import folder_identity, region_identity, source_identity
from phire.evaluation.setting import LAGS
from phire.evaluation.statistics_choice import choose_statistics, result_files
from phire.evaluation.summary import summarise
from phire.fields.cluster import check_cluster
from phire.fields.coarsening import whole_blocks
from phire.fields.source import Source

CHUNK = 32
"""Default number of times of a chunk; after each, the states are saved."""


@naming_arguments()
def evaluate(
    truth: Source,
    candidates: Mapping[str, Source],
    output: str | os.PathLike,
    *,
    metrics: Sequence[str] | None = None,
    scale: int | None = None,
    regions: Mapping[str, Any] | None = None,
    times: str | tuple[str | None, str | None] | None = None,
    climatology: Source | None = None,
    learned_distance: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    learned_features: Callable[[np.ndarray], np.ndarray] | None = None,
    wind: tuple[str, str] | None = None,
    thresholds: Mapping[str, Sequence[float]] | None = None,
    sites: Mapping[str, tuple[float, float]] | None = None,
    stations: str | os.PathLike | None = None,
    station_points: str = "nearest",
    orography: Source | None = None,
    by: Sequence[str] = (),
    uncertainty: bool = False,
    lags: Sequence[float] = LAGS,
    pairs: int = 300,
    origins: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    chunk: int = CHUNK,
    workers: int | None = None,
    scheduler: str | None = None,
    report: bool = True,
    overwrite: bool = False,
) -> Path:
    """Evaluates candidates against the truth and writes results, figures and a report.

    Fields are read once, chunk by chunk; the truth is read once before, for its range and mean. If
    the evaluation is interrupted, the same call resumes it. Candidates, metrics and regions can be
    added to an existing folder, whose finished files are not computed again.

    Args:
        truth: The truth.
        candidates: Sources by name, on the truth's grid or a window of it; with ``members`` and
            ``read_members`` they are ensembles.
        output: The results folder; its layout is described in :mod:`phire.evaluation.results`.
        metrics: Names of statistics (``phire parts statistic``); None means all that apply to the
            fields, except slow ones such as ``localized_spectrum``.
        scale: Factor by which the coarse grid was coarser; sets the cutoff of spectral scores. Rows
            and columns that coarsening drops are evaluated if all candidates have them.
        regions: Regions by name: (north, west, south, east) in degrees, or a mask as an array on
            the truth's grid or a NetCDF file.
        times: ``START,STOP`` (half-open), as a text or a pair; None means all times.
        climatology: Climatology for anomalies, of one field, one for each month or one for each day
            of the year; None means the time mean of the truth.
        learned_distance: Function of truth and candidate, both (n, H, W, C) in physical units, that
            returns distances (n,).
        learned_features: Function of fields (n, H, W, C) that returns features (n, F), for the
            Fréchet distance.
        wind: Channels of the eastward and northward wind in m/s, for kinetic energy; None means to
            detect them by standard names, names and units.
        thresholds: Thresholds of events by channel, in the channel's units, in addition to
            quantiles of the truth.
        sites: Latitude and longitude in degrees of sites with time series, by name.
        stations: CSV file of station observations; see
            :func:`phire.evaluation.station_observations.read_observations`.
        station_points: Interpolation of fields to stations, ``nearest`` or ``bilinear``.
        orography: Height of the grid's surface in metres, for the height difference to stations.
        by: Groups of times by which scores are computed: ``hour``, ``month``, ``season``.
        uncertainty: If True, confidence intervals of all scores and of the differences between
            candidates are computed by a block bootstrap in time.
        lags: Lags of semivariograms, km.
        pairs: Pairs of points of semivariograms, for each lag and field.
        origins: Origin of each source (``truth``, candidates, ``--climatology``, ``--learned``),
            with ``minimum`` if a prediction was clipped at a lower bound, and ``trace`` if lower
            values than that were set to it. It is recorded, and a folder with another origin is
            refused. By default the path of the source, and a hash of its first and last field.
        seed: Seed of all random draws.
        chunk: Number of times of a chunk. The states are saved after each chunk, so that a crash
            costs at most one.
        workers: Number of processes on this machine; None means the threads of one process, which
            were faster when measured.
        scheduler: Address of a dask scheduler, for several machines.
        report: If True, figures are drawn and the report is written.
        overwrite: If True, an existing folder is replaced.

    Returns:
        The path of the results folder.

    Raises:
        InputError: An argument or a source does not fit, or the folder has other options.
        WorkError: Workers were lost repeatedly.
    """
    output = Path(output)
    _check_arguments(truth, candidates, scale)
    regions, origins = dict(regions or {}), {TRUTH: source_identity(truth), **(origins or {})}
    truth_times = truth.time.select_range(times)
    aligned, placed = align(truth, candidates, truth_times)
    setting = aligned_setting(
        aligned, Domain.whole(aligned.grid), lags=lags, thresholds=thresholds, sites=sites,
        stations=stations, station_points=station_points, orography=orography, scale=scale,
        seed=seed, threads=default_threads(workers, scheduler), pairs=int(pairs),
        learned=_given(distance=learned_distance, features=learned_features),
        named_wind=None if wind is None else tuple(wind),
    )  # fmt: skip
    settings, names, skipped = choose_statistics(setting, regions, placed, metrics, by, uncertainty)
    found_notes = [
        *_notes_on_sources(truth, aligned, truth_times, candidates, origins),
        *notes.of_statistics([statistics()[name] for name in names], settings, skipped),
    ]
    check_cluster(workers, scheduler)
    identity = folder_identity(setting, origins, climatology)
    folder = _prepared_folder(output, identity, candidates, origins, regions, overwrite)
    wanted = result_files(names, settings, placed)
    pending = [file for file in wanted if not folder.has(file)]
    if not pending and not folder.grew and folder.is_finished(report):
        existing_outputs.announce_finished(output)
        return output
    folder.note(found_notes)
    if len(pending) < len(wanted):
        progress.say(f"{len(wanted) - len(pending)} of {len(wanted)} results exist already.")
    compute_results(
        pending, settings, aligned, placed, folder, climatology, chunk, workers, scheduler
    )
    _conclude(folder, output, seed, report)
    return output


def _notes_on_sources(
    truth: Source,
    aligned: AlignedSource,
    truth_times: np.ndarray,
    candidates: Mapping[str, Source],
    origins: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    """Yields notes on bounds of predictions, on times and on points that are left out."""
    yield from notes.of_bounds({name: origins.get(name, {}) for name in candidates})
    yield from notes.of_times(len(aligned.time), len(truth_times))
    yield from notes.of_window(truth, aligned, candidates)


def _prepared_folder(
    output: Path,
    identity: Mapping[str, Any],
    candidates: Mapping[str, Source],
    origins: Mapping[str, Mapping[str, Any]],
    regions: Mapping[str, Any],
    overwrite: bool,
) -> Folder:
    """Returns the results folder, new or with the finished results of an earlier call.

    Raises:
        InputError: The existing folder has other options, or is no results folder.
    """
    sources = {
        name: origins.get(name) or source_identity(source) for name, source in candidates.items()
    }
    places = {name: region_identity(region) for name, region in regions.items()}
    folder = Folder(output, identity, sources, places)
    folder.prepare(overwrite)
    return folder


def _given(**functions: Callable[..., Any] | None) -> dict[str, Callable[..., Any]]:
    """Returns the functions that are not None."""
    return {name: function for name, function in functions.items() if function is not None}


def _check_arguments(truth: Source, names: Iterable[str], scale: int | None) -> None:
    """Checks the names of candidates, which become names of folders, and the scale.

    Raises:
        InputError: A name has an invalid character or is reserved, or the grid is too small for
            the scale.
    """
    if scale is not None:
        whole_blocks(truth.grid, scale)
    for name in names:
        check_name(name, "--candidate")
        if name in (TRUTH, "figures"):
            raise InputError(f"--candidate {name}: this name is reserved, choose another one.")


def _conclude(folder: Folder, output: Path, seed: int, report: bool) -> None:
    """Writes tables, figures and report of the results, and removes the snapshots."""
    options = folder.record()
    summarise(output, options["candidates"], options["regions"])
    compare_candidates(output, options["candidates"], options["regions"], seed)
    count_cities(output, options["candidates"])
    if report:
        # matplotlib is slow to import, and not needed without a report.
        from phire.evaluation.figures import draw_all
        from phire.evaluation.report import write_report

        draw_all(output)
        write_report(output)
    folder.finish()
