"""Masks of regions, read and reordered to the rows and columns of the evaluated fields."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from phire.errors import InputError
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.dataset import horizontal_dimensions, orientation_of
from phire.fields.grid import Grid
from phire.fields.horizontal_coordinates import with_horizontal_coordinates


def read_mask(name: str, grid: Grid, path: Path) -> np.ndarray:
    """Returns the mask (H, W) of a NetCDF file in the order of a grid's rows and columns.

    Args:
        name: Name of the region, for messages.
        grid: The grid that the mask must lie on.
        path: NetCDF file with one variable over latitude and longitude, the mask.

    Raises:
        InputError: The file does not exist, is no NetCDF file or holds several variables, or the
            mask lies on other points than the grid's.
    """
    if path.suffix == ".nc" and not path.exists():
        raise InputError(f"--region {name}: {path} does not exist: name a NetCDF file with a mask.")
    if not path.is_file():
        raise InputError(
            f"--region {name}: {path} is neither four numbers NORTH,WEST,SOUTH,EAST nor a NetCDF "
            "file with a mask."
        )
    with xr.open_dataset(path) as dataset:
        dataset = with_horizontal_coordinates(dataset)
        flat = [v for v in dataset.data_vars.values() if v.squeeze().ndim == 2]
        if len(flat) != 1:
            raise InputError(
                f"--region {name}: {path} holds {len(flat)} variables over latitude and longitude: "
                "name a file with one variable, the mask."
            )
        return located_mask(f"--region {name}: {path}", grid, flat[0].squeeze(), dataset.attrs)


def located_mask(
    where: str, grid: Grid, mask: xr.DataArray, attributes: Mapping[Hashable, Any]
) -> np.ndarray:
    """Returns a mask (H, W) in the order of a grid's rows and columns.

    A mask without coordinates is returned unchanged.

    Args:
        where: Start of error messages: option and file.
        grid: The grid that the mask must lie on.
        mask: The mask, with or without coordinates.
        attributes: Attributes of the mask's file, which may state a projection.

    Raises:
        InputError: The mask's coordinates differ from the grid's.
    """
    dimensions = horizontal_dimensions(mask)
    states_places = len(dimensions) == 2 and (
        set(dimensions) <= set(mask.coords) or any(c.ndim == 2 for c in mask.coords.values())
    )
    if not states_places or not (grid.has_coordinates or isinstance(grid, CurvilinearGrid)):
        return np.asarray(mask.values)
    mask = mask.transpose(*dimensions).copy(deep=False)
    # A mask with y and x but no projection is taken to be in the grid's projection.
    if str({**mask.encoding, **mask.attrs}.get("grid_mapping", "")) not in mask.coords:
        mask.attrs = {k: v for k, v in mask.attrs.items() if k != "grid_mapping"}
        mask.encoding = {}
        attributes = {"spatial_ref": getattr(grid, "projection", ""), **attributes}
    try:
        found = orientation_of(mask, attributes)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    stated = found.grid
    if (stated.has_coordinates or isinstance(stated, CurvilinearGrid)) and not grid.equals(stated):
        raise InputError(
            f"{where} lies on {stated.in_words()}, but the truth on {grid.in_words()}: "
            "bring the mask to the truth's points, or write it without coordinates."
        )
    return found.turned(np.asarray(mask.values))[:, : stated.shape[1]]
