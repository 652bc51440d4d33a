"""``low_valid``: which coarse values of a record are present."""

from __future__ import annotations

import numpy as np
import pytest

from phire.fields.grid import Grid
from phire.records import open_records, write_downscaling_records
from records.stores import make_store

FINE = Grid.regional(60 - 0.25 * np.arange(24), 0.25 * np.arange(32))
COARSE = Grid.regional(59.625 - np.arange(6), 0.375 + np.arange(8))
OPTIONS = {"scale": 4, "patch": (8, 8), "patches_per_field": 4, "shards": 1, "margin": 1}


def gaps(fields):
    """Leaves out coarse points of either channel."""
    fields[:, 1, 2, 0] = np.nan
    fields[::2, 3:5, 4, 1] = np.nan
    fields[:, 5, 7] = np.nan


@pytest.mark.parametrize("window", [None, 2])
def test_it_marks_the_coarse_values_of_each_patch(tmp_path, window, capsys):
    high = make_store(tmp_path / "high.h5", grid=FINE, channels=("divergence",))
    low = make_store(tmp_path / "low.h5", grid=COARSE, change=gaps)
    write_downscaling_records(
        tmp_path / "high.h5", tmp_path / "out", predictors=[tmp_path / "low.h5"],
        missing="mask", normalization="z", window=window, **OPTIONS,
    )  # fmt: skip
    assert "low_valid marks" in capsys.readouterr().err.replace("\n", " ")
    records = open_records(tmp_path / "out")
    array = records.schema.arrays["low_valid"]
    assert array.channels == records.schema.arrays["low"].channels
    assert array.shape == records.schema.arrays["low"].shape
    assert array.shape == ((4, 4, 2) if window is None else (window, 4, 4, 2))
    assert array.normalization is None
    normalization = records.schema.arrays["low"].normalization
    # The margin beyond the file holds its nearest values.
    around = np.pad(low, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    expected = normalization.apply(around.astype("f4"))
    some = 0
    for batch in records.dataset(1, drop_remainder=False).as_numpy_iterator():
        row, column = batch["position"][0] // 4
        valid, values = batch["low_valid"][0], batch["low"][0]
        # The time is that of the high patch, whose values all differ.
        target = records.schema.normalization.invert(batch["high"][0])
        last = target if window is None else target[-1]
        place = high[:, batch["position"][0][0], batch["position"][0][1], 0]
        time = int(np.abs(place - last[0, 0, 0]).argmin())
        times = time if window is None else slice(time - window + 1, time + 1)
        wanted = expected[times][..., row : row + 4, column : column + 4, :]
        np.testing.assert_array_equal(valid, np.isfinite(wanted))
        np.testing.assert_allclose(values, np.nan_to_num(wanted), rtol=1e-5, atol=1e-5)
        some += (valid == 0).sum()
    assert some > 20


def test_it_is_written_only_where_coarse_values_are_missing(tmp_path):
    def hide(fields):
        fields[:, 0, 0] = np.nan  # one fine point, so that its block still has a mean

    make_store(tmp_path / "high.h5", grid=FINE, change=hide)
    write_downscaling_records(
        tmp_path / "high.h5", tmp_path / "out", missing="mask", normalization="z", **OPTIONS
    )
    arrays = open_records(tmp_path / "out").schema.arrays
    assert "valid" in arrays and "low_valid" not in arrays


def test_blocks_without_any_target_have_no_mean(tmp_path):
    def hide(fields):
        fields[:, 8:12, 12:16] = np.nan

    make_store(tmp_path / "high.h5", grid=FINE, change=hide)
    options = {**OPTIONS, "margin": 0, "whole_fields": True}
    write_downscaling_records(
        tmp_path / "high.h5", tmp_path / "out", missing="mask", normalization="z", **options
    )
    (batch,) = open_records(tmp_path / "out").dataset(1).take(1).as_numpy_iterator()
    np.testing.assert_array_equal(np.argwhere(batch["low_valid"][0, ..., 0] == 0), [[2, 3]])
