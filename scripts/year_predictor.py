"""Writes the date in years as a coarse field: a predictor for a secular trend of the targets.

Networks see the fields of a day, not when it was. Where the relation between coarse and fine fields
drifts, as that of a reanalysis to station data may, this predictor lets a network follow the drift.
"""

from __future__ import annotations

from pathlib import Path

import click
import xarray as xr


def years(dataset: xr.Dataset) -> xr.Dataset:
    """Returns the variable ``year``: at every point the date in years, 1998.5 in July 1998.

    Args:
        dataset: Fields with the dimension ``time``; their grid and times are taken.
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
    """Writes the variable ``year`` on the grid and times of COARSE to OUTPUT (NetCDF)."""
    with xr.open_dataset(coarse) as dataset:
        years(dataset).to_netcdf(output)


if __name__ == "__main__":
    main()
