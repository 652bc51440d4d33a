"""Stores are written and read whatever else has brought an HDF5 into the process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from phire.fields.store import open_store

WRITE_AND_READ = """
import sys
import numpy as np
{first}
from phire.fields.grid import Grid
from phire.fields.store import open_store
from phire.fields.store_writing import StoreWriter
from phire.fields.time_axis import TimeAxis
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


def test_a_store_unpickled_first_leaves_other_sources_readable(tmp_path):
    # As in a worker process, which has imported nothing of phire before the sources arrive.
    path = tmp_path / "store.h5"
    subprocess.run([sys.executable, "-c", WRITE_AND_READ.format(first="", then=""), path],
                   check=True, capture_output=True)  # fmt: skip
    with open_store(path) as store:
        (tmp_path / "sources.pickle").write_bytes(pickle.dumps(store))
    script = (
        "import pickle, sys; held = pickle.load(open(sys.argv[1], 'rb'));"
        "import phire.fields.ensemble; print(held.read([0]).shape)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "sources.pickle"],
                          capture_output=True, text=True)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "(1, 8, 8, 1)\n"), done.stderr


OPEN_DATASET = """
import sys
import h5py, hdf5plugin
import numpy as np
with h5py.File(sys.argv[1], "w") as file:
    file.create_dataset("data", data=np.arange(64.0), chunks=(16,), **hdf5plugin.Blosc())
data = h5py.File(sys.argv[1])["data"]
data[:]
import phire.fields.compression
print(data[:].sum())
"""


def test_package_is_imported_while_a_compressed_dataset_is_open(tmp_path):
    # netCDF4, imported by other tests, sets the path of its filters for children.
    environment = {k: v for k, v in os.environ.items() if k != "HDF5_PLUGIN_PATH"}
    command = [sys.executable, "-c", OPEN_DATASET, str(tmp_path / "a.h5")]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "2016.0"
