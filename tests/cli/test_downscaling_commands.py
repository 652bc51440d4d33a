"""``phire-train`` and ``phire predict``, as a user gives them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import xarray as xr
import yaml
from click.testing import CliRunner

from phire.cli import phire, phire_eval, phire_train
from phire.fields import Grid, StoreWriter, TimeAxis
from phire.records import write_downscaling_records
from phire.training import open_run

STEPS = ("--network", "srgan-small,filters=4,blocks=1", "--objective", "srgan,pretrain_epochs=1",
         "--epochs", "1", "--learning-rates", "1e-4", "--batch-size", 8)  # fmt: skip


def run(module, *arguments, status=0):
    result = CliRunner().invoke(module.main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of a region, its records, and a generator trained on them."""
    folder = tmp_path_factory.mktemp("downscaling")
    random = np.random.default_rng(0)
    with StoreWriter(
        folder / "t2m.h5",
        channels=["t2m"],
        units=["K"],
        grid=Grid.regional(60 - 0.25 * np.arange(25), 0.25 * np.arange(36)),
        time=TimeAxis(951782400 + 3600 * np.arange(16), "standard"),
    ) as writer:
        writer.append((280 + 5 * random.normal(size=(16, 25, 36, 1))).astype("f4"))
    write_downscaling_records(
        folder / "t2m.h5", folder / "records", patch=(12, 12), scale=3, patches_per_field=2,
        shards=1, normalization="z",
    )  # fmt: skip
    run(phire_train, folder / "records", "--out", folder / "run", *STEPS)
    return folder


def test_a_region_is_refined_in_physical_units(folder, tmp_path):
    output = tmp_path / "fine.nc"
    options = ("--coarsen", 3, "--time", "2000-02-29T04,2000-02-29T10", "--tile", 5)
    said = run(phire, "predict", folder / "run", folder / "t2m.h5", output, *options)
    assert "25 × 36 is not a multiple of 3: the last row at the south is dropped" in said
    assert "6 fields of 24 × 36 points, t2m, one member; none missing" in said
    with xr.open_dataset(output) as dataset:
        # The remainder of one row is dropped at the south.
        assert dict(dataset["t2m"].sizes) == {"time": 6, "latitude": 24, "longitude": 36}
        np.testing.assert_allclose(dataset["latitude"], 60 - 0.25 * np.arange(24))
        assert str(dataset["time"].values[0]).startswith("2000-02-29T04")
        assert dataset["t2m"].attrs["units"] == "K"
        assert abs(float(dataset["t2m"].mean()) - 280) < 5
    said = run(phire, "predict", folder / "run", folder / "t2m.h5", output, *options)
    assert "already" in said


def test_missing_input_and_a_bound_are_options(folder, tmp_path):
    with xr.open_dataset(folder / "t2m.h5", engine="h5netcdf") as opened:
        dataset = opened["data"].isel(channel=0, drop=True).to_dataset(name="t2m").load()
    dataset["t2m"].attrs["units"] = "K"
    dataset["t2m"][:, 3:6, 6:9] = np.nan  # a whole block
    dataset["t2m"][:, 13, 7] = np.nan  # a point of another, which has the mean of the rest
    dataset.to_netcdf(tmp_path / "holed.nc")
    for fill in ("nearest", "mean"):
        output = tmp_path / f"{fill}.nc"
        said = run(phire, "predict", folder / "run", tmp_path / "holed.nc", output,
                   "--coarsen", 3, "--fill", fill, "--minimum", 281)  # fmt: skip
        assert "1.04 % of the values are missing" in said  # 1 of 96 blocks
        with xr.open_dataset(output) as fine:
            gone = np.isnan(fine["t2m"].values)
            assert gone[:, 3:6, 6:9].all() and gone.sum() == 16 * 9
            assert float(fine["t2m"].min()) == 281
            assert fine.attrs["minimum"] == 281
    said = run(phire, "predict", "bicubic", folder / "t2m.h5", tmp_path / "other.nc",
               "--coarsen", 3, "--minimum", 0, status=2)  # fmt: skip
    assert "--minimum applies to generators" in said


def test_a_bound_is_told_by_the_evaluation(folder, tmp_path):
    truth, hours = folder / "t2m.h5", ("--time", "2000-02-29T00,2000-02-29T04")
    run(phire, "predict", folder / "run", truth, tmp_path / "file.nc", "--coarsen", 3,
        "--minimum", 281, *hours)  # fmt: skip
    arguments = (truth, *hours, "--scale", 3, "--metrics", "maps", "--candidate",
                 f"file={tmp_path / 'file.nc'}")  # fmt: skip
    out = tmp_path / "results"
    said = run(phire_eval, *arguments, "--candidate", f"run={folder / 'run'}", "--out", out,
               "--minimum", 281)  # fmt: skip
    report = " ".join((out / "report.html").read_text().split())
    for name in ("run", "file"):
        note = f"andidate {name} was predicted with values below 281 set to 281"
        assert note in said and note in report
        with xr.open_dataset(out / name / "maps.nc") as maps:
            assert float(maps["mean"].min()) >= 281
    said = run(phire_eval, *arguments, "--out", tmp_path / "other", "--minimum", 0, status=2)
    assert "--minimum applies to runs" in said


