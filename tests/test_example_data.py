"""The example that lies beside the code is what its README says, and serves the commands."""

from pathlib import Path

import hdf5plugin
import numpy as np
import xarray as xr

from phire.fields import SphericalHarmonics, open_store
from pipeline import run

EXAMPLE = Path(__file__).parent.parent / "data" / "example.h5"


def test_it_is_weather():
    with open_store(EXAMPLE) as store:
        assert store.channels == ("divergence", "vorticity")
        assert store.grid.describe() == "gaussian grid of 64 × 128 points"
        assert (len(store.time), store.time.step_text) == (40, "3 h")
        fields = store.read([0, 20, 39])
        harmonics = SphericalHarmonics(store.grid)
        u, v = harmonics.vorticity_divergence_to_wind(fields[..., 1], fields[..., 0])
    speed = np.hypot(u, v)
    assert 30 < speed.max() < 120
    assert abs(np.corrcoef(fields[0, ..., 1].ravel(), fields[2, ..., 1].ravel())[0, 1]) < 0.9


def test_xarray_opens_it():
    assert hdf5plugin.PLUGIN_PATH
    with xr.open_dataset(EXAMPLE, engine="h5netcdf") as dataset:
        assert dataset["data"].dims == ("channel", "time", "latitude", "longitude")
        assert str(dataset["time"].values[1]).startswith("2000-01-01T03:00")


def test_commands_take_it(tmp_path):
    assert "gaussian grid of 64 × 128" in run("phire", "info", EXAMPLE)
    run("rplearn-data", EXAMPLE, tmp_path / "pairs", "--patch", "32,32", "--classes", 8)
    assert "pairs records" in run("phire", "info", tmp_path / "pairs")
