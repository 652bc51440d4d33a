"""Overlapping tiles of whole fields: placement, cutting and blending."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Tiling:
    """Overlapping tiles along one axis, with the weights that blend them.

    Attributes:
        starts: Index of each tile's first coarse point.
        size: Coarse points of a tile.
        count: Coarse points of the axis.
        weights: Blending weights of each tile's fine points, (tiles, size · scale); at every point
            of the axis the weights of all tiles add up to 1.
        closed: True if the axis is periodic.
    """

    starts: tuple[int, ...]
    size: int
    count: int
    weights: np.ndarray
    closed: bool

    def pieces(self, tile: int, scale: int) -> list[tuple[slice, slice]]:
        """Returns the contiguous parts of a tile, as pairs of slices (on the axis, in the tile).

        A tile that crosses the end of a periodic axis has several parts; a tile longer than the
        axis holds some points twice.

        Args:
            tile: Index of the tile.
            scale: Factor of the slices: fine points per coarse point, or 1 for coarse points.
        """
        parts, start, stop = [], self.starts[tile], self.starts[tile] + self.size
        while start < stop:
            end = min(stop, (start // self.count + 1) * self.count)
            first, within = start % self.count, start - self.starts[tile]
            parts.append(
                (
                    slice(first * scale, (first + end - start) * scale),
                    slice(within * scale, (within + end - start) * scale),
                )
            )
            start = end
        return parts


def tiles_along(
    count: int, tile: int, overlap: int, rim: int, scale: int, closed: bool, fixed: bool = False
) -> Tiling:
    """Covers an axis evenly by as few tiles of one size as needed; computes their blending weights.

    Args:
        count: Coarse points of the axis.
        tile: Largest size of a tile in coarse points.
        overlap: Smallest number of coarse points that neighbouring tiles share.
        rim: Coarse points, at edges that a tile shares with another, that get no weight.
        scale: Fine points per coarse point.
        closed: True if the axis is periodic.
        fixed: True for tiles of exactly ``tile`` points (or of the whole axis, if that is shorter);
            False to shrink them as far as possible without needing more tiles.
    """
    # On a periodic axis a single tile overlaps itself at the seam.
    size = min(tile, count + overlap if closed else count)
    covered = count if closed else count - overlap
    number = 1 if size == count and not closed else max(1, -(-covered // (size - overlap)))
    if not fixed:
        size = min(size, -(-covered // number) + overlap)
    room = count if closed else count - size
    starts = tuple(room * i // (number if closed else max(number - 1, 1)) for i in range(number))
    # Weights rise linearly across the overlap, from the rim inwards, in units of coarse points.
    centre = (np.arange(size * scale) + 0.5) / scale
    width = max(overlap - 2 * rim, 0.5)
    rise = np.clip((centre - rim) / width, 0, 1)
    weights = np.ones((number, size * scale))
    sums = np.zeros(count * scale)
    for i, start in enumerate(starts):
        # Edges of the field have no neighbouring tile, so weights do not taper there.
        if closed or start > 0:
            weights[i] *= rise
        if closed or start + size < count:
            weights[i] *= rise[::-1]
        np.add.at(sums, _fine(start, size, scale, count), weights[i])
    for i, start in enumerate(starts):
        weights[i] /= sums[_fine(start, size, scale, count)]
    return Tiling(starts, size, count, weights, closed)


def _fine(start: int, size: int, scale: int, count: int) -> np.ndarray:
    """Returns the indices of a tile's fine points on the axis, modulo its length."""
    return np.arange(start * scale, (start + size) * scale) % (count * scale)


class OverlappingTiles:
    """Overlapping tiles of two-dimensional fields.

    Args:
        rows, columns: Tiles along each axis; only columns may be periodic.
        scale: Fine points per coarse point.

    Attributes:
        places: Row and column of each tile's first coarse point.
        shape: Rows and columns of a tile in coarse points.
    """

    def __init__(self, rows: Tiling, columns: Tiling, scale: int) -> None:
        self.scale = scale
        self.shape = rows.size, columns.size
        self.places = list(itertools.product(rows.starts, columns.starts))
        numbers = list(itertools.product(range(len(rows.starts)), range(len(columns.starts))))
        self._weights = [
            (rows.weights[i].astype("f4")[:, None, None], columns.weights[j].astype("f4")[:, None])
            for i, j in numbers
        ]
        self._rows, self._columns = rows, columns
        self._pieces = {
            factor: [(rows.pieces(i, factor)[0][0], columns.pieces(j, factor)) for i, j in numbers]
            for factor in (1, scale)
        }

    def __len__(self) -> int:
        return len(self.places)

    def cut(self, field: np.ndarray, tile: int, out: np.ndarray) -> None:
        """Cuts a tile out of a fine field.

        Args:
            field: Fine field, (H, W, C).
            tile: Index of the tile.
            out: Array to write the tile to, (rows, columns, C) of its fine points.
        """
        rows, columns = self._pieces[self.scale][tile]
        for place, within in columns:
            out[:, within] = field[rows, place]

    def cut_coarse(self, field: np.ndarray, tile: int, margin: int, out: np.ndarray) -> None:
        """Cuts a tile with its margin out of a coarse field.

        Args:
            field: Coarse field with its margin, (h + 2·margin, w + 2·margin, C).
            tile: Index of the tile.
            margin: Coarse points of context on every side.
            out: Array to write to, (rows + 2·margin, columns + 2·margin, C) of the tile's coarse
                points.
        """
        (top, left), (height, width) = self.places[tile], self.shape
        columns = np.arange(left, left + width + 2 * margin)
        if self._columns.closed:
            columns = (columns - margin) % self._columns.count + margin
        field[top : top + height + 2 * margin].take(columns, 1, out)

    def add(self, total: np.ndarray, tile: int, values: np.ndarray) -> None:
        """Adds a tile, multiplied by its blending weights, to a fine field.

        Args:
            total: Fine field to add to, (H, W, C); complete when all tiles are added.
            tile: Index of the tile.
            values: Values of the tile's fine points, (rows, columns, C).
        """
        rows, columns = self._pieces[self.scale][tile]
        row_weights, column_weights = self._weights[tile]
        # One part after the other: a tile longer than a periodic axis adds twice to some points.
        for place, within in columns:
            total[rows, place] += values[:, within] * (row_weights * column_weights[within])
