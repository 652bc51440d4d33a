"""Stores are written and read whatever else has brought an HDF5 into the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WRITE_AND_READ = """
import sys
import numpy as np
{first}
from phire.fields.grid import Grid
from phire.fields.store import open_store
from phire.fields.store_writing import StoreWriter
from phire.fields.time import TimeAxis
{then}
fields = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
path = sys.argv[1]
with StoreWriter(
    path, channels=("x",), units=("1",), grid=Grid.pixels(8, 8), time=TimeAxis.steps(2)
) as writer:
    writer.append(fields)
with open_store(path) as store:
    assert (store.read(slice(None)) == fields).all()
print("read")
"""


@pytest.mark.parametrize(
    ("first", "then", "inherited"),
    [
        ("", "", True),
        ("import netCDF4", "", False),
        ("import h5py, netCDF4", "", True),
        ("", "import netCDF4", False),
    ],
)
def test_stores_beside_netcdf4(tmp_path, first, then, inherited):
    import netCDF4

    environment = {key: os.environ[key] for key in os.environ if key != "HDF5_PLUGIN_PATH"}
    if inherited:
        environment["HDF5_PLUGIN_PATH"] = os.path.join(os.path.dirname(netCDF4.__file__), "plugins")
    script = WRITE_AND_READ.format(first=first, then=then)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "store.h5"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr
