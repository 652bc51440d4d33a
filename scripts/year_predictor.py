"""Writes the date in years as a coarse field, a predictor of long-term trends.

The relation between coarse and fine fields may drift over the years, such as that of a reanalysis
to station data. With this predictor a network can learn the drift.
"""

from __future__ import annotations

from pathlib import Path

import click
import xarray as xr


def years(dataset: xr.Dataset) -> xr.Dataset:
    """Returns the variable ``year``, the date in years at every point, such as 1998.5 in July 1998.

    Args:
        dataset: Fields with the dimension ``time``, whose grid and times the result has.
    """
    field = next(array for array in dataset.data_vars.values() if "time" in array.dims)
    time = dataset["time"].dt
    date = time.year + (time.dayofyear - 1) / 365.25
    values = (date * xr.ones_like(field)).transpose(*field.dims).astype("float32")
    values.attrs = {"units": "year", "long_name": "date in years"}
    values.encoding = {}
    return values.to_dataset(name="year")


@click.command()
@click.argument("coarse", type=click.Path(exists=True, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def main(coarse: Path, output: Path) -> None:
    """Write the variable ``year`` on the grid and times of COARSE to OUTPUT (NetCDF)."""
    with xr.open_dataset(coarse) as dataset:
        years(dataset).to_netcdf(output)


if __name__ == "__main__":
    main()
