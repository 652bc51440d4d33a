"""Rows of the global grids with a known quadrature, and grids that lack some of them."""

from __future__ import annotations

import ducc0
import numpy as np

GEOMETRIES = {"driscoll-healy": "DH", "pole-to-pole": "CC", "cell-centred": "F1", "gaussian": "GL"}
"""The global kinds of grid, with ducc0's name for the rings."""

POLAR_GAP = 8.0
"""Degrees about a pole within which a grid may lack rows and still be the whole sphere; a cap of
this radius is half a per cent of the sphere."""


def ideal_latitudes(kind: str, rows: int) -> np.ndarray:
    """Returns the (H,) latitudes of a kind of global grid, from north to south, degrees."""
    index = np.arange(rows)
    if kind == "driscoll-healy":
        return 90 - 180 * index / rows
    if kind == "pole-to-pole":
        return 90 - 180 * index / max(rows - 1, 1)
    if kind == "cell-centred":
        return 90 - 180 * (index + 0.5) / rows
    return 90 - np.rad2deg(np.asarray(ducc0.misc.GL_thetas(rows)))


def possible_rows(kind: str, southward: np.ndarray) -> list[tuple[int, int]]:
    """Numbers of rows of a global grid that may hold given ones, with the rows north of these.

    Args:
        kind: One of :data:`GEOMETRIES`.
        southward: (H,) latitudes from north to south.
    """
    rows = len(southward)
    step = (southward[0] - southward[-1]) / (rows - 1)
    if kind == "gaussian":
        most = rows + 2 * int(np.ceil(POLAR_GAP / step))
        found = []
        for whole in range(rows, most + 1):
            north = int(np.abs(ideal_latitudes(kind, whole) - southward[0]).argmin())
            if north + rows <= whole:
                found.append((whole, north))
        return found
    half = 0.5 if kind == "cell-centred" else 0.0
    # Rows lie at (index + half) steps from the pole.
    north = round((90 - southward[0]) / step - half)
    south = round((90 + southward[-1]) / step - half)
    return [(north + rows + south, north)] if min(north, south) >= 0 else []
