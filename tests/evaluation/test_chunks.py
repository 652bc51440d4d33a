"""Measuring of chunks: the threads of linear algebra meanwhile."""

from __future__ import annotations

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_info, threadpool_limits

from evaluation.made_fields import setting_of
from phire.evaluation.accumulator import Statistic
from phire.evaluation.chunks import Task, Work, measure_chunk
from phire.fields.grid import Grid
from phire.fields.source import ArraySource

GRID = Grid.pixels(8, 9)
FIELDS = np.random.default_rng(0).normal(size=(2, 8, 9, 1)).astype("f4")


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


class Watching(Statistic):
    """Counts the threads of BLAS while it is measured."""

    name = "watching"

    def measure(self, truth, candidate):
        return {"threads": np.array(float(max(blas_threads())))}

    def result(self, state):
        return xr.Dataset()


def test_blas_has_one_thread_while_statistics_are_measured_and_its_own_number_afterwards():
    source = ArraySource(FIELDS, channels=("channel_0",), grid=GRID)
    watching = Watching(setting_of(FIELDS, GRID, threads=2))
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        states = measure_chunk(Work(source, {}, (Task("watching", watching, None),)), np.arange(2))
        assert blas_threads() == before
    assert states["watching"]["threads"] == 1
