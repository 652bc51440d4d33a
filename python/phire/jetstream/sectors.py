"""Sectors of longitude, and their mean zonal wind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from phire import progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.rplearn.field_features import chunks


def sector_winds(
    source: Any, sectors: Sequence[tuple[float, float] | None], *, wind: str | None = None
) -> np.ndarray:
    """Averages the zonal wind over sectors of longitude, in one pass over the fields.

    Args:
        source: Fields with a channel of zonal wind, or global vorticity and divergence.
        sectors: Western and eastern limits, degrees east; None for all longitudes.
        wind: Name of the channel of zonal wind; by default ``u`` if it exists, else the wind is
            computed from ``vorticity`` and ``divergence``.

    Returns:
        (sector, time, latitude) wind, m/s.

    Raises:
        InputError: The source has neither the wind nor vorticity and divergence.
    """
    names = list(source.channels)
    if wind is None and "u" in names:
        wind = "u"
    if wind is not None and wind not in names:
        raise InputError(f"The source has no channel {wind!r}; it holds {', '.join(names)}.")
    if wind is None and not ({"vorticity", "divergence"} <= set(names) and source.grid.is_sphere):
        raise InputError(
            "The source holds neither zonal wind (u) nor vorticity and divergence on a global "
            "grid: name the channel of zonal wind with --wind."
        )
    columns = [columns_of(source.grid, sector) for sector in sectors]
    if wind is None:
        from phire.fields.harmonics import SphericalHarmonics

        harmonics = SphericalHarmonics(source.grid)
        rotation, stretch = names.index("vorticity"), names.index("divergence")
    rows = []
    times = np.arange(len(source.time))
    with progress.progress_bar("zonal wind", len(times), "fields") as advance:
        for part in chunks(source, times):
            fields = source.read(part)
            if wind is None:
                u, _ = harmonics.vorticity_divergence_to_wind(
                    fields[..., rotation], fields[..., stretch]
                )
            else:
                u = fields[..., names.index(wind)]
            u = np.asarray(u, np.float64)
            rows.append(
                np.stack([u[..., columns_of_sector].mean(axis=-1) for columns_of_sector in columns])
            )
            advance(len(part))
    return np.concatenate(rows, axis=1)


def columns_of(grid: Grid, sector: tuple[float, float] | None) -> Any:
    """Returns the indices of a sector's columns; a slice of all columns for None."""
    return slice(None) if sector is None else grid.columns_between(*sector)


def cut_sectors(
    grid: Grid, sector: tuple[float, float] | None, count: int
) -> list[tuple[float, float] | None]:
    """Divides a sector, or the full width of the grid, into equal sectors without overlap.

    Raises:
        InputError: A sector would have fewer than two columns.
    """
    if count == 1:
        return [sector]
    columns = np.arange(grid.shape[1])[columns_of(grid, sector)]
    width = len(columns) // count
    if width < 2:
        raise InputError(
            f"--sectors {count}: {len(columns)} columns are too few for so many: name fewer."
        )
    parts = [columns[k * width : (k + 1) * width] for k in range(count)]
    return [(float(grid.longitudes[p[0]]), float(grid.longitudes[p[-1]])) for p in parts]
