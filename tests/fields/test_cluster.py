"""Working on clusters that others started."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import default_client

from phire.errors import InputError, WorkError
from phire.fields.cluster import cluster, results_in_order, run_tasks


def start(*command):
    """A part of a dask cluster as a process of its own, on threads that suffice for a test."""
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def port():
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def kill_at(task, pid, folder):
    """A short task; that of number 1 kills a process."""
    (folder / str(task)).touch()
    if task == 1:
        os.kill(pid, 9)
    time.sleep(0.2)


def test_a_scheduler_that_does_not_answer_leaves_no_client_behind(tmp_path):
    before = dask.config.get("scheduler", None)
    with pytest.raises(InputError, match="nowhere://host:1 does not answer"):
        with cluster(scheduler="nowhere://host:1"):
            pass
    with pytest.raises(ValueError, match="No clients found"):
        default_client()
    assert dask.config.get("scheduler", None) == before
    # xarray takes its locks for writing from the current client.
    xr.Dataset({"t": ("x", np.zeros(2))}).to_netcdf(tmp_path / "a.nc")


def test_a_lost_scheduler_is_named(tmp_path, port):
    address = f"tcp://127.0.0.1:{port}"
    scheduler = start("dask_scheduler", "--port", str(port), "--no-dashboard")
    worker = start("dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
    tasks = [(task, scheduler.pid, tmp_path) for task in range(50)]
    try:
        with pytest.raises(WorkError, match=f"the scheduler {address} was lost: .* same command"):
            with cluster(scheduler=address) as client:
                run_tasks(kill_at, tasks, client, description="waiting")
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert (tmp_path / "1").exists()
    assert not (tmp_path / "49").exists()


def touched(folder, task):
    """A short task that leaves a trace."""
    (folder / str(task)).touch()
    return task


def test_results_come_in_order_and_few_are_ahead(tmp_path):
    from distributed import Client

    with Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
    ) as client:
        results = results_in_order(touched, tmp_path, range(40), client, description="waiting")
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        time.sleep(0.5)
        # Two threads, one more, and the one that was awaited.
        assert len(list(tmp_path.iterdir())) <= 5 + 4
        assert list(results) == list(range(5, 40))


def test_processes_that_do_not_start_are_named(monkeypatch):
    def fail(**options):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", fail)
    with pytest.raises(WorkError, match=r"--workers 2 did not start .Nanny"), cluster(workers=2):
        pass


def test_a_port_that_another_cluster_has_is_no_matter():
    with socket.socket() as taken, warnings.catch_warnings():
        with contextlib.suppress(OSError):  # somebody has it anyway
            taken.bind(("", 8787))
            taken.listen()
        warnings.simplefilter("error")
        with cluster(1, None) as client:
            assert client.submit(sum, [1, 2]).result() == 3


def test_a_worker_that_is_slow_to_end_is_not_told(monkeypatch, caplog):
    nanny = logging.getLogger("distributed.nanny")
    level = nanny.level

    @contextlib.contextmanager
    def slow(*arguments, **options):
        nanny.warning("Restarting worker")
        yield "opened"
        nanny.warning("Worker process still alive after 4.0 seconds, killing")

    monkeypatch.setattr("distributed.LocalCluster", slow)
    monkeypatch.setattr("distributed.Client", slow)
    with caplog.at_level(logging.WARNING, "distributed.nanny"), cluster(workers=1):
        pass
    assert {record.message for record in caplog.records} == {"Restarting worker"}
    assert nanny.level == level
