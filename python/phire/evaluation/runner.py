"""Evaluation of candidates against the truth: all statistics in one pass over time."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation import notes
from phire.evaluation.aligned_setting import aligned_setting
from phire.evaluation.candidate_differences import compare_candidates
from phire.evaluation.catalogue import check_names, default_names, statistics
from phire.evaluation.chunks import Task, Work, accumulate, default_threads
from phire.evaluation.city_statistics import count_cities
from phire.evaluation.domain import Domain, check_name
from phire.evaluation.pairing import AlignedSource, align
from phire.evaluation.results import TRUTH
from phire.evaluation.results_folder import Folder, ResultFile
from phire.evaluation.setting import LAGS, Setting, TruthMoments
from phire.evaluation.site_series import nearest_points
from phire.evaluation.summary import summarise
from phire.evaluation.truth_climatology import climatology_of
from phire.evaluation.truth_moments import MeanMap, TruthMomentsStatistic
from phire.evaluation.wind import named_wind
from phire.fields.cluster import check_cluster
from phire.fields.coarsening import whole_blocks
from phire.fields.source import Source

GROUPINGS = ("hour", "month", "season")
"""Groups of times by which scores can be computed."""

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
    regions, origins = dict(regions or {}), {TRUTH: _origin(truth), **(origins or {})}
    truth_times = truth.time.select_range(times)
    aligned, placed = align(truth, candidates, truth_times)
    setting = aligned_setting(
        aligned, Domain.whole(aligned.grid), lags=lags, thresholds=thresholds, sites=sites,
        stations=stations, station_points=station_points, orography=orography, scale=scale,
        seed=seed, threads=default_threads(workers, scheduler), pairs=int(pairs),
        learned=_given(distance=learned_distance, features=learned_features),
        named_wind=None if wind is None else tuple(wind),
    )  # fmt: skip
    settings, names, skipped = _chosen(setting, regions, placed, metrics, by, uncertainty)
    found_notes = [
        *_notes_on_sources(truth, aligned, truth_times, candidates, origins),
        *notes.of_statistics([statistics()[name] for name in names], settings, skipped),
    ]
    check_cluster(workers, scheduler)
    identity = _identity(setting, origins, climatology)
    folder = _prepared_folder(output, identity, candidates, origins, regions, overwrite)
    wanted = _units(names, settings, placed)
    pending = [unit for unit in wanted if not folder.has(unit)]
    if not pending and not folder.grew and folder.is_finished(report):
        provenance.announce_finished(output)
        return output
    folder.note(found_notes)
    if len(pending) < len(wanted):
        progress.say(f"{len(wanted) - len(pending)} of {len(wanted)} results exist already.")
    _take(pending, settings, aligned, placed, folder, climatology, chunk, workers, scheduler)
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
    sources = {name: origins.get(name) or _origin(source) for name, source in candidates.items()}
    places = {name: _region_text(region) for name, region in regions.items()}
    folder = Folder(output, identity, sources, places)
    folder.prepare(overwrite)
    return folder


def _chosen(
    setting: Setting,
    regions: Mapping[str, Any],
    placed: Mapping[str, AlignedSource],
    metrics: Sequence[str] | None,
    by: Sequence[str],
    uncertainty: bool,
) -> tuple[list[Setting], list[str], list[str]]:
    """Returns the settings of all domains, the statistics to compute, and those left out.

    Statistics that are left out are texts with the reason.

    Raises:
        InputError: A region, statistic, group of times or site is invalid.
    """
    grid = setting.grid
    domains = [Domain.parse(name, grid, region) for name, region in regions.items()]
    settings = [dataclasses.replace(setting, domain=one) for one in (setting.domain, *domains)]
    groups = _group_names(by, uncertainty)
    names, skipped = _chosen_metrics(metrics, settings, placed)
    settings = [dataclasses.replace(one, grouped=tuple(names)) for one in settings]
    names += _chosen_metrics(groups, settings, placed)[0] if groups else []
    if setting.named_wind is not None:  # raises InputError, even where no statistic needs it
        named_wind(setting.channels, setting.units, setting.named_wind)
    if setting.sites and grid.has_points:
        nearest_points(grid, setting.sites)  # raises InputError for sites outside the grid
    return settings, names, skipped


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


def _identity(
    setting: Setting, origins: Mapping[str, Any], climatology: Source | None
) -> dict[str, Any]:
    """Returns the options that all results of a folder depend on."""
    time = setting.time
    base = {
        "truth": origins[TRUTH],
        "times": [len(time), time.format(0), time.format(-1)],
        "grid": setting.grid.describe(),
        "scale": setting.scale or 0,
        "seed": setting.seed,
        "lags": list(setting.lags),
        "pairs": setting.pairs,
        "climatology": None
        if climatology is None
        else origins.get("--climatology") or _origin(climatology),
        "learned": origins.get("--learned") or sorted(setting.learned),
    }
    if setting.named_wind is not None:
        base["wind"] = list(setting.named_wind)
    if setting.sites:
        base["sites"] = {name: list(place) for name, place in setting.sites.items()}
    if setting.stations:
        base["stations"] = [setting.stations.points, *setting.stations.origin]
    if setting.thresholds:
        base["thresholds"] = {name: list(found) for name, found in setting.thresholds.items()}
    return base


def _warn_of_workers(workers: int | None) -> None:
    """Prints that several processes on one machine are slower than one."""
    if workers:
        progress.say(
            f"workers={workers}: without workers, one process computes the statistics in as many "
            "threads as there are cores. Several processes on one machine were slower when "
            "measured, since they exchange whole maps; use a scheduler for several machines."
        )


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


def _option(name: str) -> str:
    """Returns the option by which a statistic was asked for."""
    if name.startswith("by_"):
        return f"--by {name.removeprefix('by_')}"
    return "--uncertainty" if name == "uncertainty" else f"--metrics {name}"


def _group_names(by: Sequence[str], uncertainty: bool) -> list[str]:
    """Returns the names of the statistics by groups of times, and of that of uncertainty.

    Raises:
        InputError: A group of times is unknown.
    """
    for name in by:
        if name not in GROUPINGS:
            raise InputError(f"--by {name}: it must be one of {', '.join(GROUPINGS)}.")
    return [f"by_{name}" for name in by] + (["uncertainty"] if uncertainty else [])


def _units(
    names: Sequence[str], settings: Sequence[Setting], placed: Mapping[str, Any]
) -> list[ResultFile]:
    """Returns the files of results that an evaluation consists of."""
    units = []
    for setting in settings:
        for name in names:
            statistic = statistics()[name]
            if not statistic.applies_to(setting) or statistic.refusal(setting) is not None:
                continue
            if statistic.of_truth:
                units.append(ResultFile(TRUTH, name, setting.domain.name))
            for candidate, source in placed.items():
                if statistic.ensemble != "all" or source.members:
                    units.append(ResultFile(candidate, name, setting.domain.name))
    return units


def _chosen_metrics(
    metrics: Sequence[str] | None, settings: Sequence[Setting], placed: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Returns the statistics that apply to a domain, and texts on those left out, with reasons.

    Args:
        metrics: Names of statistics; None means the default set.
        settings: Settings of all domains.
        placed: Candidates by name.

    Raises:
        InputError: A statistic of ``metrics`` is unknown, applies to no domain, or needs a
            candidate where none is given.
    """
    check_names(metrics or ())
    chosen, skipped = [], []
    for name in metrics or default_names():
        statistic = statistics()[name]
        reasons = [
            "it is computed in regions, and none is named: add --region NAME=N,W,S,E"
            if not statistic.applies_to(setting)
            else statistic.refusal(setting)
            for setting in settings
        ]
        reason = None if None in reasons else reasons[0]
        if metrics and not placed and not statistic.of_truth:
            reason = "it compares candidates with the truth, and none is given: add --candidate"
        if statistic.ensemble == "all" and not any(s.members for s in placed.values()):
            reason = "no candidate has members"
        if reason is None:
            chosen.append(name)
        elif metrics:
            raise InputError(f"{_option(name)}: {reason}.")
        elif (
            statistic.noted_if_refused
            and statistic.ensemble != "all"
            and statistic.applies_to(settings[0])
        ):
            skipped.append(f"{name} ({reason})")
    return chosen, skipped


