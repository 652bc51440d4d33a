"""Records of padded blocks: padding is in no loss, predictions have the grid of the fine file."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest
import xarray as xr

from downscaling.test_predictors import DAYS, field
from downscaling.trained_runs import make_run
from phire.cli.phire_eval import main as phire_eval
from phire.downscaling import predict
from phire.downscaling.generator_task import Task
from phire.downscaling.generator_training import objectives
from phire.downscaling.schema_shapes import shapes_of
from phire.networks import network as networks
from phire.records import open_records, write_downscaling_records
from phire.training import open_run

LATITUDES, LONGITUDES = 50.25 - 0.5 * np.arange(14), 0.25 + 0.5 * np.arange(23)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Temperature on 14 × 23 points, a predictor and a map; records and a run of them."""
    folder = tmp_path_factory.mktemp("padded")
    fine = field("tas", LATITUDES, LONGITUDES)
    fine[:, :2, :3] = np.nan
    fine.to_dataset().to_netcdf(folder / "fine.nc")
    coarse = field("psl", 52 - 1.5 * np.arange(8), -1 + 1.5 * np.arange(10), units="Pa", seed=1)
    coarse.to_dataset().to_netcdf(folder / "coarse.nc")
    orography = field("orog", LATITUDES, LONGITUDES, days=1, units="m", seed=4)
    orography.isel(time=0, drop=True).to_dataset().to_netcdf(folder / "maps.nc")
    write_downscaling_records(
        folder / "fine.nc", folder / "records", predictors=[folder / "coarse.nc"],
        static=[folder / "maps.nc"], covariates=["day"], scale=4, margin=1, whole_fields=True,
        shards=1, normalization="z", missing="mask",
    )  # fmt: skip
    records = open_records(folder / "records")
    run = make_run(
        folder / "run", records.schema, shapes_of(records.schema), "deepesd,filters=[4,4]",
        **records.manifest.options,
    )  # fmt: skip
    shutil.copy(folder / "records" / "static.h5", run)
    return folder


def batch_of(folder):
    records = open_records(folder / "records")
    return records, next(iter(records.dataset(DAYS)))


def test_the_padding_is_in_no_loss(folder):
    records, batch = batch_of(folder)
    assert records.schema.padding == (2, 1)
    found = []
    for poison in (0.0, 1e30):
        high = batch["high"].numpy()
        high[:, 14:] = high[:, :, 23:] = poison
        keras.utils.set_random_seed(2)
        task = Task(records.schema, *networks.resolve("deepesd", {"filters": (4,)}))
        content = objectives.build("content", task)
        content.begin("phase 1")
        loss = float(content.validation_step({**batch, "high": high})["mse"])
        generated = np.asarray(content.generator({n: batch[n] for n in content.generator.input}))
        found.append(loss)
    assert found[0] == found[1]
    there = np.ones((14, 23), bool)
    there[:2, :3] = False
    errors = (generated - batch["high"].numpy())[:, :14, :23][:, there]
    assert found[0] == pytest.approx(np.mean(errors**2), rel=1e-5)


def test_a_prediction_has_the_grid_of_the_fine_file(folder):
    """The same network on the records' own samples, cut to the file's points."""
    records, batch = batch_of(folder)
    network = open_run(folder / "run").network("generator")
    made = network({name: batch[name] for name in network.input}, training=False).numpy()
    expected = records.schema.normalization.invert(made)[:, :14, :23]
    for static in ([], [folder / "maps.nc"]):
        output = folder / f"predicted-{len(static)}.nc"
        predict(folder / "run", folder / "coarse.nc", output, static=static)
        with xr.open_dataset(output) as found:
            np.testing.assert_allclose(found["latitude"], LATITUDES, atol=1e-6)
            np.testing.assert_allclose(found["longitude"], LONGITUDES, atol=1e-6)
            order = [np.abs(found["tas"].values - e[..., 0]).max((1, 2)).argmin() for e in expected]
            assert sorted(order) == list(range(DAYS))
            np.testing.assert_allclose(found["tas"].values[order], expected[..., 0], atol=2e-3)


@pytest.mark.parametrize("around", [0, 2])
def test_one_coarse_input_without_maps_gives_the_grid_of_the_fine_file_too(around, tmp_path):
    """INPUT on the records' blocks, and one that reaches two points beyond them on each side."""
    fine = field("tas", LATITUDES, LONGITUDES)
    fine.to_dataset().to_netcdf(tmp_path / "fine.nc")
    blocks = 49.5 - 2.0 * np.arange(-around, 4 + around), 1.0 + 2.0 * np.arange(-around, 6 + around)
    coarse = field("psl", *blocks, units="Pa", seed=1)
    coarse.to_dataset().to_netcdf(tmp_path / "coarse.nc")
    write_downscaling_records(
        tmp_path / "fine.nc", tmp_path / "records", predictors=[tmp_path / "coarse.nc"], scale=4,
        whole_fields=True, shards=1, normalization="z", missing="mask",
    )  # fmt: skip
    records = open_records(tmp_path / "records")
    assert records.schema.padding == (2, 1)
    run = make_run(
        tmp_path / "run", records.schema, shapes_of(records.schema), "resnet,blocks=1,filters=4",
        **records.manifest.options,
    )  # fmt: skip
    predict(run, tmp_path / "coarse.nc", tmp_path / "predicted.nc")
    network = open_run(run).network("generator")
    low = records.schema.arrays["low"]
    values = (coarse.values[..., None] - low.normalization.mean) / low.normalization.std
    made = network({"low": values.astype("f4")}, training=False).numpy()
    expected = records.schema.normalization.invert(made)[..., 0]
    expected = expected[:, 4 * around :, 4 * around :][:, :14, :23]
    with xr.open_dataset(tmp_path / "predicted.nc") as found:
        np.testing.assert_allclose(found["latitude"], LATITUDES, atol=1e-6)
        np.testing.assert_allclose(found["longitude"], LONGITUDES, atol=1e-6)
        np.testing.assert_allclose(found["tas"], expected, atol=2e-3)


def test_evaluation_of_a_run_is_on_all_points_of_the_truth(folder, tmp_path):
    predict(folder / "run", folder / "coarse.nc", tmp_path / "fine.nc")
    phire_eval(
        [str(folder / "fine.nc"), "--candidate", f"run={folder / 'run'}",
         "--candidate", f"file={tmp_path / 'fine.nc'}", "--scale", "4", "--metrics", "scores",
         "--no-report", "--quiet", "--out", str(tmp_path / "results")],
        standalone_mode=False,
    )  # fmt: skip
    rmse = []
    for name in ("run", "file"):
        with xr.open_dataset(tmp_path / "results" / name / "scores.nc") as scores:
            rmse.append(scores["rmse"].values)
    np.testing.assert_allclose(*rmse, rtol=1e-4)
    with xr.open_dataset(folder / "fine.nc") as truth, xr.open_dataset(tmp_path / "fine.nc") as p:
        squared = (p["tas"].values - truth["tas"].values) ** 2
    weights = np.cos(np.deg2rad(LATITUDES))[:, None] * np.isfinite(squared)
    expected = np.sqrt((np.nan_to_num(squared) * weights).sum() / weights.sum())
    assert np.sqrt((rmse[0].astype(float) ** 2).mean()) == pytest.approx(expected, rel=0.005)
