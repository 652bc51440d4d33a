"""Statistics of points and seasons at prediction: applied to the inputs, undone in the output."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from phire.downscaling import Downscaler, PredictedSource, train_generator
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import ArraySource, CoarsenedSource, Grid, TimeAxis, to_dataset
from phire.fields.opening import open_source
from phire.records import write_downscaling_records
from phire.records.sampled_records import load_anomalies

FINE = Grid.regional(50 - 0.5 * np.arange(16), 0.5 * np.arange(24))
TIME = TimeAxis.from_coordinate(pd.date_range("2001-01-01", "2001-09-30", freq="4D").values)
OPTIONS = {
    "patch": (8, 8), "scale": 4, "patches_per_field": 2, "shards": 1, "normalization": "z,q=sqrt",
    "statistics_of": "point", "seasonal": "1,q=0",
}  # fmt: skip
TRAINING = {"network": "convnet,filters=4,blocks=1", "objective": "content", "epochs": (1,),
            "learning_rates": (1e-3,), "batch_size": 16}  # fmt: skip


def season(grid, time):
    """(n, H, W, 2) fields whose mean and spread differ by day and point."""
    random = np.random.default_rng(0)
    phase = 2 * np.pi * time.values[:, None, None] / (365.25 * 86400)
    y, x = np.meshgrid(grid.latitudes, grid.longitudes, indexing="ij")
    noise = random.normal(size=(len(time), *grid.shape, 2))
    t = 280 + y + (8 + np.sin(x)) * np.cos(phase) + noise[..., 0] * (2 + np.cos(y))
    q = (3 + np.cos(x) + 0.5 * noise[..., 1]) ** 2
    return np.stack([t, q], axis=-1).astype("f4")


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    path = tmp_path_factory.mktemp("fine") / "fine.nc"
    source = ArraySource(
        season(FINE, TIME), channels=["t", "q"], units=["K", "1"], grid=FINE, time=TIME
    )
    to_dataset(source).to_netcdf(path)
    return str(path)


def trained(fine, folder, training=TRAINING, **options):
    write_downscaling_records(fine, folder / "records", **{**OPTIONS, **options})
    train_generator(folder / "records", folder / "run", **training)
    return folder / "run"


@pytest.fixture(scope="module")
def run(fine, tmp_path_factory):
    return trained(fine, tmp_path_factory.mktemp("trained"))


def test_the_output_is_the_networks_field_times_its_points_deviation_plus_their_mean(run, fine):
    source = CoarsenedSource(open_source(fine), 4)
    chosen = [3, 40]
    made = PredictedSource(run, source).read(chosen)
    found = load_anomalies(run.with_name("records"))
    generator = TrainedGenerator(run)
    low = generator.low.normalization.apply(source.read(chosen))
    low = found["low"].apply(low, TIME[chosen])
    outputs = generator.network({"low": low}, training=False).numpy()
    normalised = found["high"].invert(outputs, TIME[chosen])
    t = normalised[..., 0] * generator.normalization.std[0] + generator.normalization.mean[0]
    np.testing.assert_allclose(made[..., 0], t, rtol=1e-5)
    root = normalised[..., 1] * generator.normalization.log_std[1]
    root = np.maximum(root + generator.normalization.log_mean[1], 0)
    np.testing.assert_allclose(made[..., 1], root**2, rtol=1e-4, atol=1e-5)
    # An untrained-like network gives the climatology of each point, not that of the domain.
    truth = open_source(fine).read(slice(None))[..., 0].mean(0)
    mean = PredictedSource(run, source).read(slice(None))[..., 0].mean(0)
    assert np.corrcoef(mean.ravel(), truth.ravel())[0, 1] > 0.98


def test_tiles_and_parts_of_the_domain_keep_their_points(run, fine, monkeypatch):
    coarse = CoarsenedSource(open_source(fine), 4)
    whole = PredictedSource(run, coarse, tile=100).read([5])
    np.testing.assert_allclose(PredictedSource(run, coarse, tile=2).read([5]), whole, rtol=1e-5)
    part = Grid.regional(coarse.grid.latitudes[1:], coarse.grid.longitudes[2:])
    inner = ArraySource(
        coarse.read([5])[:, 1:, 2:], channels=coarse.channels, units=coarse.units, grid=part,
        time=TIME[[5]],
    )  # fmt: skip
    predicted = PredictedSource(run, inner)

    def zero(*args, **options):
        return np.zeros((1, 12, 16, 2), np.float32)

    monkeypatch.setattr(predicted.generator, "predict_member", zero)
    climate = load_anomalies(run.with_name("records"))["high"].moments(TIME[[5]])[0]
    normalization = TrainedGenerator(run).normalization
    wanted = normalization.invert(climate)[:, 4:, 8:]
    np.testing.assert_allclose(predicted.read([0]), wanted, rtol=1e-5)


def test_other_points_and_months_are_refused_before_anything_is_predicted(run, fine):
    coarse = CoarsenedSource(open_source(fine), 4)
    fields = coarse.read([0])

    def predicted(grid=coarse.grid, time=TIME[[0]]):
        source = ArraySource(
            fields, channels=coarse.channels, units=coarse.units, grid=grid, time=time
        )
        return PredictedSource(run, source, name="the forecast")

    predicted()
    moved = Grid.regional(coarse.grid.latitudes, coarse.grid.longitudes + 20)
    with pytest.raises(InputError, match=r"the forecast does not fit .* with other points"):
        predicted(grid=moved)
    december = TimeAxis.from_coordinate(np.array(["2001-12-05"], "datetime64[s]"))
    with pytest.raises(InputError, match=r"the forecast does not fit .* also 12"):
        predicted(time=december)
    with pytest.raises(InputError, match="needs dates"):
        predicted(time=TimeAxis.steps(1))


def test_windows_take_the_season_of_each_of_their_steps(fine, tmp_path):
    training = {**TRAINING, "network": "convnet,filters=4,blocks=1"}
    run = trained(fine, tmp_path, training, window=3)
    source = CoarsenedSource(open_source(fine), 4)
    seen = []
    predicted = PredictedSource(run, source)
    member = predicted.generator.predict_member

    def spying(fields, low, *rest):
        seen.append(low)
        return member(fields, low, *rest)

    predicted.generator.predict_member = spying
    predicted.read([10])
    normalization = predicted.generator.low.normalization
    low = normalization.apply(source.read([8, 9, 10]))
    wanted = load_anomalies(run.with_name("records"))["low"].apply(low, TIME[[8, 9, 10]])
    np.testing.assert_allclose(seen[0][0], wanted, atol=1e-5)


def test_what_needs_physical_values_while_training_refuses_anomalies(run, tmp_path):
    for options in ({"objective": "likelihood,distribution=gaussian"}, {"conserve": True}):
        with pytest.raises(InputError, match="the targets are anomalies of each point or season"):
            train_generator(run.with_name("records"), tmp_path / "run", **{**TRAINING, **options})
        assert not (tmp_path / "run").exists()


def test_validation_by_other_statistics_is_refused(run, fine, tmp_path):
    write_downscaling_records(fine, tmp_path / "plain", **{**OPTIONS, "seasonal": None})
    with pytest.raises(InputError, match=r"other climatologies than .* with statistics "):
        train_generator(
            run.with_name("records"), tmp_path / "run", validation=tmp_path / "plain", **TRAINING
        )


def test_the_two_line_interface(fine, tmp_path):
    dataset = xr.open_dataset(fine)
    model = Downscaler.fit(
        dataset, scale=4, patch=(8, 8), statistics_of="point", seasonal=1, validation=0.05,
        normalization="z", out=tmp_path / "run", **TRAINING,
    )  # fmt: skip
    coarse = to_dataset(CoarsenedSource(open_source(fine), 4)).isel(time=slice(0, 40, 8))
    made = model(coarse)
    error = made["t"] - dataset["t"].isel(time=slice(0, 40, 8)).values
    assert float(np.sqrt((error**2).mean())) < 6 < float(dataset["t"].std())


def test_a_coarse_file_beyond_the_domain_is_predicted_on_the_runs_points(run, fine, tmp_path):
    coarse = CoarsenedSource(open_source(fine), 4)
    # The same spacing, other points: one row and column more on each side, half a point aside.
    wide = Grid.regional(
        coarse.grid.latitudes[0] + 2.5 - 2.0 * np.arange(7), coarse.grid.longitudes[0] - 2.5
        + 2.0 * np.arange(9),
    )  # fmt: skip
    source = ArraySource(
        season(wide, TIME), channels=["t", "q"], units=["K", "1"], grid=wide, time=TIME
    )
    predicted = PredictedSource(run, source)
    assert predicted.grid.equals(FINE)
    assert 270 < predicted.read([3])[..., 0].mean() < 350


def test_training_refuses_exchanged_statistics(fine, run, tmp_path):
    write_downscaling_records(fine, tmp_path / "records", **OPTIONS)
    write_downscaling_records(
        fine, tmp_path / "other", **{**OPTIONS, "time": "2001-01-01,2001-08-01"}
    )
    (tmp_path / "other" / "climatologies.h5").replace(tmp_path / "records" / "climatologies.h5")
    with pytest.raises(InputError, match=r"other statistics of .* than its schema states"):
        train_generator(tmp_path / "records", tmp_path / "run", **TRAINING)
    assert not (tmp_path / "run").exists()
