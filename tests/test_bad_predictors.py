"""Mistakes with predictors, maps, masks, windows and members, as a user makes them on the command
line: one sentence, status 2, nothing left."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from downscaling.test_predictors import field, folder  # noqa: F401
from downscaling.trained_runs import make_run
from phire.downscaling.schema_shapes import shapes_of
from phire.records import open_records, write_downscaling_records

PREDICTORS = ("--predictors", "{in}/coarse.nc:psl,hus", "--predictors", "{in}/upper.nc:ta")
DATA = ("{in}/fine.nc", "{out}", "--scale", 4, "--whole-fields", "--shards", 1)
PREDICT = ("predict", "{in}/run", "{in}/coarse.nc", "{out}.nc")
EVALUATE = ("{in}/fine.nc", "--scale", 4, "--candidate", "net={in}/run", "--out", "{out}")
TRAIN = ("{in}/records", "--out", "{out}", "--batch-size", 4)


@pytest.fixture(scope="module")
def inputs(folder):  # noqa: F811
    """Files that do not fit the records and the run of ``folder``, beside them."""
    with xr.open_dataset(folder / "upper.nc") as upper:
        upper.isel(time=slice(0, 6)).to_netcdf(folder / "short.nc")
        pressure = upper.load().copy()
    pressure["ta"].attrs["units"] = "Pa"
    pressure.to_netcdf(folder / "units.nc")
    with xr.open_dataset(folder / "maps.nc") as maps:
        maps.isel(latitude=slice(0, 10)).to_netcdf(folder / "other_grid.nc")
        days = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
        steps = [maps.assign_coords(time=day) for day in days]
        xr.concat(steps, "time").transpose("time", ...).to_netcdf(folder / "moving.nc")
    with xr.open_dataset(folder / "coarse.nc") as coarse:
        coarse.isel(latitude=slice(0, 6)).to_netcdf(folder / "north.nc")
    with xr.open_dataset(folder / "fine.nc") as fine:
        fine.where(fine["latitude"] > 49.5).to_netcdf(folder / "sea.nc")
    # Without its maps: those that were left out cannot come from the run.
    shutil.copytree(folder / "run", folder / "mapless")
    (folder / "mapless" / "static.h5").unlink()
    # A run whose own predictors lack the last days.
    write_short_run(folder)
    write_window_run(folder)
    shutil.copytree(folder / "records", folder / "earlier")
    manifest = folder / "earlier" / "records.json"
    value = json.loads(manifest.read_text())
    value.pop("schema")
    value["provenance"]["command"] = ["phire-data", "fine.nc", "earlier"]
    manifest.write_text(json.dumps({**value, "kind": "downscaling"}))
    return folder


def write_short_run(folder):  # noqa: F811
    records = open_records(folder / "records")
    options = dict(records.manifest.options)
    options["predictors"] = [
        options["predictors"][0], options["predictors"][1].replace("upper.nc", "short.nc")
    ]  # fmt: skip
    run = make_run(folder / "short_run", records.schema, shapes_of(records.schema),
                   "srgan-small,filters=4,blocks=0,kernel=3", **options)  # fmt: skip
    shutil.copy(folder / "records" / "static.h5", run)


def write_window_run(folder):  # noqa: F811
    """A run of windows of three days, and four days of coarse fields with a gap."""
    write_downscaling_records(
        folder / "fine.nc", folder / "window_records", scale=4, whole_fields=True, window=3,
        shards=1, normalization="z",
    )  # fmt: skip
    schema = open_records(folder / "window_records").schema
    make_run(folder / "window_run", schema, shapes_of(schema), "convnet,filters=4,blocks=1")
    days = field("tas", 49.5 - 2.0 * np.arange(4), 1 + 2.0 * np.arange(6))
    days.isel(time=[0, 1, 4, 5]).to_dataset().to_netcdf(folder / "gaps.nc")


MISTAKES = {
    "a predictor without one of the times": (
        "phire", (*PREDICT, "--predictors", "{in}/short.nc:ta"),
        r"short.nc lacks 4 of the 10 times asked for \(the first is 2000-01-07.*--time",
    ),
    "the records' own predictor without one of the times": (
        "phire", ("predict", "{in}/short_run", *PREDICT[2:]),
        r"short.nc, of .*short_run's records, lacks 4 of the 10 times .*by --predictors",
    ),
    "the records' own predictor without one of the times, in an evaluation": (
        "phire_eval", (*EVALUATE[:4], "net={in}/short_run", *EVALUATE[5:]),
        r"short.nc, of .*short_run's records, lacks 4 of the 10 times",
    ),
    "a predictor without any of the times, in records": (
        "phire_data", (*DATA, "--time", "2000-01-08,", "--predictors", "{in}/short.nc:ta"),
        r"--predictors .*short.nc has none of the times in range",
    ),
    "a predictor in other units": (
        "phire", (*PREDICT, "--predictors", "{in}/units.nc:ta"),
        r"units.nc holds ta in 'Pa', not in 'K' as in the training .*run: convert the units",
    ),
    "a map on another grid, in records": (
        "phire_data", (*DATA, "--static", "{in}/other_grid.nc"),
        r"--static .*other_grid.nc lies on a .*10 × 24 points, .* not on the points of .*fine.nc",
    ),
    "a map on another grid, in a prediction": (
        "phire", (*PREDICT, "--static", "{in}/other_grid.nc"),
        r"--static .*other_grid.nc lies on a .*10 × 24 points.*regrid it",
    ),
    "a map of many times": (
        "phire_data", (*DATA, "--static", "{in}/moving.nc"),
        r"--static .*moving.nc: orog has 3 times, but a static map .*--auxiliary",
    ),
    "a map of many times, in a prediction": (
        "phire", (*PREDICT, "--static", "{in}/moving.nc"), r"orog has 3 times",
    ),
    "a map that is missing at prediction": (
        "phire", ("predict", "{in}/mapless", *PREDICT[2:]),
        r"mapless reads the maps orog, but does not hold them: give --static FILE:orog",
    ),
    "a map that is missing in an evaluation": (
        "phire_eval", (*EVALUATE[:4], "net={in}/mapless", *EVALUATE[5:]),
        r"mapless reads the maps orog, but does not hold them",
    ),
    "targets that the file has not": (
        "phire_data", (*DATA, "--targets", "tas,wind"),
        r"--targets: .*fine.nc has no variable 'wind'.* tas",
    ),
    "a coarse file that does not cover the fine one": (
        "phire_data", (*DATA, "--predictors", "{in}/north.nc:psl"),
        r"north.nc .*does not cover the fine fields .*° in the south is missing.*--region \d",
    ),
    "a window longer than any stretch": (
        "phire_data", (*DATA, "--window", 11), r"--window 11 .* the longest has 10 fields",
    ),
    "a window longer than any stretch, in a prediction": (
        "phire", ("predict", "{in}/window_run", "{in}/gaps.nc", "{out}.nc"),
        r"period without gaps around 2000-01-01.* has 2 fields, but the run reads windows of 3",
    ),
    "an option that the network does not have": (
        "phire_train", (*TRAIN, "--network", "convnet,heads=2"),
        r"network convnet has no option 'heads'.*filters",
    ),
    "a network without windows": (
        "phire_train",
        ("{in}/window_records", *TRAIN[1:], "--network", "srgan", "--objective", "content"),
        r"network srgan reads single fields, but the records have a window of 3 steps",
    ),
    "members of a deterministic run": (
        "phire", (*PREDICT, "--members", 5),
        r"--members 5 needs a stochastic generator, but .*run is deterministic",
    ),
    "members of deterministic runs, in an evaluation": (
        "phire_eval", (*EVALUATE, "--members", 5), r"--members 5 .*deterministic",
    ),
    "a mask that leaves nothing valid": (
        "phire_data", ("{in}/sea.nc", *DATA[1:], "--missing", "mask"),
        r"too many missing values: .*smaller --least-valid",
    ),
    "records of an earlier version": (
        "phire_train", ("{in}/earlier", *TRAIN[1:]),
        r"earlier was made by an earlier version of phire.*phire-data .*--overwrite",
    ),
    "records of an earlier version, made again": (
        "phire_data", ("{in}/fine.nc", "{in}/earlier", *DATA[2:]),
        r"earlier was made by an earlier version of phire.*--overwrite",
    ),
}  # fmt: skip


def listing(*folders):
    return {path for one in folders for path in Path(one).rglob("*")}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(mistake, inputs, tmp_path):
    command, arguments, said = MISTAKES[mistake]
    places = {"in": str(inputs), "out": str(tmp_path / "out")}
    arguments = [str(argument).format(**places) for argument in arguments]
    before = listing(inputs, tmp_path)
    main = importlib.import_module(f"phire.cli.{command}").main
    result = CliRunner().invoke(main, [*arguments, "--quiet"])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    printed = result.output.splitlines()
    assert len(printed) == 1, result.output
    assert re.search(said, printed[0]), printed[0]
    assert listing(inputs, tmp_path) == before
