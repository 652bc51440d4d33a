"""Evaluation of a run on the coarse input of its records: as prediction of that file."""

from __future__ import annotations

import numpy as np
import pytest

from downscaling.test_predictors import field
from phire.downscaling import PredictedSource, train_generator
from phire.downscaling.trained_generator import TrainedGenerator
from phire.fields import open_source
from phire.fields.coarsening import CoarsenedSource, CroppedSource
from phire.records import write_downscaling_records

FINE = 50.0 - 0.5 * np.arange(19), 0.5 * np.arange(27)


@pytest.mark.parametrize(
    "network", ["convnet,filters=4,blocks=1", "srgan-small,filters=4,blocks=1"]
)
def test_the_rim_sees_the_coarse_points_beyond_the_fine_grid(network, tmp_path):
    low = 50.0 - 2.0 * np.arange(9), 2.0 * np.arange(10)
    field("tas", *FINE, days=4).to_dataset().to_netcdf(tmp_path / "fine.nc")
    field("tas", *low, days=6, seed=3).to_dataset().to_netcdf(tmp_path / "low.nc")
    write_downscaling_records(
        tmp_path / "fine.nc", tmp_path / "records", low=tmp_path / "low.nc", alignment="corner",
        scale=4, whole_fields=True, shards=1, normalization="z",
    )  # fmt: skip
    train_generator(tmp_path / "records", tmp_path / "run", network=network, objective="content",
                    batch_size=4, epochs=(1,), learning_rates=(0.05,))  # fmt: skip
    generator = TrainedGenerator(tmp_path / "run")
    with open_source(tmp_path / "fine.nc") as truth, open_source(tmp_path / "low.nc") as coarse:
        candidate = PredictedSource(
            generator, CoarsenedSource(truth, 4), CroppedSource(truth, 4).grid,
            recorded_first=True,
        )  # fmt: skip
        expected = PredictedSource(generator, coarse).read([1, 3])
        found = candidate.read([1, 3])
        np.testing.assert_allclose(found[:, :16, :24], expected[:, :16, :24], atol=1e-4)
        assert len(candidate.time) == 4
