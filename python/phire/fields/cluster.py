"""Execution of tasks on many fields: in this process, worker processes, or a dask cluster."""

from __future__ import annotations

import collections
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from phire import progress
from phire.errors import InputError, WorkError


@contextlib.contextmanager
def cluster(workers: int | None = None, scheduler: str | None = None) -> Iterator[Any]:
    """Opens a dask client for the block.

    Args:
        workers: Processes to start on this machine; None or 0 works in this process.
        scheduler: Address of a cluster that runs already, such as ``tcp://host:8786``.

    Yields:
        A ``dask.distributed.Client``, or None to work in this process.

    Raises:
        InputError: Both are given, or the cluster does not answer.
        WorkError: Processes did not start, or the scheduler was lost during the block.
    """
    if workers and scheduler:
        raise InputError("--workers and --scheduler exclude one another: give one of them.")
    if workers is not None and workers < 0:
        raise InputError(f"--workers {workers} must be a number of processes, 0 for none.")
    if not workers and not scheduler:
        yield None
        return
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler {scheduler} does not answer ({error}): start a dask scheduler there."
            ) from None
        with client, _naming_a_lost_scheduler(scheduler):
            yield client
        return
    # Workers only read and cut; a nanny that restarts a lost one is all the safety they need.
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set({"distributed.worker.daemon": False}))
        nanny = logging.getLogger("distributed.nanny")
        stack.callback(nanny.setLevel, nanny.level)
        try:
            local = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0"
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
        except (OSError, RuntimeError) as error:
            raise WorkError(
                f"the processes of --workers {workers} did not start ({error}): give the same "
                "command again, or fewer."
            ) from None
        # A worker that is slow to end is killed; the work is done, so its warning tells nothing.
        stack.callback(nanny.setLevel, logging.ERROR)
        yield client


@contextlib.contextmanager
def _naming_a_lost_scheduler(address: str) -> Iterator[None]:
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    # The client writes tracebacks of its attempts to reconnect.
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except (FutureCancelledError, CommClosedError):
        raise WorkError(
            f"the scheduler {address} was lost: see its log, start it again and give the same "
            "command."
        ) from None
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def naming_lost_workers(doing: str, remedy: str = "") -> Iterator[None]:
    """Within the block, workers that are lost again and again end the command with one sentence.

    Args:
        doing: The work, for the message: ``fitting the statistics``.
        remedy: What to do, besides reading the workers' logs.

    Raises:
        WorkError: dask gave a task up because its workers were lost.
    """
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise WorkError(
            f"workers were lost again and again while {doing} ({error}): see their logs; memory "
            f"is the usual reason{remedy}."
        ) from None


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    client: Any,
    *,
    description: str,
    unit: str = "tasks",
    sizes: Iterable[int] | None = None,
) -> list[Any]:
    """Calls ``function(*task)`` for every task, here or on a client's workers, with progress.

    A task may run twice where a worker is lost: it must give the same result again.

    Args:
        function: What to call; importable where the workers run.
        tasks: Its arguments.
        client: As :func:`cluster` yields it.
        description: What is being done.
        unit: What is counted.
        sizes: Units of each task; one each if not given.

    Returns:
        The results, in the order of the tasks.

    Raises:
        WorkError: Workers were lost again and again.
    """
    sizes = [1] * len(tasks) if sizes is None else list(sizes)
    with progress.progress_bar(description, sum(sizes), unit) as advance:
        results: list[Any] = [None] * len(tasks)
        if client is None:
            for i, task in enumerate(tasks):
                results[i] = function(*task)
                advance(sizes[i])
            return results
        from distributed import as_completed

        futures = {
            client.submit(function, *task, pure=False, retries=5): i for i, task in enumerate(tasks)
        }
        try:
            with naming_lost_workers(description):
                for future in as_completed(futures):
                    i = futures[future]
                    results[i] = future.result()
                    advance(sizes[i])
        finally:
            client.cancel(list(futures))
        return results


def results_in_order(
    function: Callable[..., Any],
    shared: Any,
    tasks: Sequence[Any],
    client: Any,
    *,
    description: str,
) -> Iterator[Any]:
    """Yields ``function(shared, task)`` of every task in their order.

    On a client's workers one task more than they have threads is begun ahead of the one awaited, so
    that memory stays bounded; ``shared`` is sent to each worker once.

    Args:
        function: What to call; importable where the workers run.
        shared: An argument of all calls, such as a source of fields.
        tasks: The other argument of each.
        client: As :func:`cluster` yields it.
        description: What is being done, for messages.

    Raises:
        WorkError: Workers were lost again and again.
    """
    if client is None:
        for task in tasks:
            yield function(shared, task)
        return
    ahead = sum(client.nthreads().values()) + 1
    held = client.scatter(shared, broadcast=True)
    begun: collections.deque[Any] = collections.deque()
    try:
        with naming_lost_workers(description):
            for task in tasks:
                begun.append(client.submit(function, held, task, pure=False, retries=5))
                if len(begun) > ahead:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
    finally:
        client.cancel(list(begun))
