"""Accumulation of statistics over chunks of times, in this process or on a dask cluster.

After each chunk the merged states can be saved, so that a crash costs at most one chunk.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pickle
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from phire import files, progress
from phire.errors import InputError
from phire.evaluation.accumulator import State, Statistic
from phire.evaluation.batches import Batch, Ensemble, restrict_to_common_points
from phire.evaluation.member_ranges import measured, state_of_all
from phire.fields.cluster import cluster, naming_lost_workers

LESS_MEMORY = ", and fewer workers or a smaller chunk need less"
BATCH_BYTES = 16 << 20
"""Bytes of the fields of one source that are read at once."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One statistic of one candidate.

    Attributes:
        key: Identifier, different for each task.
        statistic: The accumulator.
        candidate: The candidate's name; None for the truth itself.
    """

    key: Hashable
    statistic: Statistic
    candidate: str | None


@dataclasses.dataclass(frozen=True)
class Work:
    """Sources and tasks, sent to each worker once.

    Attributes:
        truth: Source of the truth.
        candidates: Sources by name, on the truth's times. All are restricted to the points that
            every source has, so that a candidate without a task still excludes points.
        tasks: The statistics to compute.
    """

    truth: Any
    candidates: Mapping[str, Any]
    tasks: tuple[Task, ...]

    @property
    def batch(self) -> int:
        """Number of times read at once, at least 1."""
        grid = self.truth.grid
        members = max([1, *(getattr(c, "members", 0) for c in self.candidates.values())])
        size = grid.shape[0] * grid.shape[1] * len(self.truth.channels) * 4 * members
        return max(1, BATCH_BYTES // size)


def measure_chunk(work: Work, times: np.ndarray) -> dict[Hashable, State]:
    """Returns the states of all tasks, by key, over the times with the indices ``times``."""
    states = {task.key: task.statistic.empty() for task in work.tasks}
    threads = max([1, *(task.statistic.setting.threads for task in work.tasks)])
    # The pool already occupies the cores. With threads of its own, BLAS doubled the processor time
    # of an ensemble of 16: the threads of its short products wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        for truth, candidates in _read_ahead(work, times):
            # Networks run in the thread that built them, all other statistics in the pool.
            updated = functools.partial(_updated, states, truth, candidates)
            in_this_thread = {
                task.key: updated(task) for task in work.tasks if task.statistic.in_main_process
            }
            pooled = [task for task in work.tasks if not task.statistic.in_main_process]
            states |= in_this_thread
            states |= dict(zip([task.key for task in pooled], pool.map(updated, pooled)))
    return states


def _updated(
    states: Mapping[Hashable, State], truth: Batch, candidates: Mapping[str, Batch], task: Task
) -> State:
    """Returns the state of a task with a batch added."""
    statistic, state = task.statistic, states[task.key]
    if task.candidate is None:
        return statistic.update(state, truth)
    return with_candidate(statistic, state, truth, candidates[task.candidate])


def with_candidate(
    statistic: Statistic, state: State, truth: Batch, candidate: Batch, *, apart: bool = True
) -> State:
    """Returns a state with a candidate's fields added; ``state`` may be changed in place.

    Args:
        statistic: The statistic; its attribute ``ensemble`` says how members enter.
        state: State of the times measured before.
        truth: Fields of the truth.
        candidate: Fields of the candidate at the same times.
        apart: If True, members are also accumulated one by one, where the statistic has ranges
            over members.
    """
    if isinstance(candidate, Ensemble) and statistic.ensemble in ("mean", "each"):
        for part in measured(statistic, truth, candidate, apart=apart):
            state = statistic.join(state, part, in_place=True)
        return state
    if statistic.ensemble == "all" and not isinstance(candidate, Ensemble):
        return state
    if apart:
        return statistic.update(state, truth, candidate)
    part = statistic.measure(truth, candidate)
    part = state_of_all(statistic, part, apart=statistic.apart_always)
    return statistic.join(state, part, in_place=True)


def _read_ahead(work: Work, times: np.ndarray) -> Iterator[tuple[Batch, dict[str, Batch]]]:
    """Yields batches of all sources, restricted to their common points.

    A thread reads the next batch while the caller measures the last.
    """

    def read(chosen: np.ndarray) -> tuple[Batch, dict[str, Batch]]:
        truth = Batch(work.truth.read(chosen), chosen)
        batches: dict[str, Batch] = {}
        for name, source in work.candidates.items():
            if getattr(source, "members", 0):
                batches[name] = Ensemble(source.read_members(chosen), chosen)
            else:
                batches[name] = Batch(source.read(chosen), chosen)
        restrict_to_common_points([truth, *batches.values()])
        return truth, batches

    parts = [times[i : i + work.batch] for i in range(0, len(times), work.batch)]
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, parts[0])
        for following in [*parts[1:], None]:
            batches = coming.result()
            if following is not None:
                coming = reader.submit(read, following)
            yield batches


def accumulate(
    work: Work,
    *,
    chunk: int,
    snapshot: Path | None = None,
    identity: Any = None,
    workers: int | None = None,
    scheduler: str | None = None,
    description: str = "evaluating",
) -> dict[Hashable, State]:
    """Returns the states of all tasks, by key, over all times.

    Chunks are merged in the order of time, whichever worker measured them, so that the result does
    not depend on the number of workers.

    Args:
        work: Sources and tasks.
        chunk: Number of times of a chunk.
        snapshot: File to which the merged states are saved after each chunk; if it exists, the
            accumulation resumes from it. None saves nothing.
        identity: Value that stands for everything the states depend on; a snapshot of another
            identity is ignored.
        workers: Number of processes to start on this machine; with None, this process computes.
        scheduler: Address of a running dask scheduler, in place of ``workers``.
        description: Text of the progress bar.

    Raises:
        InputError: A source or a learned metric cannot be sent to other processes.
        WorkError: Workers were lost repeatedly.
    """
    count = len(work.truth.time)
    chunks = [np.arange(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    done, states = _read_snapshot(snapshot, (identity, chunk))
    statistics = {task.key: task.statistic for task in work.tasks}
    with (
        cluster(workers, scheduler) as client,
        progress.progress_bar(
            description, count, "fields", start=sum(map(len, chunks[:done]))
        ) as advance,
    ):
        for number, part in enumerate(_measured(work, chunks[done:], client), start=done):
            for key, state in part.items():
                # Arrays that came from another process may be read-only.
                states[key] = statistics[key].join(states.get(key, {}), state, client is None)
            if snapshot is not None:
                _write_snapshot(snapshot, (identity, chunk), number + 1, states)
            advance(len(chunks[number]))
    return states


def _measured(
    work: Work, chunks: Sequence[np.ndarray], client: Any
) -> Iterator[dict[Hashable, State]]:
    """Yields the states of each chunk, in the order of the chunks."""
    if client is None:
        for times in chunks:
            yield measure_chunk(work, times)
        return
    shared = _sent(client, work)
    waiting = collections.deque(chunks)
    running: collections.deque = collections.deque()
    # Two chunks per worker thread keep all busy; more would pile up results in memory.
    most = 2 * max(len(client.nthreads()), 1)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                running.append(
                    client.submit(measure_chunk, shared, waiting.popleft(), pure=False, retries=5)
                )
            with naming_lost_workers("evaluating", LESS_MEMORY):
                states = running.popleft().result()
            yield states
    finally:
        client.cancel([*running, shared])


def _sent(client: Any, work: Work) -> Any:
    """Sends the sources and tasks to all workers once; returns their future.

    Raises:
        InputError: They cannot be pickled.
    """
    try:
        return client.scatter(work, broadcast=True)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise InputError(
            f"a source or a metric cannot be sent to other processes ({error}): evaluate without "
            "--workers, or `phire predict` first and evaluate the file."
        ) from None


def _read_snapshot(path: Path | None, identity: Any) -> tuple[int, dict[Hashable, State]]:
    """Returns the number of chunks done and their states; 0 and none without a valid snapshot."""
    if path is None or not path.is_file():
        return 0, {}
    with open(path, "rb") as stream:
        found, done, states = pickle.load(stream)
    return (done, states) if found == identity else (0, {})


def _write_snapshot(path: Path, identity: Any, done: int, states: Mapping[Hashable, State]) -> None:
    with files.replacing(path) as partial, open(partial, "wb") as stream:
        pickle.dump((identity, done, dict(states)), stream, protocol=pickle.HIGHEST_PROTOCOL)


def default_threads(workers: int | None, scheduler: str | None) -> int:
    """Returns the number of threads for transforms: all cores, or 1 with several processes."""
    return 1 if workers or scheduler else os.cpu_count() or 1
