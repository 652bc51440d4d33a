"""Execution of tasks in this process, in worker processes, or on a dask cluster."""

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
        workers: Number of processes to start on this machine; None or 0 starts none.
        scheduler: Address of a running dask cluster, such as ``tcp://host:8786``.

    Yields:
        A ``dask.distributed.Client``, or None if neither argument is given: tasks then run in
        this process.

    Raises:
        InputError: Both arguments are given, or the cluster does not answer.
        WorkError: The processes did not start, or the scheduler was lost during the block.
    """
    _check_arguments(workers, scheduler)
    if not workers and not scheduler:
        yield None
        return
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            # A client that fails to connect would remain the default of this process, which xarray
            # asks for locks. Therefore the connection is first tried by a client that does not
            # become the default.
            Client(scheduler, timeout="20s", set_as_default=False).close()
            client = Client(scheduler, timeout="20s")
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler {scheduler} does not answer ({error}): start a dask scheduler there."
            ) from None
        with client, _naming_a_lost_scheduler(scheduler):
            yield client
        return
    # Workers need not be daemonic processes: they only compute, and a nanny restarts a lost one.
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
                "command again, or fewer workers."
            ) from None
        # At the end of the block, workers that end slowly are killed with a warning. It is not
        # shown, because their work is finished.
        stack.callback(nanny.setLevel, logging.ERROR)
        yield client


def check_cluster(workers: int | None, scheduler: str | None) -> None:
    """Checks the arguments of :func:`cluster`, before a command makes or replaces its output.

    Raises:
        InputError: Both arguments are given, or the scheduler does not answer.
    """
    _check_arguments(workers, scheduler)
    if scheduler:
        with cluster(scheduler=scheduler):
            pass


def _check_arguments(workers: int | None, scheduler: str | None) -> None:
    """Raises InputError if both arguments of :func:`cluster` are given, or one is invalid."""
    if workers and scheduler:
        raise InputError("--workers and --scheduler exclude one another: give one of them.")
    if workers is not None and workers < 0:
        raise InputError(f"--workers {workers} must be 0 (none) or a number of processes.")


@contextlib.contextmanager
def _naming_a_lost_scheduler(address: str) -> Iterator[None]:
    """Raises WorkError with the scheduler's address if the block loses the scheduler."""
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    # The client logs a traceback for each attempt to reconnect.
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
    """Raises WorkError if dask gives up a task in the block because its workers were lost.

    Args:
        doing: The work, for the message: ``fitting the statistics``.
        remedy: Clause for the message's end, such as ``: use fewer workers``; none by default.

    Raises:
        WorkError: All of dask's attempts at a task lost their worker.
    """
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise WorkError(
            f"workers were lost again and again while {doing} ({error}): see their logs; memory "
            f"is the usual reason{remedy}."
        ) from None


def is_lost_worker(error: BaseException) -> bool:
    """Returns True if dask raised an error because it lost the worker of a task.

    The error is recognised without importing dask.distributed, which takes half a second.
    """
    return type(error).__module__.partition(".")[0] == "distributed"


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    client: Any,
    *,
    description: str,
    unit: str = "tasks",
    sizes: Iterable[int] | None = None,
) -> list[Any]:
    """Calls ``function(*task)`` for every task and shows a progress bar.

    If a worker is lost, its task is run again, so a repeated call must give the same result.

    Args:
        function: Function that the workers can import.
        tasks: Arguments of each call.
        client: Client from :func:`cluster`; None runs the tasks in this process.
        description: Text before the progress bar.
        unit: Noun of the units that the bar counts.
        sizes: Number of units of each task; by default one each.

    Returns:
        The results, in the order of the tasks.

    Raises:
        WorkError: A task lost its worker repeatedly.
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
    """Yields ``function(shared, task)`` for every task, in order.

    On a cluster, only as many results as it has threads, and one more, are computed ahead of the
    one that is yielded, which bounds memory. ``shared`` is sent to each worker once.

    Args:
        function: Function that the workers can import.
        shared: First argument of all calls, such as a source of fields.
        tasks: Second argument of each call.
        client: Client from :func:`cluster`; None runs the tasks in this process.
        description: The work, for messages.

    Raises:
        WorkError: A task lost its worker repeatedly.
    """
    if client is None:
        for task in tasks:
            yield function(shared, task)
        return
    ahead = sum(client.nthreads().values()) + 1
    scattered = client.scatter(shared, broadcast=True)
    pending: collections.deque[Any] = collections.deque()
    try:
        with naming_lost_workers(description):
            for task in tasks:
                pending.append(client.submit(function, scattered, task, pure=False, retries=5))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
    finally:
        client.cancel(list(pending))
