"""A process that uses GRIB and maps ends in peace."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest


@pytest.mark.parametrize("later", ["pyproj", "cartopy.crs", "pyshtools"])
def test_a_process_that_reads_grib_and_projects_ends_well(later):
    for package in ("cfgrib", later.partition(".")[0]):
        # Not imported here, where nothing has put them in order.
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    # xarray loads cfgrib, and with it eccodes, to see which files it can open.
    script = (
        "import phire.fields.grid, sys, xarray; xarray.backends.list_engines(); "
        f"assert 'gribapi' in sys.modules; import {later}; print('done')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_a_notebook_that_opened_a_file_before_importing_phire_ends_well():
    if importlib.util.find_spec("cfgrib") is None or importlib.util.find_spec("pyproj") is None:
        pytest.skip("cfgrib or pyproj is not installed")
    script = (
        "import sys, xarray; xarray.backends.list_engines(); assert 'gribapi' in sys.modules; "
        "import phire.fields.grid; print('done')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