def test_an_evaluation_sets_traces_to_the_bound_as_a_prediction_does(folder, tmp_path):
    truth, hours = folder / "t2m.h5", ("--time", "2000-02-29T00,2000-02-29T04")
    run(phire, "predict", folder / "run", truth, tmp_path / "file.nc", "--coarsen", 3,
        "--minimum", 270, "--trace", 281, *hours)  # fmt: skip
    of_file = (truth, *hours, "--scale", 3, "--metrics", "maps", "--candidate",
               f"file={tmp_path / 'file.nc'}")  # fmt: skip
    arguments = (*of_file, "--candidate", f"run={folder / 'run'}", "--trace", 281)
    out = tmp_path / "results"
    said = run(phire_eval, *arguments, "--minimum", 270, "--out", out)
    for name in ("run", "file"):
        assert f"andidate {name} was predicted with values below 281 set to 270" in said
    with xr.open_dataset(out / "run/maps.nc") as a, xr.open_dataset(out / "file/maps.nc") as b:
        np.testing.assert_allclose(a["mean"], b["mean"], rtol=1e-6)
    for given, message in (
        ((*arguments, "--overwrite"), "--trace 281 sets lower values to --minimum, which is not"),
        ((*of_file, "--trace", 281), "--trace applies to runs"),
        ((*arguments, "--minimum", 270, "--trace", 282), "trace"),
    ):
        said = run(phire_eval, *given, "--out", out, status=2)
        assert message in said and "Traceback" not in said


def test_the_best_epoch_and_its_number_give_the_same(folder, tmp_path):
    best = open_run(folder / "run").best_epoch
    for epoch in ("best", best):
        run(phire, "predict", folder / "run", folder / "t2m.h5", tmp_path / f"{epoch}.nc",
            "--coarsen", 3, "--epoch", epoch)  # fmt: skip
    with xr.open_dataset(tmp_path / "best.nc") as a, xr.open_dataset(tmp_path / f"{best}.nc") as b:
        np.testing.assert_array_equal(a["t2m"], b["t2m"])
    for epoch, message in ((9, "epoch 9"), ("last", "--epoch last")):
        said = run(phire, "predict", folder / "run", folder / "t2m.h5", tmp_path / "other.nc",
                   "--coarsen", 3, "--epoch", epoch, status=2)  # fmt: skip
        assert message in said


def test_fields_as_fine_as_the_trained_ones_are_refused(folder, tmp_path):
    arguments = ("predict", folder / "run", folder / "t2m.h5", tmp_path / "fine.nc")
    said = run(phire, *arguments, status=2)
    assert "0.25°" in said
    assert "--any-spacing" in said
    assert not (tmp_path / "fine.nc").exists()
    run(phire, *arguments, "--any-spacing", "--time", "2000-02-29T00,2000-02-29T01")
    with xr.open_dataset(tmp_path / "fine.nc") as dataset:
        assert dataset["t2m"].shape == (1, 75, 108)


def test_training_takes_its_options_from_a_file(folder, tmp_path):
    options = {"network": {"name": "srgan-small", "filters": 4, "blocks": 1, "factors": [3]},
               "objective": "srgan,content=0.5*mse+0.5*mae,pretrain_epochs=0",
               "schedule": {"name": "cosine", "warmup": 2}, "ema": 0.9, "clip-norm": 1,
               "epochs": [1, 1], "learning-rates": [1e-4, 1e-5], "batch-size": 8}  # fmt: skip
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(options))
    arguments = (folder / "records", "--out", tmp_path / "run")
    run(phire_train, *arguments, "--config", tmp_path / "options.yaml")
    made = open_run(tmp_path / "run")
    assert list(made.history["phase"]) == ["phase 1", "phase 2"]
    # Of the last of four steps an epoch; the fall begins at the third of eight.
    shares = [(1 + np.cos(np.pi * (step - 2) / 6)) / 2 for step in (3, 7)]
    assert list(made.history["learning_rate_generator"]) == pytest.approx(
        [1e-4 * shares[0], 1e-5 * shares[1]]
    )
    assert made.config["network"]["filters"] == 4
    assert (made.config["ema"], made.config["clip"]["norm"]) == (0.9, 1)
    said = run(phire_train, *arguments, "--config", tmp_path / "options.yaml",
               "--objective", "content", status=2)  # fmt: skip
    assert "objective was" in said
    run(phire, "predict", tmp_path / "run", folder / "t2m.h5", tmp_path / "fine.h5",
        "--coarsen", 3)  # fmt: skip


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--network", "esrgan"), "network 'esrgan' is unknown: choose one of"),
        (("--network", "srgan,attention"), "network srgan has no option 'attention'"),
        (("--objective", "temporal-distance"), "objective 'temporal-distance' is unknown"),
        (("--objective", "content,weight=1"), "objective content has no option 'weight'"),
        (("--schedule", "cosine,heat=2"), "schedule cosine has no option 'heat'"),
    ],
)
def test_an_unknown_part_is_refused_before_tensorflow_is_loaded(option, said, monkeypatch):
    monkeypatch.setattr("phire.cli.command.import_tensorflow", None)  # a call would fail
    printed = run(phire_train, "nowhere", "--out", "run", *option, status=2)
    assert said in printed


def test_a_damaged_record_ends_training_with_its_name(folder, tmp_path):
    shutil.copytree(folder / "records", tmp_path / "records")
    (shard,) = (tmp_path / "records").glob("*.tfrecord")
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    said = run(phire_train, tmp_path / "records", "--out", tmp_path / "run", *STEPS, status=1)
    assert f"{shard}: record " in said and "make the records again" in said
