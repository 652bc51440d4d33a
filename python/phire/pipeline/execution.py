"""Running of pipelines: each stage is a process, on this machine or on a dask cluster."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import fcntl
import graphlib
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from phire import files, interruption, progress
from phire.errors import InputError, WorkError, naming_arguments
from phire.fields.cluster import cluster, is_lost_worker
from phire.pipeline import stage_records
from phire.pipeline.commands import can_overwrite, executable, find_command
from phire.pipeline.configuration import read_pipeline
from phire.pipeline.stages import Stage, expand, with_needs

LOGS = "logs"
"""Folder of the logs of stages that run side by side, within the pipeline's directory."""
REFUSED = 2
"""Exit status of a command that refuses its options, inputs or output and changes nothing."""
_POLL = 0.3
"""Seconds between two checks of a running command."""


@naming_arguments()
def plan_pipeline(
    path: str | os.PathLike, overrides: Sequence[str] = (), *, only: Sequence[str] = ()
) -> dict[str, stage_records.Planned]:
    """Returns the state of each stage, in the order in which a run would start them.

    Args:
        path: The pipeline file.
        overrides: Entries of the file to replace, ``a.b=value``.
        only: Stages to plan, with those they need; all by default.

    Raises:
        InputError: The pipeline has a mistake, or a stage of ``only`` is unknown.
    """
    pipeline = read_pipeline(path, overrides)
    return stage_records.plan(pipeline.directory, with_needs(expand(pipeline), only))


