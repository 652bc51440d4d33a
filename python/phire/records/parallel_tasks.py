"""Parallel execution of tasks on threads of this process or on a dask cluster."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from phire import progress
from phire.fields.cluster import run_tasks

THREADS = 8
"""Largest number of threads. HDF5 has one lock, so only one of them reads at a time."""

SWITCH_INTERVAL = 2e-4
"""Seconds after which Python switches between threads."""


def run_in_order(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    client: Any,
    *,
    description: str,
    unit: str,
    sizes: Sequence[int],
) -> Iterator[Any]:
    """Yields ``function(*task)`` for every task, in their order.

    On threads, closing the iterator early cancels the tasks that have not begun.

    Args:
        function: The function; on a cluster a task may run twice.
        tasks: Positional arguments of each call.
        client: Client from :func:`phire.fields.cluster.cluster`; None uses threads.
        description: Text of the progress bar.
        unit: Unit of the progress bar, such as ``fields``.
        sizes: Number of units in each task.
    """
    if client is not None:
        yield from run_tasks(
            function, tasks, client, description=description, unit=unit, sizes=sizes
        )
        return
    threads = min(THREADS, available_cores(), max(1, len(tasks)))
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    interval = sys.getswitchinterval()
    # A thread that has finished reading waits this long while another one computes. Python's
    # default of 5 ms is as long as the work on one field.
    sys.setswitchinterval(SWITCH_INTERVAL)
    with progress.progress_bar(description, sum(sizes), unit) as advance:
        try:
            waiting = iter(zip(tasks, sizes))
            # A short queue keeps unused results from piling up in memory.
            running = [
                (pool.submit(function, *task), size)
                for task, size in itertools.islice(waiting, 2 * threads)
            ]
            while running:
                future, size = running.pop(0)
                result = future.result()
                running += [
                    (pool.submit(function, *task), following)
                    for task, following in itertools.islice(waiting, 1)
                ]
                advance(size)
                yield result
        finally:
            pool.shutdown(cancel_futures=True)
            sys.setswitchinterval(interval)


def available_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
