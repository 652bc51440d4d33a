"""Applying a network to whole fields, tile by tile, as if it were done at once."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable

import numpy as np

from phire.fields.grid import Grid


def padded(
    fields: np.ndarray, grid: Grid, halo: int
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Continues fields beyond their edges where the globe goes on.

    Around the circle of longitude where the grid closes it, and across the poles where its rows
    come up to them (the row beyond is one on this side, half way around). A region is left as it
    is: at its edges the network sees the zeros that it saw at the edges of its training patches.

    Args:
        fields: (n, h, w, C).
        grid: Their grid.
        halo: Rows and columns to add.

    Returns:
        The fields, and what was added at the top, bottom, left and right.
    """
    if not grid.wraps or not halo:
        return fields, (0, 0, 0, 0)
    height, width = grid.shape
    columns = np.arange(-halo, width + halo) % width
    top = bottom = 0
    rows = np.arange(height)
    opposite = np.zeros(height, bool)
    reach = min(halo, height - 1)
    north, south = (90 - abs(grid.latitudes[i]) for i in (0, -1))
    spacing = grid.spacing[0]
    # A row on the pole is its own mirror; rows half a spacing off it have one beyond.
    for side, distance in (("top", north), ("bottom", south)):
        if distance > 0.75 * spacing:
            continue  # a row is missing between here and the pole: the edge stays one
        first = 1 if distance < spacing / 4 else 0
        mirrored = np.arange(first, first + reach) % height
        if side == "top":
            rows = np.concatenate([mirrored[::-1], rows])
            opposite = np.concatenate([np.ones(reach, bool), opposite])
            top = reach
        else:
            rows = np.concatenate([rows, height - 1 - mirrored])
            opposite = np.concatenate([opposite, np.ones(reach, bool)])
            bottom = reach
    extended = fields[:, rows][:, :, columns]
    if opposite.any():
        across = fields[:, rows[opposite]][:, :, (columns + width // 2) % width]
        extended[:, opposite] = across
    return extended, (top, bottom, halo, halo)


def apply_in_tiles(
    network: Callable[[np.ndarray], np.ndarray],
    fields: np.ndarray,
    grid: Grid,
    *,
    scale: int,
    halo: int,
    tile: int,
) -> np.ndarray:
    """Applies a network that refines by ``scale`` to fields of any size.

    Every tile is read with a halo as wide as the network's receptive field, so that what the tile
    keeps is what the network makes of the whole field; at the field's own edges there is no halo,
    and both see the same edge.

    Args:
        network: (n, h, w, C) → (n, h·scale, w·scale, C).
        fields: (n, h, w, C).
        grid: Their grid.
        scale: Refinement.
        halo: Coarse pixels.
        tile: Largest side of a tile without its halo, coarse pixels.

    Returns:
        (n, h·scale, w·scale, C) float32.
    """
    extended, (top, _, left, _) = padded(fields, grid, halo)
    n, height, width, channels = fields.shape
    full_height, full_width = extended.shape[1:3]
    tiles = collections.defaultdict(list)
    for row in range(0, height, tile):
        for column in range(0, width, tile):
            inner = (row, min(row + tile, height)), (column, min(column + tile, width))
            outer = [
                (max(start + before - halo, 0), min(stop + before + halo, full))
                for (start, stop), before, full in zip(
                    inner, (top, left), (full_height, full_width)
                )
            ]
            cut = tuple(
                slice((start + before - edge[0]) * scale, (stop + before - edge[0]) * scale)
                for (start, stop), before, edge in zip(inner, (top, left), outer)
            )
            target = tuple(slice(start * scale, stop * scale) for start, stop in inner)
            outside = tuple(slice(*edge) for edge in outer)
            shape = tuple(stop - start for start, stop in outer)
            tiles[shape] += [(i, outside, cut, target) for i in range(n)]
    fine = np.empty((n, height * scale, width * scale, channels), np.float32)
    for shape, alike in tiles.items():
        # Many small ones at once, but never more than two full ones; never one by one where that
        # can be helped, for the convolutions of a single image take twice as long on a CPU.
        together = max(2, (tile + 2 * halo) ** 2 // math.prod(shape))
        for first in range(0, len(alike), together):
            some = alike[first : first + together]
            batch = np.stack([extended[i][outside] for i, outside, _, _ in some])
            for (i, _, cut, target), result in zip(some, network(batch)):
                fine[i][target] = result[cut]
    return fine
