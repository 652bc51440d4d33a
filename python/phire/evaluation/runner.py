"""Evaluating candidates against the truth: all statistics in one pass through time."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phire import progress, provenance
from phire.errors import InputError, naming_arguments
from phire.evaluation import notes
from phire.evaluation.accumulator import LAGS, Facts, Setting
from phire.evaluation.aligned_setting import aligned_setting
from phire.evaluation.candidate_differences import compare_candidates
from phire.evaluation.catalogue import check_names, default_names, statistics
from phire.evaluation.chunks import Task, Work, accumulate, default_threads
from phire.evaluation.city_statistics import count_cities
from phire.evaluation.domain import Domain, check_name
from phire.evaluation.pairing import AlignedSource, align
from phire.evaluation.results import TRUTH
from phire.evaluation.results_folder import Folder, ResultFile
from phire.evaluation.site_series import nearest_points
from phire.evaluation.summary import summarise
from phire.evaluation.truth_climatology import climatology_of
from phire.evaluation.truth_facts import MeanMap, TruthFacts
from phire.fields.coarsening import kept_window
from phire.fields.source import Source

GROUPINGS = ("hour", "month", "season")

CHUNK = 32
"""Times between two snapshots of the work."""


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
    """Evaluates candidates against the truth and leaves a folder of results, figures and report.

    Fields are streamed through time once (and the truth once before, for its range and mean).
    Given again, the same call goes on where it stopped; candidates, metrics and regions may be
    added to a folder, finished files are kept.

    Args:
        truth: The truth.
        candidates: Sources by name, on the truth's grid or a window of it; with ``members`` and
            ``read_members`` they are ensembles.
        output: The folder; its layout is described in :mod:`phire.evaluation.results`.
        metrics: Names of statistics (``phire parts statistic``); by default all that
            are fit for these fields, but the slow ones (``localized_spectrum``).
        scale: How much coarser the coarse grid was: sets the cutoff from which spectra are judged.
            Rows and columns that coarsening drops are evaluated where all candidates have them.
        regions: By name, (north, west, south, east) in degrees, or a mask: an array on the truth's
            grid or a NetCDF file of one.
        times: ``START,STOP`` (half-open) or the pair of them; all by default.
        climatology: Fields to take anomalies from: one, or one for each month, or one for each day
            of the year; the truth's mean by default.
        learned_distance: (truth, candidate), both (n, H, W, C) in physical units → (n,).
        learned_features: (n, H, W, C) → (n, F), for the Fréchet distance.
        wind: The channels that are the eastward and northward wind, in m/s, for kinetic energy; by
            default they are told by standard names, names and units.
        thresholds: By channel, values in its units above which events are counted, besides the
            quantiles of the truth.
        sites: Latitude and longitude in degrees of places at which series are taken, by name.
        stations: CSV of observations, the truth at their points; see
            :func:`phire.evaluation.station_observations.read_observations`.
        station_points: ``nearest`` or ``bilinear``: the way from grid points to stations.
        orography: Height of the grid's surface in metres, for the difference to the stations'.
        by: ``hour``, ``month``, ``season``: the numbers of the table over these groups of times.
        uncertainty: Take intervals of all numbers by a block bootstrap in time, and tell which
            candidates differ.
        lags: Of the semivariogram, km.
        pairs: Of points for each lag and field.
        origins: By source (``truth``, candidates, ``--climatology``, ``--learned``) what it was
            opened from (``minimum``: the bound that a prediction was set to); it is kept with the
            results, and another one is refused. By default the
            source's path, or its first and last field.
        seed: Of every random draw.
        chunk: Times between two snapshots of the work; a crash costs no more than these.
        workers: Processes to spread chunks over; slower than the threads of one process on one
            machine, as the user is told.
        scheduler: Address of a dask scheduler to spread chunks over.
        report: Draw the figures and write the report.
        overwrite: Make everything anew, whatever is there.

    Returns:
        The folder.

    Raises:
        InputError: Options or sources that do not fit, or a folder made by other options.
    """
    output = Path(output)
    _check_candidates(candidates)
    regions, origins = dict(regions or {}), {TRUTH: _origin(truth), **(origins or {})}
    truth_times = truth.time.select_range(times)
    if scale is not None:
        kept_window(truth.grid, scale)  # refuses a scale beyond the grid
    aligned, placed = align(truth, candidates, truth_times)
    setting = aligned_setting(
        aligned, Domain.whole(aligned.grid), lags=lags, thresholds=thresholds, sites=sites,
        stations=stations, station_points=station_points, orography=orography, scale=scale,
        seed=seed, threads=default_threads(workers, scheduler), pairs=int(pairs),
        learned=_given(distance=learned_distance, features=learned_features),
        named_wind=None if wind is None else tuple(wind),
    )  # fmt: skip
    settings, names, skipped = _chosen(setting, regions, placed, metrics, by, uncertainty)
    told = [
        *notes.of_bounds({name: origins.get(name, {}) for name in candidates}),
        *notes.of_times(len(aligned.time), len(truth_times)),
        *notes.of_window(truth, aligned, candidates),
        *notes.of_statistics([statistics()[name] for name in names], settings, skipped),
    ]
    sources = {name: origins.get(name) or _origin(source) for name, source in candidates.items()}
    places = {name: _region_text(region) for name, region in regions.items()}
    folder = Folder(output, _identity(setting, origins, climatology), sources, places)
    folder.prepare(overwrite)
    wanted = _units(names, settings, placed)
    pending = [unit for unit in wanted if not folder.has(unit)]
    if not pending and not folder.grew and folder.is_finished(report):
        provenance.announce_finished(output)
        return output
    folder.note(told)
    if len(pending) < len(wanted):
        progress.say(f"{len(wanted) - len(pending)} of {len(wanted)} results are kept.")
    if pending:
        _warn_of_workers(workers)
        _take(pending, settings, aligned, placed, folder, climatology, chunk, workers, scheduler)
    _conclude(folder, output, seed, report)
    return output


def _chosen(
    setting: Setting,
    regions: Mapping[str, Any],
    placed: Mapping[str, AlignedSource],
    metrics: Sequence[str] | None,
    by: Sequence[str],
    uncertainty: bool,
) -> tuple[list[Setting], list[str], list[str]]:
    """Settings of all domains, names of the statistics to take, and those left out with reasons.

    Raises:
        InputError: A region, statistic, group of times or site that there cannot be.
    """
    grid = setting.grid
    domains = [Domain.parse(name, grid, region) for name, region in regions.items()]
    settings = [dataclasses.replace(setting, domain=one) for one in (setting.domain, *domains)]
    groups = _group_names(by, uncertainty)
    names, skipped = _chosen_metrics(metrics, settings, placed)
    settings = [dataclasses.replace(one, grouped=tuple(names)) for one in settings]
    names += _chosen_metrics(groups, settings, placed)[0] if groups else []
    if setting.sites and grid.has_points:
        nearest_points(grid, setting.sites)  # refuses sites outside
    return settings, names, skipped


def _given(**functions: Callable[..., Any] | None) -> dict[str, Callable[..., Any]]:
    """The functions that are not None."""
    return {name: function for name, function in functions.items() if function is not None}


def _check_candidates(names: Iterable[str]) -> None:
    """Refuses names of candidates that cannot be those of folders of results."""
    for name in names:
        check_name(name, "--candidate")
        if name in (TRUTH, "figures"):
            raise InputError(f"--candidate {name}: the name is taken, choose another.")


def _identity(
    setting: Setting, origins: Mapping[str, Any], climatology: Source | None
) -> dict[str, Any]:
    """All that the results of a folder depend on besides its candidates and regions."""
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
    """Tells that processes on one machine do not pay."""
    if workers:
        progress.say(
            f"workers={workers}: without it one process takes the statistics in as many threads as "
            "there are cores. Processes on one machine were slower when measured, for they send "
            "each other whole maps; several machines are reached by a scheduler."
        )


def _conclude(folder: Folder, output: Path, seed: int, report: bool) -> None:
    """Makes tables, figures and report of the results, and marks the folder as finished."""
    options = folder.record()
    summarise(output, options["candidates"], options["regions"])
    compare_candidates(output, options["candidates"], options["regions"], seed)
    count_cities(output, options["candidates"])
    if report:
        # Matplotlib is slow to import, and not needed by those who only want numbers.
        from phire.evaluation.figures import draw_all
        from phire.evaluation.report import write_report

        draw_all(output)
        write_report(output)
    folder.finish()


def _group_names(by: Sequence[str], uncertainty: bool) -> list[str]:
    """Names of the statistics that group others; refuses groups of times that there are not."""
    for name in by:
        if name not in GROUPINGS:
            raise InputError(f"--by {name}: it must be one of {', '.join(GROUPINGS)}.")
    return [f"by_{name}" for name in by] + (["uncertainty"] if uncertainty else [])


def _units(
    names: Sequence[str], settings: Sequence[Setting], placed: Mapping[str, Any]
) -> list[ResultFile]:
    units = []
    for setting in settings:
        for name in names:
            statistic = statistics()[name]
            if not statistic.takes(setting) or statistic.refusal(setting) is not None:
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
    """The metrics asked for, each possible somewhere, or all those that are possible; and the
    others with the reasons."""
    check_names(metrics or ())
    chosen, skipped = [], []
    for name in metrics or default_names():
        statistic = statistics()[name]
        reasons = [
            "it is taken in regions, and none is named: add --region NAME=N,W,S,E"
            if not statistic.takes(setting)
            else statistic.refusal(setting)
            for setting in settings
        ]
        reason = None if None in reasons else reasons[0]
        if statistic.ensemble == "all" and not any(s.members for s in placed.values()):
            reason = "no candidate has members"
        if reason is None:
            chosen.append(name)
        elif metrics:
            raise InputError(f"--metrics {name}: {reason}.")
        elif (
            statistic.noted_if_refused
            and statistic.ensemble != "all"
            and statistic.takes(settings[0])
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
    """Takes the pending statistics and writes their files."""
    spread = {"chunk": chunk, "workers": workers, "scheduler": scheduler}
    facts = _facts(settings, truth, folder, climatology, spread)
    made: dict[tuple[str, str], Any] = {}
    tasks = []
    for unit in pending:
        key = (unit.metric, unit.region)
        if key not in made:
            setting = next(s for s in settings if s.domain.name == unit.region)
            setting = dataclasses.replace(setting, facts=facts[unit.region])
            made[key] = statistics()[unit.metric](setting)
        tasks.append(Task(unit, made[key], _task_candidate(unit)))
    counted = {TRUTH: None} | {unit.candidate: None for unit in pending}
    earlier = {unit.candidate for unit in pending} < {TRUTH, *placed}
    for unit in (ResultFile(name, notes.Values.name, "") for name in counted):
        tasks.append(Task(unit, notes.Values(settings[0]), _task_candidate(unit)))
    # A network stays in this process, where its weights and its device are.
    far = [task for task in tasks if not task.statistic.stays]
    near = [task for task in tasks if task.statistic.stays]
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
                folder.write(task.key, task.statistic.described(states[task.key]), truth)
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
    """Notes the missing and infinite values of the truth or of a candidate.

    Args:
        task: Counts of one of them.
        states: Of all tasks, by key.
        folder: Keeps the notes.
        channels: Names of the channels.
        earlier: Results of other candidates are there already.
    """
    name, state = task.key.candidate, states[task.key]
    beside = None if name == TRUTH else states[ResultFile(TRUTH, notes.Values.name, "")]
    folder.note(notes.of_values(name, channels, state, beside))
    if name == TRUTH:
        folder.note(notes.of_common_points(channels, state, earlier))


def _task_candidate(unit: ResultFile) -> str | None:
    return None if unit.candidate == TRUTH else unit.candidate


def _facts(
    settings: Sequence[Setting],
    truth: AlignedSource,
    folder: Folder,
    climatology: Source | None,
    spread: Mapping[str, Any],
) -> dict[str, Facts]:
    """The truth's facts in every domain, with the climatology for the whole grid."""
    takers = {setting.domain.name: TruthFacts(setting) for setting in settings}
    tasks = [Task(f"facts {name}", taker, None) for name, taker in takers.items()]
    if climatology is None:
        tasks.append(Task("mean map", MeanMap(settings[0]), None))
    states = accumulate(
        Work(truth, {}, tuple(tasks)),
        snapshot=folder.progress / "facts.pickle",
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
            taker.facts(states[f"facts {name}"]), climatology=mean, groups=groups
        )
        for name, taker in takers.items()
    }


def _origin(source: Any) -> dict[str, Any]:
    """Returns the identity of a source: its file, or its first and last field."""
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
    if isinstance(region, (str, os.PathLike)):
        path = Path(region)
        return (
            [str(path.resolve()), provenance.fingerprint(path)] if path.is_file() else str(region)
        )
    if np.ndim(region) == 2:
        return hashlib.sha256(np.ascontiguousarray(region).tobytes()).hexdigest()[:16]
    return ",".join(f"{float(value):g}" for value in region)