@naming_arguments()
def run_pipeline(
    path: str | os.PathLike,
    overrides: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    jobs: int = 1,
    scheduler: str | None = None,
    report: bool = False,
) -> None:
    """Runs the stages of a pipeline that are not done.

    A stage whose options or inputs have changed since its last run is run again with
    ``--overwrite``, and so are the stages that depend on it. If a stage fails, all stages that do
    not depend on it are still run.

    Args:
        path: The pipeline file.
        overrides: Entries of the file to replace, ``a.b=value``.
        only: Stages to run, with those they need; all by default.
        jobs: Number of stages that run at the same time on this machine.
        scheduler: Address of a running dask cluster that runs the stages instead of this machine.
            Its workers must see the same files under the same paths.
        report: Write ``report.html`` in the pipeline's directory, which compares the results of
            all ``phire-eval`` stages.

    Raises:
        InputError: The pipeline has a mistake, a stage of ``only`` is unknown, or another process
            is running the pipeline.
        WorkError: Stages failed; the message lists them.
    """
    pipeline = read_pipeline(path, overrides)
    stages = with_needs(expand(pipeline), only)
    directory = pipeline.directory
    with _locked(directory):
        planned = stage_records.plan(directory, stages)
        waiting = {name: p for name, p in planned.items() if p.state != stage_records.DONE}
        progress.say(
            f"{path}: {len(waiting)} of {len(planned)} stages to run, "
            f"{len(planned) - len(waiting)} done"
        )
        failed: dict[str, str] = {}
        if waiting:
            with _executor(jobs, scheduler) as executor:
                logged = jobs > 1 or scheduler is not None
                # With a cluster all ready stages are submitted; dask keeps the queue.
                failed = _run_stages(
                    directory, waiting, executor, logged, None if scheduler else jobs
                )
        if report:
            from phire.pipeline.pipeline_report import write_pipeline_report  # loads matplotlib

            progress.say(f"The comparison: {write_pipeline_report(directory, stages)}")
    if failed:
        raise WorkError(
            f"{len(failed)} of {len(planned)} stages failed or were not run: "
            + "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        )


def _run_stages(
    directory: Path,
    planned: Mapping[str, stage_records.Planned],
    executor: concurrent.futures.Executor,
    logged: bool,
    most: int | None,
) -> dict[str, str]:
    """Runs stages in the order of their graph.

    Args:
        directory: Directory of the pipeline.
        planned: Stages to run, by name.
        executor: Executor of the stages' processes.
        logged: Write the output of each command to a log file.
        most: Number of stages submitted at the same time, so that the printed command line is
            that of a starting command; None submits all that are ready.

    Returns:
        For each stage that failed or was not run, the reason.
    """
    needs = {n: [need for need in p.stage.needs if need in planned] for n, p in planned.items()}
    graph = graphlib.TopologicalSorter(needs)
    graph.prepare()
    stop = directory.absolute() / stage_records.FOLDER / f"stop-{uuid.uuid4().hex}"
    ready: collections.deque[str] = collections.deque()
    running: dict[concurrent.futures.Future, str] = {}
    failed: dict[str, str] = {}
    try:
        while graph.is_active():
            ready.extend(graph.get_ready())
            while ready and (most is None or len(running) < most):
                name = ready.popleft()
                lacking = [need for need in needs[name] if need in failed]
                if lacking:
                    failed[name] = f"not run without {lacking[0]}"
                    graph.done(name)
                    continue
                running[_submit(executor, directory.absolute(), planned[name], logged, stop)] = name
            ended, _ = concurrent.futures.wait(
                running, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED
            )
            interruption.check()
            for future in ended:
                name = running.pop(future)
                reason = _outcome(future)
                if reason:
                    failed[name] = reason
                if logged or reason:
                    progress.say(f"{name}: {reason or 'done'}")
                graph.done(name)
    except BaseException:
        with interruption.deferred(raises=False):
            stop.touch()
            for future in running:
                future.cancel()
            concurrent.futures.wait(running)
        raise
    finally:
        stop.unlink(missing_ok=True)
    return failed


def _submit(
    executor: concurrent.futures.Executor,
    directory: Path,
    planned: stage_records.Planned,
    logged: bool,
    stop: Path,
) -> concurrent.futures.Future:
    """Prints the command line of a stage and submits it; see :func:`run_stage`."""
    stage = planned.stage
    log = directory / LOGS / f"{stage.name}.log" if logged else None
    progress.say(f"\n$ {shlex.join(stage.command_line)}")
    return executor.submit(
        run_stage, directory, stage, os.getcwd(), planned.state == stage_records.CHANGED, log, stop,
        quiet=log is None and progress.is_quiet(),
    )  # fmt: skip


def _outcome(future: concurrent.futures.Future) -> str:
    """Returns the reason why a stage failed, empty if it succeeded."""
    try:
        return future.result()
    except (OSError, concurrent.futures.CancelledError) as error:
        return str(error) or "cancelled"
    except Exception as error:
        if is_lost_worker(error):
            return f"its worker was lost ({error})"
        raise


def run_stage(
    directory: Path,
    stage: Stage,
    working_directory: str,
    overwrites: bool,
    log: Path | None,
    stop: Path,
    quiet: bool = False,
) -> str:
    """Runs the command of one stage and records the outcome.

    Args:
        directory: Directory of the pipeline.
        stage: The stage.
        working_directory: Directory to which relative paths in the pipeline refer.
        overwrites: True if the output was made with other options and has to be replaced.
        log: File for the command's output; None prints to the streams of this process.
        stop: Path of a file whose appearance ends the command, on any machine.
        quiet: Run the command with ``--quiet``.

    Returns:
        The reason why the stage failed, empty if it succeeded.
    """
    before = stage_records.read(directory, stage.name)
    # An interrupted earlier run may have begun to replace the output. Without --overwrite the
    # command continues that work; if it refuses (status 2) because the output is still the old
    # one, it is called again with --overwrite.
    begun = before is not None and not before["finished"] and before["overwrites"]
    stage_records.write(directory, stage, finished=False, overwrites=overwrites or begun)
    started = time.monotonic()
    plain = [*executable(stage.command), *(["--quiet"] if quiet else []), *stage.words]
    replacing = [*plain, *(["--overwrite"] if can_overwrite(find_command(stage.command)) else [])]
    for words in [replacing] if overwrites else [plain, replacing] if begun else [plain]:
        status = _run_command(words, working_directory, log, stop)
        if status != REFUSED:
            break
    if status == REFUSED:
        stage_records.restore(directory, stage.name, before)
    if status:
        return f"exit status {status}" + ("" if log is None else f", see {log}")
    seconds = time.monotonic() - started
    stage_records.write(directory, stage, finished=True, overwrites=False, seconds=seconds)
    return ""


def _run_command(words: Sequence[str], working_directory: str, log: Path | None, stop: Path) -> int:
    """Runs a command to its end, or until the file ``stop`` appears; returns its exit status."""
    with contextlib.ExitStack() as stack:
        stream = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            stream = stack.enter_context(open(log, "a", encoding="utf-8"))
            stream.write(f"$ {shlex.join(words)}\n")
            stream.flush()
        process = subprocess.Popen(
            words, cwd=working_directory, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(_POLL)
                if stop.exists():
                    process.terminate()
                    return process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


@contextlib.contextmanager
def _executor(jobs: int, scheduler: str | None) -> Iterator[concurrent.futures.Executor]:
    if scheduler is None:
        if jobs < 1:
            raise InputError(f"jobs {jobs} must be at least 1.")
        with concurrent.futures.ThreadPoolExecutor(jobs) as executor:
            yield executor
        return
    if jobs != 1:
        raise InputError("jobs and scheduler exclude one another: give one of them.")
    with cluster(scheduler=scheduler) as client:
        yield client.get_executor(pure=False, retries=0)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Locks the pipeline's directory against other processes within the block.

    Raises:
        InputError: Another process holds the lock.
    """
    folder = directory / stage_records.FOLDER
    files.require_place(folder / "lock.json")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{directory} is in use by another phire run: wait until it ends, or set another "
                "directory."
            ) from None
        yield
