"""Latitudes of the global grids with a known quadrature, complete or without some polar rows."""

from __future__ import annotations

import ducc0
import numpy as np

GEOMETRIES = {"driscoll-healy": "DH", "pole-to-pole": "CC", "cell-centred": "F1", "gaussian": "GL"}
"""Kinds of global grids, with ducc0's name of each geometry."""

POLAR_GAP = 8.0
"""Largest distance (degrees) from a pole within which a global grid may lack rows.

A cap of this radius has 0.5 % of the sphere's area."""


def ideal_latitudes(kind: str, rows: int) -> np.ndarray:
    """Returns the latitudes of a global grid: (H,) degrees, from north to south.

    Args:
        kind: One of :data:`GEOMETRIES`.
        rows: Number of rows.
    """
    index = np.arange(rows)
    if kind == "driscoll-healy":
        return 90 - 180 * index / rows
    if kind == "pole-to-pole":
        return 90 - 180 * index / max(rows - 1, 1)
    if kind == "cell-centred":
        return 90 - 180 * (index + 0.5) / rows
    return 90 - np.rad2deg(np.asarray(ducc0.misc.GL_thetas(rows)))


def possible_rows(kind: str, southward: np.ndarray) -> list[tuple[int, int]]:
    """Returns the sizes of global grids of a kind that may contain the given rows.

    Args:
        kind: One of :data:`GEOMETRIES`.
        southward: (H,) latitudes from north to south, degrees.

    Returns:
        For each candidate, its number of rows, and the number of them north of the given rows.
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
    # Row i lies (i + half) steps from the pole.
    half = 0.5 if kind == "cell-centred" else 0.0
    north = round((90 - southward[0]) / step - half)
    south = round((90 + southward[-1]) / step - half)
    return [(north + rows + south, north)] if min(north, south) >= 0 else []
