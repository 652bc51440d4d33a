"""Console commands run as a user does, and a file for them; shared by several tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import xarray as xr

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def start(*command: object) -> subprocess.Popen:
    """Starts a console command in a process of its own."""
    arguments = [str(part) for part in command]
    assert shutil.which(arguments[0], path=ENVIRONMENT["PATH"]), f"{arguments[0]} is not installed"
    return subprocess.Popen(
        arguments, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def run(*command: object, status: int = 0) -> str:
    """Runs a console command and returns what it printed; its exit status must be ``status``."""
    process = start(*command)
    printed, _ = process.communicate(timeout=900)
    line = " ".join(str(part) for part in command)
    assert process.returncode == status, f"{line} ended with {process.returncode}:\n{printed}"
    return printed


def write_hours(path: Path) -> np.ndarray:
    """Writes 400 hours of noise on a global grid as NetCDF; returns the values of ``t``."""
    values = np.random.default_rng(1).normal(size=(400, 91, 180)).astype("f4")
    coordinates = {
        "time": np.arange(400) * np.timedelta64(1, "h") + np.datetime64("2000-01-01", "ns"),
        "latitude": np.linspace(90, -90, 91),
        "longitude": np.arange(0, 360, 2.0),
    }
    dataset = xr.Dataset({"t": (("time", "latitude", "longitude"), values)}, coordinates)
    dataset.to_netcdf(path)
    return values
