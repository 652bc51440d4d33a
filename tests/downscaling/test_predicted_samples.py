"""Records, training, saving and prediction of samples with auxiliary fields, stations, windows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import xarray as xr

from downscaling.test_predictors import field
from phire.cli.predict import main as phire_predict
from phire.downscaling import PredictedSource, train_generator
from phire.downscaling.trained_generator import TrainedGenerator
from phire.fields import open_source
from phire.fields.coarsening import CoarsenedSource
from phire.records import open_records, write_downscaling_records

DAYS, SCALE = 10, 4
FINE = 50.25 - 0.5 * np.arange(16), 0.25 + 0.5 * np.arange(24)
PLACES = {f"s{i}": (49.75 - 0.7 * i, 0.75 + 1.1 * i) for i in range(9)}

CASES = {
    "auxiliary": ("srgan-small,filters=4,blocks=1,kernel=3", ["auxiliary"]),
    "stations": ("convnet,filters=8,blocks=1,activation=gelu", ["stations"]),
    "window": ("convnet,filters=8,blocks=1,activation=gelu", ["window"]),
    "all": (
        "resnet,filters=8,blocks=1,activation=gelu",
        ["window", "auxiliary", "stations", "covariates"],
    ),
}
"""Networks, and what samples have beside coarse and fine fields."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fine temperature, cloud on the same grid, and a table of stations."""
    folder = tmp_path_factory.mktemp("samples")
    fine = field("tas", *FINE, days=DAYS)
    fine.to_dataset().to_netcdf(folder / "fine.nc")
    field("cloud", *FINE, days=DAYS, units="1", seed=5).to_dataset().to_netcdf(folder / "cloud.nc")
    write_table(folder / "stations.csv", fine)
    return folder


def write_table(path, fine, change=()):
    """Observations of the fine field at all stations, 50 K off at those in ``change``."""
    with open(path, "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["station", "time", "latitude", "longitude", "tas"])
        for name, (latitude, longitude) in PLACES.items():
            values = fine.sel(latitude=latitude, longitude=longitude, method="nearest").values
            for time, value in zip(fine["time"].values, values + 50 * (name in change)):
                table.writerow([name, str(time)[:19], latitude, longitude, value])


def options_of(names, folder, withhold=0.0):
    given = {
        "auxiliary": {"auxiliary": [folder / "cloud.nc"]},
        "stations": {"stations": folder / "stations.csv", "withhold_stations": withhold},
        "window": {"window": 3},
        "covariates": {"covariates": ["hour", "day"]},
    }
    return {key: value for name in names for key, value in given[name].items()}


def trained(folder, name, records, run, **options):
    """Two steps of training on records of whole fields."""
    network, _ = CASES[name]
    write_downscaling_records(
        folder / "fine.nc", records, scale=SCALE, whole_fields=True, shards=1, normalization="z",
        **options,
    )  # fmt: skip
    train_generator(records, run, network=network, objective="content", batch_size=4,
                    epochs=(1,), learning_rates=(0.05,))  # fmt: skip
    return run


@pytest.fixture(scope="module", params=CASES)
def case(request, folder):
    run = folder / f"{request.param}-run"
    options = options_of(CASES[request.param][1], folder)
    trained(folder, request.param, folder / f"{request.param}-records", run, **options)
    return request.param, run


def predict(run, *arguments):
    phire_predict([str(run), *map(str, arguments), "--quiet"], standalone_mode=False)


def test_a_prediction_is_the_network_on_the_records_own_samples(case, folder, tmp_path):
    name, run = case
    records = open_records(folder / f"{name}-records")
    network = TrainedGenerator(run).network
    (batch,) = records.dataset(records.count)
    made = network({key: batch[key] for key in network.input}, training=False)
    expected = records.schema.normalization.invert(made.numpy())[..., 0]
    predict(run, folder / "fine.nc", tmp_path / "fine.nc", "--coarsen", SCALE)
    with xr.open_dataset(tmp_path / "fine.nc") as found:
        found = found["tas"].values
    assert found.shape == (DAYS, 16, 24)
    assert found.std() > 0.01
    window = records.schema.window or 1
    if window > 1:
        assert expected.shape[1] == window
        expected = expected[:, -1]
    # Records lie on disk in an order of their own; with a window the first fields have none.
    order = [np.abs(found - one).max((1, 2)).argmin() for one in expected]
    assert sorted(order) == list(range(window - 1, DAYS))
    np.testing.assert_allclose(found[order], expected, atol=2e-4 + 1e-4 * found.std())


@pytest.mark.parametrize("tile", [1, 3])
def test_tiles_leave_no_trace(case, folder, tile):
    run = case[1]
    coarse = CoarsenedSource(open_source(folder / "fine.nc"), SCALE)
    whole, tiled = (PredictedSource(run, coarse, tile=n).read([0, 5]) for n in (100, tile))
    assert whole.std() > 0.01
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * whole.std() + 1e-4)


def test_what_the_records_were_made_of_is_the_default(case, folder, tmp_path):
    name, run = case
    given = {"auxiliary": folder / "cloud.nc", "stations": folder / "stations.csv"}
    options = [
        x for key, path in given.items() if key in CASES[name][1] for x in (f"--{key}", path)
    ]
    for output, chosen in (("default.nc", []), ("given.nc", options)):
        predict(run, folder / "fine.nc", tmp_path / output, "--coarsen", SCALE, *chosen)
    with (
        xr.open_dataset(tmp_path / "default.nc") as one,
        xr.open_dataset(tmp_path / "given.nc") as other,
    ):
        np.testing.assert_allclose(one["tas"], other["tas"], atol=1e-4)


def test_every_fine_input_counts(folder, tmp_path):
    """Another cloud and other stations give another field."""
    run = folder / "all-run"
    with xr.open_dataset(folder / "cloud.nc") as cloud, xr.open_dataset(folder / "fine.nc") as fine:
        (cloud + 5).assign_coords(cloud.coords).to_netcdf(tmp_path / "cloud.nc")
        write_table(tmp_path / "stations.csv", fine["tas"], change=PLACES)
    with xr.open_dataset(tmp_path / "cloud.nc") as cloud:
        cloud = cloud.load()
    cloud["cloud"].attrs["units"] = "1"
    cloud.to_netcdf(tmp_path / "cloud.nc")
    coarse = CoarsenedSource(open_source(folder / "fine.nc"), SCALE)
    usual = PredictedSource(run, coarse).read([4])
    for option in ({"auxiliary": [tmp_path / "cloud.nc"]}, {"stations": tmp_path / "stations.csv"}):
        other = PredictedSource(run, coarse, **option).read([4])
        assert np.abs(other - usual).max() > 1e-2


def test_withheld_stations_stay_unseen_at_prediction(folder, tmp_path):
    records, run = tmp_path / "records", tmp_path / "run"
    options = options_of(["stations"], tmp_path, withhold=0.3)
    with xr.open_dataset(folder / "fine.nc") as fine:
        fine = fine["tas"].load()
    write_table(tmp_path / "stations.csv", fine)
    trained(folder, "stations", records, run, **options)
    withheld = [name for name, *_ in open_records(records).manifest.withheld_stations]
    shown = [name for name in PLACES if name not in withheld]
    assert len(withheld) == 3
    coarse = CoarsenedSource(open_source(folder / "fine.nc"), SCALE)
    usual = PredictedSource(run, coarse).read([4])
    for change, unseen in ((withheld, True), (shown, False)):
        write_table(tmp_path / "stations.csv", fine, change=change)
        other = PredictedSource(run, coarse).read([4])
        assert np.array_equal(other, usual) == unseen
