"""``phire info``: words for people, values for programs."""

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from phire.cli.info import main
from phire.evaluation import evaluate
from phire.fields import ArraySource, Grid, TimeAxis
from phire.fields.source_writing import write_source
from phire.fields.time_axis import duration_stated
from phire.records import write_downscaling_records
from phire.rplearn import describe_metric

FIELDS = ArraySource(
    np.random.default_rng(0).normal(size=(6, 16, 24, 2)).astype("f4"),
    channels=("u", "v"), units=("m s-1", ""), grid=Grid.regional(50 - np.arange(16), np.arange(24)),
    time=TimeAxis(np.array([0, 3, 6, 9, 12, 18]) * 3600, "standard"),
)  # fmt: skip
CHANNELS = [{"name": "u", "units": "m s-1"}, {"name": "v", "units": None}]


def info(path, *options):
    result = CliRunner().invoke(main, [str(path), *options])
    assert result.exit_code == 0, result.output
    return result.output


def facts(path):
    return json.loads(info(path, "--json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("described")
    for name in ("a.h5", "a.nc"):
        write_source(FIELDS, folder / name)
    return folder


def test_a_store_in_values(folder):
    found = facts(folder / "a.h5")
    assert found["channels"] == CHANNELS
    assert (found["fields"], found["step"]) == (6, "PT3H")
    assert found["time"] == ["1970-01-01T00:00", "1970-01-01T18:00"]
    assert found["latitudes"] == [50, 35]
    assert len(found["gaps and repetitions"]) == 1
    words = info(folder / "a.h5")
    assert "u (m s-1), v (units unknown)" in words and " 3 h" in words


def test_variables_and_levels_of_netcdf_in_values(folder):
    levels = xr.open_dataset(folder / "a.nc").expand_dims(level=[500.0, 850.0])
    levels.to_netcdf(folder / "levels.nc")
    found = facts(folder / "levels.nc")
    assert found["variable u"]["sizes"]["level"] == 2
    assert found["variable u"]["units"] == "m s-1"
    assert found["level"] == [500, 850]


def test_records_in_values(folder):
    options = dict(patch=(8, 8), scale=2, patches_per_field=2, shards=1)
    write_downscaling_records(folder / "a.h5", folder / "records", **options)
    found = facts(folder / "records")
    assert found["channels"] == CHANNELS
    assert found["step"] == "PT3H" and found["patch"] == [8, 8]
    assert found["gaps"][0]["steps"] == 1


def test_results_in_values(folder):
    evaluate(FIELDS, {"same": FIELDS}, folder / "out", metrics=["scores"], report=False)
    found = facts(folder / "out")
    assert list(found["candidates"]) == ["same"]
    assert found["times"]["count"] == 6 and found["regions"] == []
    assert found["metrics"] == ["scores"] and found["scale"] is None
    assert "rmse" in facts(folder / "out" / "same" / "scores.nc")["variables"]


def test_scores_of_a_metric_are_numbers(tmp_path):
    stored = {
        "channels": ["u"], "units": ["m s-1"], "layer": "stage4", "scales": {"stage4": 2.0},
        "scale": 2.0, "normalization": {"kind": "z"}, "step": 10800, "classes": 4,
        "scores": {"accuracy": 0.25, "test": {"accuracy": 0.5}},
    }  # fmt: skip
    (tmp_path / "metric.json").write_text(json.dumps(stored))
    (tmp_path / "encoder.keras").touch()
    found = facts(tmp_path)
    assert found["scores"] == {"accuracy": 0.25} and found["test scores"] == {"accuracy": 0.5}
    assert found["channels"] == CHANNELS[:1] and found["layers"] == ["stage4"]
    assert found["step"] == "PT3H"
    assert describe_metric(tmp_path)["scores"] == "accuracy 0.25"


@pytest.mark.parametrize(
    ("seconds", "text", "code"),
    [(172800, "2 d", "P2D"), (86400, "24 h", "PT24H"), (300, "5 min", "PT5M"), (1, "1 s", "PT1S")],
)
def test_durations_are_those_of_iso_8601(seconds, text, code):
    stated = duration_stated(seconds)
    assert (stated, stated.value) == (text, code)
