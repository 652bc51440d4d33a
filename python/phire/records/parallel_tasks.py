"""Spreading tasks over the threads of this process, or over a dask cluster."""

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
"""Threads at most: reading takes turns (HDF5 has one lock), the rest runs beside it."""

SWITCH_INTERVAL = 2e-4
"""Seconds after which Python's threads take turns."""


def spread(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    client: Any,
    *,
    description: str,
    unit: str,
    sizes: Sequence[int],
) -> Iterator[Any]:
    """Yields ``function(*task)`` for every task, in their order.

    Closing the iterator early leaves the tasks that have not begun undone (on threads).

    Args:
        function: What to call; on a cluster a task may run twice.
        tasks: Its arguments.
        client: As :func:`phire.fields.cluster.cluster` yields it; None uses threads.
        description: What is being done.
        unit: What is counted.
        sizes: Units of each task.
    """
    if client is not None:
        yield from run_tasks(
            function, tasks, client, description=description, unit=unit, sizes=sizes
        )
        return
    threads = min(THREADS, available_cores(), max(1, len(tasks)))
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    interval = sys.getswitchinterval()
    # A thread that is done with reading waits this long for its turn while another one computes;
    # Python's 5 ms are as long as the work on a field.
    sys.setswitchinterval(SWITCH_INTERVAL)
    with progress.progress_bar(description, sum(sizes), unit) as advance:
        try:
            waiting = iter(zip(tasks, sizes))
            # A short queue: results that nobody has taken yet do not pile up.
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
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
