#!/usr/bin/env python
"""Compares conservative regridding from 0.25° to 1° in phire and in xarray-regrid.

Writes a Zarr store of random fields of 721 × 1440 points, one field per chunk. Prints time,
processor time of all threads and peak memory of each side, measured in separate processes. From
file to file: ``phire regrid``, and xarray-regrid with dask in chunks of 10 fields. In memory: both
on arrays.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

ROWS, COLUMNS = 721, 1440
TARGET = "degrees:1:90,0,-90,359"
IN_MEMORY = 24


def make_source(path: Path, steps: int) -> None:
    """Writes a Zarr store of random fields."""
    import numpy as np

    from phire.fields.grid import Grid
    from phire.fields.source_writing import write_source
    from phire.fields.time_axis import TimeAxis

    class Noise:
        channels, units, grid = ("t",), ("K",), Grid.pole_to_pole(ROWS)
        time = TimeAxis(np.arange(steps) * 3600, "standard")

        def read(self, times):
            times = np.arange(steps)[times] if isinstance(times, slice) else times
            random = np.random.default_rng(int(times[0]))
            return random.normal(280, 10, (len(times), ROWS, COLUMNS, 1)).astype("f4")

    write_source(Noise(), path)


def by_phire(source: Path, output: Path) -> None:
    """Regrids from file to file with phire."""
    from phire.fields import regrid

    regrid(source, output, grid=TARGET)


def by_library(source: Path, output: Path) -> None:
    """Regrids from file to file with xarray-regrid."""
    import numpy as np
    import xarray as xr
    import xarray_regrid  # noqa: F401  registers the accessor `regrid`

    data = xr.open_dataset(source, engine="zarr", chunks={"time": 10})
    wanted = xr.Dataset(
        coords={"latitude": np.arange(90.0, -91, -1), "longitude": np.arange(0.0, 360, 1)}
    )
    made = data.regrid.conservative(wanted, latitude_coord="latitude", skipna=False)
    made.drop_encoding().to_zarr(output, mode="w")


def arrays_by_phire() -> float:
    """Returns the fields per second of phire on arrays in memory."""
    import numpy as np

    from phire.fields.grid import Grid
    from phire.fields.grid_specification import target_grid
    from phire.fields.regridding import Regridder

    grid = Grid.pole_to_pole(ROWS)
    fields = np.random.default_rng(0).normal(size=(IN_MEMORY, ROWS, COLUMNS, 1)).astype("f4")
    regridder = Regridder(grid, target_grid(TARGET, grid))
    return _rate(lambda: regridder(fields))


def arrays_by_library() -> float:
    """Returns the fields per second of xarray-regrid on arrays in memory."""
    import numpy as np
    import xarray as xr
    import xarray_regrid  # noqa: F401  registers the accessor `regrid`

    fields = np.random.default_rng(0).normal(size=(IN_MEMORY, ROWS, COLUMNS)).astype("f4")
    data = xr.DataArray(
        fields, dims=("time", "latitude", "longitude"),
        coords={"latitude": np.linspace(90, -90, ROWS), "longitude": np.arange(COLUMNS) / 4},
    )  # fmt: skip
    wanted = xr.Dataset(
        coords={"latitude": np.arange(90.0, -91, -1), "longitude": np.arange(0.0, 360, 1)}
    )
    return _rate(
        lambda: data.regrid.conservative(wanted, latitude_coord="latitude", skipna=False).values
    )


def _rate(work) -> float:
    """Returns the fields per second of the fastest of five repetitions."""
    work()
    fastest = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - start)
    return IN_MEMORY / fastest


def measured(name: str, *arguments: str) -> dict:
    """Runs one side in a separate process; returns its measurements."""
    command = [sys.executable, __file__, "--way", name, *arguments]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def run(name: str, source: str | None, output: str | None) -> None:
    """Runs one side and prints its measurements as JSON."""
    start = time.perf_counter()
    way = WAYS[name]
    rate = way() if name.startswith("arrays") else way(Path(source), Path(output))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - start,
                "core_seconds": used.ru_utime + used.ru_stime,
                "peak_megabytes": used.ru_maxrss / 1024,
                "rate": rate,
            }
        )
    )


WAYS = {
    "phire": by_phire, "library": by_library,
    "arrays-phire": arrays_by_phire, "arrays-library": arrays_by_library,
}  # fmt: skip


@click.command()
@click.option("--steps", default=1000, show_default=True, help="Number of fields of the source.")
@click.option("--way", hidden=True)
@click.option("--source", hidden=True)
@click.option("--output", hidden=True)
def main(steps: int, way: str | None, source: str | None, output: str | None) -> None:
    """Print time and memory of regridding from 0.25° to 1°, with phire and with xarray-regrid."""
    if way is not None:
        run(way, source, output)
        return
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "source.zarr"
        make_source(made, steps)
        for name in ("phire", "library"):
            found = measured(name, "--source", str(made), "--output", f"{folder}/{name}.zarr")
            print(
                f"{name}: {steps} fields in {found['seconds']:.1f} s "
                f"({found['core_seconds']:.1f} core-seconds), {steps / found['seconds']:.1f} "
                f"fields/s, peak {found['peak_megabytes']:.0f} MB",
                flush=True,
            )
    rates = {name: measured(f"arrays-{name}")["rate"] for name in ("phire", "library")}
    ratio = rates["phire"] / rates["library"]
    print(
        f"arrays in memory: phire {rates['phire']:.0f} fields/s, xarray-regrid "
        f"{rates['library']:.0f} fields/s, ratio {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