def _take(
    pending: Sequence[ResultFile],
    settings: Sequence[Setting],
    truth: AlignedSource,
    placed: Mapping[str, AlignedSource],
    folder: Folder,
    climatology: Source | None,
    chunk: int,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Computes the pending statistics and writes their files."""
    if not pending:
        return
    _warn_of_workers(workers)
    spread = {"chunk": chunk, "workers": workers, "scheduler": scheduler}
    truth_moments = _truth_moments(settings, truth, folder, climatology, spread)
    accumulators: dict[tuple[str, str], Any] = {}
    tasks = []
    for unit in pending:
        key = (unit.metric, unit.region)
        if key not in accumulators:
            setting = next(s for s in settings if s.domain.name == unit.region)
            setting = dataclasses.replace(setting, truth_moments=truth_moments[unit.region])
            accumulators[key] = statistics()[unit.metric](setting)
        tasks.append(Task(unit, accumulators[key], _task_candidate(unit)))
    counted = {TRUTH: None} | {unit.candidate: None for unit in pending}
    earlier = {unit.candidate for unit in pending} < {TRUTH, *placed}
    for unit in (ResultFile(name, notes.Values.name, "") for name in counted):
        tasks.append(Task(unit, notes.Values(settings[0]), _task_candidate(unit)))
    # Networks run in this process, which has their weights and the device.
    far = [task for task in tasks if not task.statistic.in_main_process]
    near = [task for task in tasks if task.statistic.in_main_process]
    if not (workers or scheduler):
        far, near = tasks, []
    for part, name, where in (
        (far, "far", spread),
        (near, "near", {"chunk": chunk}),
    ):
        if not part:
            continue
        states = accumulate(
            Work(truth, dict(placed), tuple(part)),
            snapshot=folder.progress / f"{name}.pickle",
            identity=[folder.identity, [str(task.key) for task in part]],
            **where,
        )
        for task in part:
            if task.key.metric == notes.Values.name:
                _note_values(task, states, folder, truth.channels, earlier)
            elif states[task.key]:
                result = task.statistic.described(states[task.key])
                folder.write(task.key, result, truth)
                folder.note(notes.of_ranges(task.key, result))
            else:
                where = f" in {task.key.region}" if task.key.region else ""
                folder.note([f"no {task.key.metric} of {task.key.candidate}{where}: no time has "
                             "fields without missing values"])  # fmt: skip


def _note_values(
    task: Task,
    states: Mapping[Any, Any],
    folder: Folder,
    channels: Sequence[str],
    earlier: bool,
) -> None:
    """Adds the notes on missing and infinite values of the truth or of a candidate.

    Args:
        task: Task that counted the values.
        states: States of all tasks, by key.
        folder: Results folder, to whose notes is added.
        channels: Names of the channels.
        earlier: True if the folder has results of other candidates.
    """
    name, state = task.key.candidate, states[task.key]
    beside = None if name == TRUTH else states[ResultFile(TRUTH, notes.Values.name, "")]
    folder.note(notes.of_values(name, channels, state, beside))
    if name == TRUTH:
        folder.note(notes.of_common_points(channels, state, earlier))


def _task_candidate(unit: ResultFile) -> str | None:
    """Returns the candidate of a task; None for the truth."""
    return None if unit.candidate == TRUTH else unit.candidate


def _truth_moments(
    settings: Sequence[Setting],
    truth: AlignedSource,
    folder: Folder,
    climatology: Source | None,
    spread: Mapping[str, Any],
) -> dict[str, TruthMoments]:
    """Returns the moments of the truth by domain, with the climatology on the whole grid."""
    accumulators = {setting.domain.name: TruthMomentsStatistic(setting) for setting in settings}
    tasks = [
        Task(f"truth_moments {name}", accumulator, None)
        for name, accumulator in accumulators.items()
    ]
    if climatology is None:
        tasks.append(Task("mean map", MeanMap(settings[0]), None))
    states = accumulate(
        Work(truth, {}, tuple(tasks)),
        snapshot=folder.progress / "truth_moments.pickle",
        identity=[folder.identity, [str(task.key) for task in tasks]],
        description="looking at the truth",
        **spread,
    )
    if climatology is None:
        mean = MeanMap(settings[0]).result(states["mean map"])["mean"].values[None]
        groups = np.zeros(len(truth.time), dtype=np.int64)
    else:
        mean, groups = climatology_of(climatology, truth)
    mean = mean.astype(np.float32)
    return {
        name: dataclasses.replace(
            accumulator.truth_moments(states[f"truth_moments {name}"]),
            climatology=mean,
            groups=groups,
        )
        for name, accumulator in accumulators.items()
    }


def _origin(source: Any) -> dict[str, Any]:
    """Returns the identity of a source: a hash of its first and last field, and its path."""
    inner = source
    while not hasattr(inner, "path") and hasattr(inner, "source"):
        inner = inner.source
    digest = hashlib.sha256()
    for field in source.read([0, len(source.time) - 1]):
        digest.update(np.ascontiguousarray(field).tobytes())
    origin = {"type": type(source).__name__, "fields": digest.hexdigest()[:16]}
    if hasattr(inner, "path"):
        path = Path(inner.path).resolve()
        origin = {"path": str(path), **origin}
    return origin


def _region_text(region: Any) -> Any:
    """Returns the record of a region: its bounds, path and fingerprint, or hash of its mask."""
    if isinstance(region, (str, os.PathLike)):
        path = Path(region)
        return (
            [str(path.resolve()), provenance.fingerprint(path)] if path.is_file() else str(region)
        )
    if np.ndim(region) == 2:
        return hashlib.sha256(np.ascontiguousarray(region).tobytes()).hexdigest()[:16]
    return ",".join(f"{float(value):g}" for value in region)
