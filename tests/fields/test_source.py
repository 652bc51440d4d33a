"""Sources in memory, parts of them, and their form as xarray datasets."""

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields import ArraySource, Grid, Source, TimeAxis, TimeSelection, to_dataset
from phire.fields.source import indices

FIELDS = np.random.default_rng(0).normal(size=(5, 8, 16, 2))


def test_an_array_is_a_source():
    source = ArraySource(FIELDS)
    assert isinstance(source, Source)
    assert source.channels == ("channel_0", "channel_1")
    assert source.grid.equals(Grid.driscoll_healy(8))
    assert source.read(slice(1, 3)).dtype == np.float32
    np.testing.assert_array_equal(source.read([4, 0]), FIELDS[[4, 0]].astype("f4"))
    np.testing.assert_array_equal(source.read([-1]), FIELDS[[4]].astype("f4"))


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="3 dimensions"):
        ArraySource(FIELDS[0])
    with pytest.raises(InputError, match="must be equal"):
        ArraySource(FIELDS, time=TimeAxis.steps(4))
    with pytest.raises(InputError, match="must be equal"):
        ArraySource(FIELDS, grid=Grid.pixels(16, 8))


def test_indices_are_those_of_python():
    np.testing.assert_array_equal(indices(slice(None, None, 2), 5), [0, 2, 4])
    np.testing.assert_array_equal(indices([3, -1], 5), [3, 4])
    with pytest.raises(IndexError, match="5 fields"):
        indices([5], 5)


def test_some_of_the_times():
    source = TimeSelection(ArraySource(FIELDS), [4, 2])
    np.testing.assert_array_equal(source.time.values, [4, 2])
    np.testing.assert_array_equal(source.read(slice(None)), FIELDS[[4, 2]].astype("f4"))
    np.testing.assert_array_equal(source.read([1]), FIELDS[[2]].astype("f4"))


def test_the_dataset_of_a_source_has_a_variable_a_channel_and_cf_coordinates():
    time = TimeAxis.from_coordinate(np.arange("2000-01-01", "2000-01-06", dtype="datetime64[D]"))
    source = ArraySource(FIELDS, channels=["u", "v"], units=["m/s", ""], time=time)
    dataset = to_dataset(source, [1, 3])
    assert dataset["u"].attrs == {"units": "m/s"}
    assert dataset["v"].dims == ("time", "latitude", "longitude")
    assert dataset["latitude"].attrs["units"] == "degrees_north"
    picked = dataset["v"].sel(time="2000-01-04", latitude=45, longitude=22.5)
    assert picked.item() == np.float32(FIELDS[3, 2, 1, 1])


def test_the_dataset_of_pixels_has_rows_and_columns():
    dataset = to_dataset(ArraySource(FIELDS, grid=Grid.pixels(8, 16)))
    assert dataset["channel_0"].dims == ("time", "row", "column")
