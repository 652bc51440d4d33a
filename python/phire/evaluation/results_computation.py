"""Computation of the results of an evaluation in one pass over time, and their files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.evaluation import notes
from phire.evaluation.accumulator import State
from phire.evaluation.catalogue import statistics
from phire.evaluation.chunks import Task, Work, accumulate
from phire.evaluation.given_units import check_given_units
from phire.evaluation.pairing import AlignedSource
from phire.evaluation.results import TRUTH
from phire.evaluation.results_folder import Folder, ResultFile
from phire.evaluation.setting import Setting, TruthMoments
from phire.evaluation.truth_climatology import climatology_of
from phire.evaluation.truth_moments import MeanMap, TruthMomentsStatistic
from phire.fields.source import Source


def compute_results(
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
    """Computes the pending results and writes their files.

    Args:
        pending: Files to write.
        settings: Settings of all domains, that of the whole domain first.
        truth: The truth.
        placed: Candidates by name, on the truth's times and grid.
        folder: The results folder.
        climatology: Climatology for anomalies; None means the time mean of the truth.
        chunk, workers, scheduler: Arguments of :func:`phire.evaluation.evaluate`.
    """
    if not pending:
        return
    _warn_of_workers(workers)
    where = {"chunk": chunk, "workers": workers, "scheduler": scheduler}
    truth_moments = _truth_moments(settings, truth, folder, climatology, where)
    try:
        check_given_units(settings[0], truth_moments[settings[0].domain.name])
    except InputError:
        folder.remove_if_empty()
        raise
    tasks = _tasks(pending, settings, truth_moments)
    # Networks run in this process, which has their weights and the device.
    far, near = tasks, []
    if workers or scheduler:
        far = [task for task in tasks if not task.statistic.in_main_process]
        near = [task for task in tasks if task.statistic.in_main_process]
    has_others = {file.candidate for file in pending} < {TRUTH, *placed}
    for part, name, place in ((far, "far", where), (near, "near", {"chunk": chunk})):
        if not part:
            continue
        states = accumulate(
            Work(truth, dict(placed), tuple(part)),
            snapshot=folder.progress / f"{name}.pickle",
            identity=[folder.identity, [str(task.key) for task in part]],
            **place,
        )
        for task in part:
            if task.key.metric == notes.Values.name:
                _note_values(task, states, folder, truth.channels, has_others)
            else:
                _write_result(task, states[task.key], folder, truth)


def _tasks(
    pending: Sequence[ResultFile],
    settings: Sequence[Setting],
    truth_moments: Mapping[str, TruthMoments],
) -> list[Task]:
    """Returns the tasks of all pending files, and those that count missing values of sources."""
    accumulators: dict[tuple[str, str], Any] = {}
    tasks = []
    for file in pending:
        key = (file.metric, file.region)
        if key not in accumulators:
            setting = next(s for s in settings if s.domain.name == file.region)
            setting = dataclasses.replace(setting, truth_moments=truth_moments[file.region])
            accumulators[key] = statistics()[file.metric](setting)
        tasks.append(Task(file, accumulators[key], _task_candidate(file)))
    for name in dict.fromkeys([TRUTH, *(file.candidate for file in pending)]):
        file = ResultFile(name, notes.Values.name, "")
        tasks.append(Task(file, notes.Values(settings[0]), _task_candidate(file)))
    return tasks


def _write_result(task: Task, state: State, folder: Folder, truth: AlignedSource) -> None:
    """Writes the file of one result, or notes that no time has fields without missing values."""
    if state:
        result = task.statistic.described(state)
        folder.write(task.key, result, truth)
        folder.note(notes.of_ranges(task.key, result))
        return
    where = f" in {task.key.region}" if task.key.region else ""
    folder.note([f"no {task.key.metric} of {task.key.candidate}{where}: no time has fields "
                 "without missing values"])  # fmt: skip


def _note_values(
    task: Task,
    states: Mapping[Any, Any],
    folder: Folder,
    channels: Sequence[str],
    has_others: bool,
) -> None:
    """Adds the notes on missing and infinite values of the truth or of a candidate.

    Args:
        task: Task that counted the values.
        states: States of all tasks, by key.
        folder: Results folder, to whose notes is added.
        channels: Names of the channels.
        has_others: True if the folder has results of other candidates.
    """
    name, state = task.key.candidate, states[task.key]
    beside = None if name == TRUTH else states[ResultFile(TRUTH, notes.Values.name, "")]
    folder.note(notes.of_values(name, channels, state, beside))
    if name == TRUTH:
        folder.note(notes.of_common_points(channels, state, has_others))


def _task_candidate(file: ResultFile) -> str | None:
    """Returns the candidate of a file; None for the truth."""
    return None if file.candidate == TRUTH else file.candidate


def _truth_moments(
    settings: Sequence[Setting],
    truth: AlignedSource,
    folder: Folder,
    climatology: Source | None,
    where: Mapping[str, Any],
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
        description="measuring the truth",
        **where,
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


def _warn_of_workers(workers: int | None) -> None:
    """Prints that several processes on one machine are slower than one."""
    if workers:
        progress.say(
            f"workers={workers}: without workers, one process computes the statistics in as many "
            "threads as there are cores. Several processes on one machine were slower when "
            "measured, since they exchange whole maps; use a scheduler for several machines."
        )
