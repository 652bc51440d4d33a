"""The commands around the learned metric, as a user gives them."""

import csv
import io
import json

import keras
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli import (
    distance,
    import_metric,
    rplearn_certainty,
    rplearn_compare,
    rplearn_eval,
    rplearn_features,
    rplearn_probe,
    rplearn_train,
)
from phire.fields import StoreWriter
from phire.fields.grid import Grid
from phire.fields.normalization import Normalization
from phire.fields.time_axis import TimeAxis
from phire.records import write_pair_records
from phire.rplearn import LearnedMetric, describe_metric


def run(module, *arguments, status=0):
    result = CliRunner().invoke(module.main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of a wave that is carried east, its records, a run and its metric."""
    folder = tmp_path_factory.mktemp("commands")
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((16, 32))
    fields = np.stack([np.roll(noise, t, axis=1) for t in range(40)])[..., None] * 5 + 280
    grid = Grid.regional(60 - np.arange(16.0), np.arange(32.0))
    for name, shift in (("a", 0.0), ("b", 3.0)):
        with StoreWriter(
            folder / f"{name}.h5",
            channels=("t2m",),
            units=("K",),
            grid=grid,
            time=TimeAxis(3600 * np.arange(40), "standard"),
        ) as writer:
            writer.append((fields + shift * rng.standard_normal(fields.shape)).astype("f4"))
    write_pair_records(
        folder / "a.h5", folder / "pairs", patch=(12, 12), classes=3, patches_per_field=4, shards=2
    )
    run(
        rplearn_train,
        folder / "pairs",
        *("--validation", folder / "pairs", "--out", folder / "run", "--network"),
        "tiny,filters=[4,4,4,4]",
        *("--epochs", 1, "--cool-down-epochs", 0, "--batch-size", 16, "--devices", "cpu"),
        *("--objective", "temporal-distance,head_filters=4", "--quiet"),
    )
    run(
        rplearn_eval,
        folder / "run",
        *("--records", folder / "pairs", "--out", folder / "metric", "--layer", "stage2", "-q"),
    )
    return folder


def test_train_and_eval_make_a_metric(folder):
    facts = json.loads((folder / "metric" / "metric.json").read_text())
    assert facts["layer"] == "stage2" and facts["classes"] == 3
    said = run(rplearn_train, folder / "pairs", "--out", folder / "run", status=2)
    assert "was made with other options" in said and "network was" in said
    said = run(
        rplearn_train,
        *(folder / "pairs", "--out", folder / "x", "--network", "tiny,filtres=4"),
        status=2,
    )
    assert "encoder tiny has no option 'filtres'" in said


def test_the_chosen_epoch_is_judged_on_other_pairs(folder, tmp_path):
    write_pair_records(
        folder / "b.h5", tmp_path / "other", patch=(12, 12), classes=3, patches_per_field=3,
        shards=1, statistics=folder / "pairs",
    )  # fmt: skip
    arguments = (folder / "run", "--records", folder / "pairs", "--layer", "stage2")
    metric = tmp_path / "metric"
    said = run(rplearn_eval, *arguments, "--test", tmp_path / "other", "--out", metric)
    assert f"On {tmp_path / 'other'}: cross-entropy" in said
    facts = json.loads((metric / "metric.json").read_text())
    scores = facts["scores"]
    assert scores["test"]["cross_entropy"] != scores["cross_entropy"]
    # The scale is still that of the pairs that chose.
    assert facts["scale"] == json.loads((folder / "metric" / "metric.json").read_text())["scale"]
    evaluation = folder / "run" / "evaluation"
    with open(evaluation / "test-distances.csv") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["distance"] for row in rows][-4:] == ["l1", "l2", "psnr", "ssim"]
    (layer,) = (row for row in rows if row["distance"] == "stage2")
    assert float(layer["rank_correlation"]) == pytest.approx(scores["test"]["spearman"])
    with xr.open_dataset(metric / "lag.nc", engine="h5netcdf") as lags:
        with xr.open_dataset(evaluation / "test-pixels.nc", engine="h5netcdf") as pixels:
            np.testing.assert_array_equal(lags["count"], pixels["count"])
        assert float(lags["learned_spearman"]) == pytest.approx(scores["test"]["spearman"])
    described = describe_metric(metric)
    assert described["patch"] == "12 × 12"
    assert described["test scores"].startswith("cross-entropy")
    assert "already made" in run(
        rplearn_eval, *arguments, "--test", tmp_path / "other", "--out", metric
    )
    said = run(rplearn_eval, *arguments, "--test", folder / "pairs", status=2)
    assert "by which the epoch is chosen" in said


def test_distance_prints_a_line_a_time(folder):
    printed = run(distance, folder / "metric", folder / "a.h5", f"noisy={folder / 'b.h5'}", "-q")
    lines = [line for line in printed.splitlines() if not line.startswith("#")]
    rows = list(csv.reader(io.StringIO("\n".join(lines))))
    assert rows[0] == ["time", "noisy"] and len(rows) == 41
    values = np.array([float(row[1]) for row in rows[1:]])
    assert (values > 0).all()
    with StoreAsArrays(folder) as (a, b):
        expected = LearnedMetric.load(folder / "metric").distance(a, b)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    assert f"# noisy: mean {values.mean():.4g}"[:14] in printed


class StoreAsArrays:
    """The two stores' fields."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        from phire.fields import open_store

        return [open_store(self.folder / f"{name}.h5").read(slice(None)) for name in "ab"]

    def __exit__(self, *exception):
        return None


def test_distance_writes_values_and_maps(folder, tmp_path):
    arguments = (folder / "metric", folder / "a.h5", folder / "b.h5", f"same={folder / 'a.h5'}")
    outputs = ("--out", tmp_path / "d.nc", "--map", tmp_path / "map.nc", "--frechet")
    printed = run(distance, *arguments, *outputs)
    assert "Fréchet" in printed and "with so few fields, equal climates would give" in printed
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as maps:
        assert list(maps.candidate.values) == ["b", "same"]
        mean = maps["learned_distance_map"].mean(("latitude", "longitude"))
        np.testing.assert_allclose(mean, maps["learned_distance"], rtol=1e-6)
        np.testing.assert_array_equal(maps["learned_distance"].sel(candidate="same"), 0)
        assert float(maps["frechet"].sel(candidate="b")) > 0
    again = run(distance, *arguments, *outputs)
    assert "already made" in again
    said = run(distance, *arguments, "--out", tmp_path / "d.nc", status=2)
    assert "frechet was True, now False" in said
    named = [f"b={folder / name}" for name in ("a.h5", "b.h5")]
    said = run(distance, folder / "metric", folder / "a.h5", *named, status=2)
    assert "same name" in said
    said = run(distance, folder / "pairs", folder / "a.h5", folder / "b.h5", status=2)
    assert "is not a metric" in said


@pytest.fixture
def holed(folder, tmp_path):
    """The second store with one missing point at 05 UTC."""
    from phire.fields import open_store

    path = tmp_path / "holed.h5"
    with open_store(folder / "b.h5") as store:
        fields = store.read(slice(None))
        fields[5, 2, 3] = np.nan
        with StoreWriter(
            path, channels=store.channels, units=store.units, grid=store.grid, time=store.time
        ) as writer:
            writer.append(fields)
    return path


def test_fields_with_missing_values_are_left_out(folder, holed, tmp_path):
    hours = ("--time", "1970-01-01T04,1970-01-01T08")
    said = run(distance, folder / "metric", folder / "a.h5", holed, *hours)
    rows = [line.split(",") for line in said.splitlines() if line.startswith("1970")]
    assert [row[0][11:13] for row in rows] == ["04", "05", "06", "07"]
    assert [row[1] == "" for row in rows] == [False, True, False, False]
    assert f"1 of 4 fields of {holed} and {folder / 'a.h5'} have missing values" in said

    output = tmp_path / "features.h5"
    said = run(rplearn_features, folder / "metric", holed, output, *hours)
    assert f"1 of 4 fields of {holed} have missing values" in said
    with xr.open_dataset(output, engine="h5netcdf") as features:
        gone = np.isnan(features["data"]).all(("channel", "latitude", "longitude"))
        assert gone.values.tolist() == [False, True, False, False]

    output = tmp_path / "certainty.nc"
    said = run(rplearn_certainty, folder / "run", holed, "--out", output, "--lag", 2, *hours)
    assert f"1 of 4 pairs of fields of {holed} have missing values" in said
    said = run(distance, folder / "metric", folder / "a.h5", holed,
               "--time", "1970-01-01T05,1970-01-01T06", status=2)  # fmt: skip
    assert f"none of 1 field of {holed}" in said


def test_features_become_a_store(folder, tmp_path):
    run(rplearn_features, folder / "metric", folder / "a.h5", tmp_path / "features.h5", "-q")
    with xr.open_dataset(tmp_path / "features.h5", engine="h5netcdf") as features:
        assert features["data"].dims == ("channel", "time", "latitude", "longitude")
        assert features.sizes["channel"] == 4 and features.sizes["time"] == 40
        with StoreAsArrays(folder) as (a, _):
            expected = LearnedMetric.load(folder / "metric").features(a)
        np.testing.assert_allclose(
            features["data"].transpose("time", "latitude", "longitude", "channel"),
            expected,
            rtol=1e-4,
            atol=1e-5,
        )


def test_certainty_maps(folder, tmp_path):
    arguments = (folder / "run", folder / "a.h5", "--out", tmp_path / "certainty.nc")
    run(rplearn_certainty, *arguments, "--lag", 2, "--every", 10, "-q")
    with xr.open_dataset(tmp_path / "certainty.nc", engine="h5netcdf") as maps:
        assert {"all", "DJF", "00 UTC"} <= set(maps.group.values)
        assert ((maps["probability"] > 0) & (maps["probability"] < 1)).all()
    assert "already made" in run(rplearn_certainty, *arguments, "--lag", 2, "--every", 10)
    assert "lags 1 … 3" in run(rplearn_certainty, *arguments, "--lag", 7, "--overwrite", status=2)


def test_comparison_of_runs(folder, tmp_path):
    printed = run(rplearn_compare, f"one={folder / 'run'}", "--out", tmp_path / "table.csv")
    assert "accuracy_over_chance" in printed and "one" in printed
    assert (tmp_path / "table.csv").read_text().startswith("run,task,network,epoch,classes")
    said = run(rplearn_compare, folder / "run", folder / "run", status=2)
    assert "named 'run'" in said


def test_probe(tmp_path):
    rng = np.random.default_rng(0)
    grid = Grid.regional(np.linspace(80, 10, 16), np.arange(16.0))
    days = np.arange(0, 60, 0.5)
    latitude = 45 + 8 * np.sin(2 * np.pi * days / 25)
    u = 30 * np.exp(-(((grid.latitudes - latitude[:, None]) / 15) ** 2))
    fields = np.repeat(u[:, :, None, None], 16, axis=2) + rng.standard_normal((120, 16, 16, 1))
    with StoreWriter(
        tmp_path / "u.h5",
        channels=("u",),
        units=("m s-1",),
        grid=grid,
        time=TimeAxis((days * 86400).astype(int), "standard"),
    ) as writer:
        writer.append(fields.astype("f4"))
    patch = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="stage1")(patch)
    metric = LearnedMetric(
        keras.Model(patch, features, name="encoder"),
        layer="stage1",
        normalization=Normalization("z", ("u",), (10.0,), (10.0,)),
        channels=("u",),
        units=("m s-1",),
    )
    metric.save(tmp_path / "metric")
    printed = run(
        rplearn_probe,
        *(tmp_path / "metric", tmp_path / "u.h5", "--out", tmp_path / "probe.nc"),
        *("--window-days", 5, "--cutoff-days", 3, "--components", 5, "-q"),
    )
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["representation"] for row in rows] == ["learned", "pca", "random", "rows", "mean"]
    assert float(rows[0]["r2"]) > 0.5 > float(rows[4]["r2"])


def test_import_of_what_is_no_model_folder(tmp_path):
    assert "is not a directory" in run(import_metric, tmp_path / "x", tmp_path / "m", status=2)
