"""Overlapping tiles of whole fields: where they lie, how they are cut out and blended again."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Tiling:
    """Overlapping tiles along one axis and how they are blended.

    Attributes:
        starts: First coarse point of each tile.
        size: Coarse points of a tile.
        count: Coarse points of the axis.
        weights: (tiles, size · scale) of fine points; they add up to 1 at every point.
        closed: The axis is a circle.
    """

    starts: tuple[int, ...]
    size: int
    count: int
    weights: np.ndarray
    closed: bool

    def pieces(self, tile: int, scale: int) -> list[tuple[slice, slice]]:
        """Returns the parts of a tile as (place on the axis, place in the tile) of fine points.

        A tile across the end of the circle has two; one that closes it holds some points twice.

        Args:
            tile: Number of the tile.
            scale: Points to a coarse one; 1 for coarse points themselves.
        """
        found, start, stop = [], self.starts[tile], self.starts[tile] + self.size
        while start < stop:
            end = min(stop, (start // self.count + 1) * self.count)
            first, within = start % self.count, start - self.starts[tile]
            found.append(
                (
                    slice(first * scale, (first + end - start) * scale),
                    slice(within * scale, (within + end - start) * scale),
                )
            )
            start = end
        return found


def tiles_along(
    count: int, tile: int, overlap: int, rim: int, scale: int, closed: bool, fixed: bool = False
) -> Tiling:
    """Places as few tiles of one size along an axis as cover it, evenly.

    Args:
        count: Coarse points of the axis.
        tile: Coarse points of a tile, at most.
        overlap: Points that neighbours share, at least.
        rim: Points at a tile's inner edges that get no weight.
        scale: Fine points to a coarse one.
        closed: The axis is a circle.
        fixed: All tiles have ``tile`` points, or the axis's; else they are no larger than their
            number needs.
    """
    # A single tile overlaps itself where the circle closes.
    size = min(tile, count + overlap if closed else count)
    covered = count if closed else count - overlap
    number = 1 if size == count and not closed else max(1, -(-covered // (size - overlap)))
    if not fixed:
        size = min(size, -(-covered // number) + overlap)
    room = count if closed else count - size
    starts = tuple(room * i // (number if closed else max(number - 1, 1)) for i in range(number))
    place = (np.arange(size * scale) + 0.5) / scale
    width = max(overlap - 2 * rim, 0.5)
    rise = np.clip((place - rim) / width, 0, 1)
    weights = np.ones((number, size * scale))
    sums = np.zeros(count * scale)
    for i, start in enumerate(starts):
        # Nothing lies beyond the edges of the field: there is no need to taper.
        if closed or start > 0:
            weights[i] *= rise
        if closed or start + size < count:
            weights[i] *= rise[::-1]
        np.add.at(sums, _fine(start, size, scale, count), weights[i])
    for i, start in enumerate(starts):
        weights[i] /= sums[_fine(start, size, scale, count)]
    return Tiling(starts, size, count, weights, closed)


def _fine(start: int, size: int, scale: int, count: int) -> np.ndarray:
    return np.arange(start * scale, (start + size) * scale) % (count * scale)


class OverlappingTiles:
    """Overlapping tiles of fields in rows and columns.

    Args:
        rows, columns: Tiles along each axis; rows are not closed.
        scale: Fine points to a coarse one.

    Attributes:
        places: (row, column) of the first coarse point of each tile.
        shape: (rows, columns) of a tile in coarse points.
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
            field: (H, W, C).
            tile: Number of the tile.
            out: (tile's rows, tile's columns, C) to write it to.
        """
        rows, columns = self._pieces[self.scale][tile]
        for place, within in columns:
            out[:, within] = field[rows, place]

    def cut_coarse(self, field: np.ndarray, tile: int, margin: int, out: np.ndarray) -> None:
        """Cuts a tile with its margin out of a coarse field.

        Args:
            field: (h + 2·margin, w + 2·margin, C).
            tile: Number of the tile.
            margin: Coarse points of context on every side.
            out: (tile's rows + 2·margin, tile's columns + 2·margin, C) to write it to.
        """
        (top, left), (height, width) = self.places[tile], self.shape
        columns = np.arange(left, left + width + 2 * margin)
        if self._columns.closed:
            columns = (columns - margin) % self._columns.count + margin
        field[top : top + height + 2 * margin].take(columns, 1, out)

    def add(self, total: np.ndarray, tile: int, values: np.ndarray) -> None:
        """Adds a tile's values, weighted, to a fine field.

        Args:
            total: (H, W, C), in which the weights of all tiles add up to 1.
            tile: Number of the tile.
            values: (tile's rows, tile's columns, C).
        """
        rows, columns = self._pieces[self.scale][tile]
        of_rows, of_columns = self._weights[tile]
        for place, within in columns:
            total[rows, place] += values[:, within] * (of_rows * of_columns[within])
